"""A model in FastAPI, in the form that costs it least: the raw body, on the event loop."""

import score
from fastapi import FastAPI, Request

app = FastAPI()
score.init()


@app.post("/score")
async def answer(request: Request) -> list[float]:
    return score.run(await request.body())
