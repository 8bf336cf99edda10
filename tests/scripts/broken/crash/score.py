import ctypes


def read_weights(address):
    return ctypes.string_at(address)


def init():
    print("mapping weights", flush=True)
    read_weights(0)


def run(data):
    return data
