"""Imports a module from its own folder and one from the app root."""

import beside_the_script
import in_the_root


def init():
    pass


def run(data):
    return [beside_the_script.NAME, in_the_root.NAME]
