"""run() asks for the request's headers."""


def init():
    pass


def run(data, request_headers):
    assert type(request_headers) is dict
    return request_headers
