"""Production has nothing of debug mode; and what the relay reads from a debugger's messages."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from scorehost.commands.debug import told
from scorehost.dev.places import exposure
from scorehost.dev.relay import Messages, NoMessage, Session
from support.server import clean_environment

PRODUCTION = """
import sys
from scorehost.front.observe.log import Log
from scorehost.front.server import features_of
from scorehost.profile import Profile
from scorehost.settings import Settings
from scorehost.worker.process import Worker
features = features_of(Settings(), Profile(), None)
print(type(features).__name__, [name for name in sys.modules if "scorehost.dev" in name])
"""


def test_production_imports_nothing_of_it():
    done = subprocess.run(
        [sys.executable, "-c", PRODUCTION],
        env=clean_environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert done.stdout == "Features []\n"


def message(**fields: Any) -> bytes:
    body = json.dumps(fields).encode()
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def event(name: str) -> bytes:
    return message(seq=1, type="event", event=name, body={"text": "Content-Length: 3\r\n\r\nabc"})


def answer(command: str, success: bool = True) -> bytes:
    return message(seq=1, type="response", command=command, success=success)


CONVERSATION = [
    (answer("initialize"), False, False),
    (event("output"), False, False),
    (event("initialized"), True, False),
    (answer("attach"), True, False),
    (event("stopped"), True, True),
    (answer("evaluate"), True, True),
    (answer("next", success=False), True, True),
    (answer("next"), True, False),
    (event("stopped"), True, True),
    (event("continued"), True, False),
    (event("terminated"), False, False),
]


@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_attached_and_paused_are_read_from_any_pieces(piece: int):
    changes: list[tuple[bool, bool]] = []
    session = Session(
        lambda: changes.append((session.attached, session.paused)), lives_on=lambda: False
    )
    messages = Messages()

    for data, attached, paused in CONVERSATION:
        passed = b""
        for start in range(0, len(data), piece):
            for raw, read in messages.feed(data[start : start + piece]):
                passed += session.told(raw, read)
        assert passed == data
        assert (session.attached, session.paused) == (attached, paused)

    assert changes == [
        (True, False), (True, True), (True, False), (True, True), (True, False), (False, False),
    ]  # fmt: skip


def test_what_is_no_message_does_no_harm():
    session = Session(lambda: None, lives_on=lambda: True)
    sent = b"Content-Length: 4\r\n\r\n{{}}" + message() + b"X: y\r\n\r\n" + event("initialized")

    passed = b"".join(session.told(raw, read) for raw, read in Messages().feed(sent))

    assert passed == sent
    assert session.attached


FOREIGN = [
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
    b"POST / HTTP/1.1\r\nHost: x\r\n\r\n" + message(seq=1, type="request", command="initialize"),
    b"Content-Length:2 POST\r\n\r\n{}",
    b"X-Content-Length: 2\r\n\r\n{}",
    b"X: Content-Length: 2\r\n\r\n{}",
    b"\r\n\r\nContent-Length: 2\r\n\r\n{}",
    b"Content-Length: 1048577\r\n\r\n",
    b"Content-Length: -1\r\n\r\n",
    b"Content-Length: 99999999999\r\n\r\n",
    b"Content-Length: " + b"9" * 3000 + b"\r\n\r\n",
    b"Content-Length: x\r\n\r\n",
    b"\x16\x03\x01" + b"\0" * 5000,
]


@pytest.mark.parametrize("sent", FOREIGN)
@pytest.mark.parametrize("piece", [1, 6000])
def test_what_a_client_sends_must_be_messages(sent: bytes, piece: int):
    messages = Messages(largest=1 << 20)
    ((raw, _),) = messages.feed(event("fine"))
    assert raw == event("fine")

    pieces = (sent[start : start + piece] for start in range(0, len(sent), piece))
    with pytest.raises(NoMessage):
        assert not [each for part in pieces for each in messages.feed(part)]


@pytest.mark.parametrize(
    ("asked", "lives_on", "restart"),
    [("evaluate", True, True), ("disconnect", True, False), ("evaluate", False, False)],
)
def test_a_client_is_asked_to_attach_to_the_next_process(asked: str, lives_on: bool, restart: bool):
    session = Session(lambda: None, lives_on=lambda: lives_on)
    session.asked({"type": "request", "command": asked})

    ((raw, read),) = Messages().feed(event("terminated"))
    ((_, told),) = Messages().feed(session.told(raw, read))

    assert (told["event"], told["body"].get("restart", False)) == ("terminated", restart)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1"])
def test_nobody_else_reaches_a_loopback_address(host: str):
    assert exposure(host) == ""


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "10.0.0.1", "2001:db8::1"])
def test_any_other_address_is_said_to_be_open(host: str):
    assert f"is {host}" in exposure(host)
    assert "Other machines can connect" in exposure(host)
    assert "run any code" in exposure(host)


STATE = {"port": 5678, "attached": False, "paused": False, "listening": True}


def test_whoever_opens_the_debugger_by_hand_is_told_who_can_connect():
    here = told(STATE | {"host": "127.0.0.1"})
    everywhere = told(STATE | {"host": "::"})

    assert here == "The debugger is listening on 127.0.0.1:5678; no client is attached."
    assert everywhere.startswith("The debugger is listening on [::]:5678; no client")
    assert "Other machines can connect" in everywhere
