from flask import Flask, Markup


def init():
    pass


def run(data):
    return data
