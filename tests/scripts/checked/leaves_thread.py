"""A thread of its own goes on when everything is done."""

import threading


def init():
    threading.Thread(target=threading.Event().wait).start()


def run(data):
    return data
