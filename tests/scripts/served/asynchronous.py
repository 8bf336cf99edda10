"""run() is a coroutine function."""

import asyncio
import json


def init():
    pass


async def run(data):
    value = json.loads(data)
    await asyncio.sleep(0)
    if value == "raise":
        raise ValueError("asked to")
    return {"awaited": value}
