"""Every case, sent to a front in memory in every way that it can be sent."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from hostile import chunks, connections, framing, headers, methods, protocols, request_lines
from hostile.cases import Case, problem, ways_of
from support.client import Connection
from support.memory import MemoryConnection, MemoryServer


def each_of(cases: Iterable[Case]) -> pytest.MarkDecorator:
    """Have a test run with each of these cases."""
    return pytest.mark.parametrize("one", [pytest.param(one, id=one.name) for one in cases])


def _check(server: MemoryServer, one: Case) -> None:
    """Send a case in all ways, and say which of them went wrong."""

    def send(connection: Connection, data: bytes) -> None:
        """Send bytes, even if the server has ended its half of the connection already."""
        assert isinstance(connection, MemoryConnection)
        connection.transport.feed(data)
        server.run()

    found = {way: problem(server, one, way, send) for way in ways_of(one)}

    assert {way: what for way, what in found.items() if what} == {}


@each_of(request_lines.CASES)
def test_request_lines(memory_server: MemoryServer, one: Case) -> None:
    _check(memory_server, one)


@each_of(methods.CASES)
def test_methods(memory_server: MemoryServer, one: Case) -> None:
    _check(memory_server, one)


@each_of(headers.CASES)
def test_headers(memory_server: MemoryServer, one: Case) -> None:
    _check(memory_server, one)


@each_of(framing.CASES)
def test_framing(memory_server: MemoryServer, one: Case) -> None:
    _check(memory_server, one)


@each_of(chunks.CASES)
def test_chunks(memory_server: MemoryServer, one: Case) -> None:
    _check(memory_server, one)


@each_of(connections.CASES)
def test_connections(memory_server: MemoryServer, one: Case) -> None:
    _check(memory_server, one)


@each_of(protocols.CASES)
def test_protocols(memory_server: MemoryServer, one: Case) -> None:
    _check(memory_server, one)
