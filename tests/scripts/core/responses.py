"""Returns a Flask response, built as the data says."""

import json

import flask

closed = []


def init():
    pass


def run(data):
    what = json.loads(data)
    if what == "jsonify":
        return flask.jsonify({"a": 1})
    if what == "stream":
        response = flask.Response(chunks(), mimetype="text/event-stream")
        response.call_on_close(lambda: closed.append("response"))
        return response
    if what == "stream that fails":
        return flask.Response(failing(), mimetype="text/plain")
    if what == "file":
        return flask.send_file(__file__, mimetype="text/x-python")
    if what == "redirect":
        return flask.redirect("/elsewhere")
    if what == "make_response":
        return flask.make_response("made", 202)
    if "without" in what:
        return bodiless(what["without"], what["status"])
    response = flask.Response(what["body"], what.get("status", 200))
    response.headers.extend(what.get("headers", {}))
    response.call_on_close(lambda: closed.append("response"))
    return response


def bodiless(what, status):
    response = flask.Response(chunks() if what == "stream" else "whole", status)
    response.set_etag("1")
    response.call_on_close(lambda: closed.append("response"))
    return response


def chunks():
    yield "data: 1\n\n"
    yield ""
    yield b"data: 2\n\n"


def failing():
    yield "one"
    raise ValueError("in the stream")
