"""A generated wrapper: its own init(), the run() of the module it names."""

import wrapped as driver_module

events = []


def init():
    driver_module.init()
    driver_module.events.append("init() of the wrapper")


def run(data):
    raise AssertionError("run() of the wrapper is not the one to call")
