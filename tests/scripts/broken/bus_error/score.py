import signal


def init():
    signal.raise_signal(signal.SIGBUS)


def run(data):
    return data
