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
from scorehost.front.http.exchange import Exchange
from scorehost.front.observe.log import as_word

LONGEST_ID: Final = 100
"""Bytes; the retired service's limit, which its clients know."""

_COUNTED: Final = 1 << 16


def id_maker(random_bytes: Callable[[int], bytes] = os.urandom) -> Callable[[], bytes]:
    """Make a function that makes UUIDs (the form of RFC 9562, version 4), as ASCII bytes.

    Their first 62 free bits are random and renewed every 65,536 ids; the last 48 bits count from
    a random start. An id is a name, not a secret, and counting costs a fifth of fresh randomness.
    """
    prefix, count, left = b"", 0, 0

    def make() -> bytes:
        nonlocal prefix, count, left
        if not left:
            text = random_bytes(15).hex().encode()
            variant = b"89ab"[text[16] & 3]
            parts = (text[:8], text[8:12], text[12:15], variant, text[15:18])
            prefix = b"%b-%b-4%b-%c%b-" % parts
            count, left = int(text[18:], 16) & 0xFFFF_FFFE_FFFF, _COUNTED
        left -= 1
        count += 1
        return b"%b%012x" % (prefix, count)

    return make


def identify(exchange: Exchange, make_id: Callable[[], bytes]) -> None:
    """Give an exchange its ids.

    Raises
    ------
    HeadersTooLarge
        An id is over its limit; the exchange then has a fresh one.
    """
    known = exchange.known
    if not known:
        exchange.request_id = exchange.legacy_id = make_id()
        return
    request_id = known.get(b"x-request-id", b"")
    client_id = known.get(b"x-ms-client-request-id", b"")
    legacy_id = known.get(b"x-ms-request-id", b"")
    exchange.trace_id = known.get(b"traceid", b"")
    for name, value in (
        ("x-request-id", request_id),
        ("x-ms-client-request-id", client_id),
        ("x-ms-request-id", legacy_id),
    ):
        if len(value) > LONGEST_ID:
            exchange.request_id = exchange.legacy_id = make_id()
            raise HeadersTooLarge(
                f"The header {name} has {len(value)} bytes; "
                f"at most {LONGEST_ID} are accepted. Send a shorter id."
            )
    exchange.request_id = request_id or make_id()
    if request_id:
        exchange.logged_id = as_word(request_id.decode("latin-1"))
    exchange.client_id = client_id or legacy_id
    exchange.legacy_id = legacy_id or client_id or exchange.request_id
