"""run() is a coroutine function; an asynchronous generator where it is asked for one."""

import asyncio
import json

loops = set()
cleaned = []


def init():
    pass


async def run(data):
    loops.add(id(asyncio.get_running_loop()))
    what = json.loads(data)
    if what == "stream":
        return items()
    if what == "raise":
        await asyncio.sleep(0)
        raise ValueError("asked to")
    if what == "exit":
        raise SystemExit(3)
    if what == "gather":
        return await asyncio.gather(one(), one())
    if what == "forever":
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(True)
    await asyncio.sleep(0)
    return {"awaited": what}


async def one():
    await asyncio.sleep(0)
    return 1


async def items():
    try:
        for number in range(3):
            await asyncio.sleep(0)
            yield {"number": number}
    finally:
        cleaned.append("stream")
