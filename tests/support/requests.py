"""Requests to whatever can be connected to: a server's port, or a front in memory."""

from __future__ import annotations

import json as json_module
from collections.abc import Mapping
from typing import Any, Protocol

from support.client import Connection, Headers, Response


class Requests(Protocol):
    """One request on a connection of its own."""

    @property
    def log(self) -> str:
        """Everything the server has said so far."""

    def connect(self, timeout: float = 60.0) -> Connection:
        """Make a new connection."""

    def request(
        self,
        method: str,
        target: str,
        *,
        headers: Headers | Mapping[str, str] = (),
        body: bytes | None = None,
        timeout: float = 60.0,
    ) -> Response:
        """One request on a connection of its own."""
        pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
        with self.connect(timeout) as connection:
            return connection.request(method, target, headers=pairs, body=body)

    def get(self, target: str = "/", **options: Any) -> Response:
        """GET."""
        return self.request("GET", target, **options)

    def options(self, target: str = "/score", **options: Any) -> Response:
        """OPTIONS."""
        return self.request("OPTIONS", target, **options)

    def post(
        self,
        target: str = "/score",
        *,
        json: Any = None,
        body: bytes | None = None,
        headers: Headers | Mapping[str, str] = (),
        **options: Any,
    ) -> Response:
        """POST a JSON value, or these very bytes."""
        pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
        if body is None:
            body = json_module.dumps(json).encode()
            if "content-type" not in {name.lower() for name, _ in pairs}:
                pairs.append(("Content-Type", "application/json"))
        return self.request("POST", target, headers=pairs, body=body, **options)

    def score(self, value: Any = None, **options: Any) -> Any:
        """POST a JSON value and decode the answer, which must be a 200."""
        response = self.post(json=value, **options)
        assert response.status == 200, f"{response.status}: {response.body[:500]!r}\n{self.log}"
        return response.json()
