"""A model in BentoML, which parses and checks the body itself."""

import bentoml
import score


@bentoml.service(workers=1)
class Model:
    def __init__(self) -> None:
        score.init()

    @bentoml.api(route="/score")
    def answer(self, data: list[list[float]]) -> list[float]:
        return score.predict(data)
