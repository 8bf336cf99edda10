"""run is an object that can be called."""


class Runner:
    limit: str = "not a hint of the call"

    def __call__(self, data: list[int]) -> int:
        return 1


def init():
    pass


run = Runner()
