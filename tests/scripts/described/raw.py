"""Reads the request itself."""

from scorehost.api import rawhttp


def init():
    pass


@rawhttp
def run(request):
    """POST a PNG."""
    return {"bytes": len(request.get_data())}
