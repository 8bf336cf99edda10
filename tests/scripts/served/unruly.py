"""Echoes, sleeps, fails, streams or dies, as each request asks."""

import json
import os
import signal
import time


def init():
    pass


def run(data):
    request = json.loads(data)
    how = request["how"]
    if how == "sleep":
        time.sleep(0.02)
    elif how == "raise":
        raise ValueError(request["token"])
    elif how == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "late":
        time.sleep(60)
    elif how == "large":
        return {"token": request["token"], "padding": "x" * 200_000}
    elif how == "stream":
        return (f"{request['token']}\n" for _ in range(50))
    return {"token": request["token"]}
