"""run() has no parameter for data."""


def init():
    pass


def run(request_headers):
    return request_headers
