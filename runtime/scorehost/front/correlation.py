"""The ids that join a request, its answer and the lines of the log.

``x-request-id`` is taken or made. ``x-ms-client-request-id`` is echoed. The legacy
``x-ms-request-id`` is echoed too, stands in for the client's id when it comes alone, and is
filled in when it is absent. ``traceid`` is echoed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from scorehost.errors import HeadersTooLarge
from scorehost.front.exchange import Exchange

LONGEST_ID: Final = 100
"""Characters; the retired service's limit, which its clients know."""

_POOL = 256


def id_maker(random_bytes: Callable[[int], bytes] = os.urandom) -> Callable[[], bytes]:
    """Make a function that makes random UUIDs (RFC 9562, version 4), as ASCII bytes.

    It draws randomness for many at once: the kernel is asked once for 256 of them.
    """
    pool: list[bytes] = []

    def refill() -> None:
        text = random_bytes(16 * _POOL).hex().encode()
        for start in range(0, len(text), 32):
            part = text[start : start + 32]
            variant = b"89ab"[part[16] & 3 : (part[16] & 3) + 1]
            pool.append(
                b"%b-%b-4%b-%b%b-%b"
                % (part[:8], part[8:12], part[13:16], variant, part[17:20], part[20:])
            )

    def make() -> bytes:
        if not pool:
            refill()
        return pool.pop()

    return make


def identify(exchange: Exchange, make_id: Callable[[], bytes]) -> None:
    """Give an exchange its ids.

    Raises
    ------
    HeadersTooLarge
        An id is over its limit; the exchange has a fresh one then.
    """
    known = exchange.known
    if not known:
        exchange.request_id = exchange.legacy_id = make_id()
        return
    request_id = known.get(b"x-request-id", b"")
    client_id = known.get(b"x-ms-client-request-id", b"")
    legacy_id = known.get(b"x-ms-request-id", b"")
    for name, value in (
        ("x-request-id", request_id),
        ("x-ms-client-request-id", client_id),
        ("x-ms-request-id", legacy_id),
    ):
        if len(value) > LONGEST_ID:
            exchange.request_id = exchange.legacy_id = make_id()
            raise HeadersTooLarge(
                f"The header {name} has {len(value)} characters; "
                f"at most {LONGEST_ID} are accepted. Send a shorter id."
            )
    exchange.request_id = request_id or make_id()
    exchange.client_id = client_id or legacy_id
    exchange.legacy_id = legacy_id or client_id or exchange.request_id
    exchange.trace_id = known.get(b"traceid", b"")
