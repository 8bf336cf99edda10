"""Which requests debug mode trusts: those for a host name that no other site can point here.

A page of any site may have the site's own name resolve to this machine. To the browser the page and
this server are then one site, so the page may ask everything and read every answer (DNS rebinding).
But the request still says which host it is for, and an address or ``localhost`` leads nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from scorehost.front.http.exchange import Exchange

_AUTHORITY: Final = re.compile(r"(\[[0-9a-f:.%]+\]|[a-z0-9_.-]+)(?::[0-9]*)?")
_LONGEST: Final = 253
"""Characters of a name in DNS, which is all that is shown of one."""


class TrustedHosts:
    """The hosts whose requests are trusted.

    Parameters
    ----------
    names : names of this server besides ``localhost``, in small letters; ``*`` trusts any.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)

    def problem(self, exchange: Exchange) -> str:
        """Say why a request is not trusted, and what to do; "" when it is.

        What a proxy adds, such as X-Forwarded-Host, does not count: anybody can send it.
        """
        host = host_of(authority_of(exchange))
        if self._trusts(host):
            return ""
        found = f"the host {host[:_LONGEST]!r}" if host else "no valid host"
        return (
            f"This request is for {found}, which is not trusted: another site could make its own "
            "host name lead to this server. Use an IP address or localhost; or, if this server has "
            "that name, add it to SCOREHOST_DEBUG_HOSTS."
        )

    def _trusts(self, host: str) -> bool:
        if "*" in self._names or host in self._names:
            return True
        return host == "localhost" or host.endswith(".localhost") or _is_address(host)


def authority_of(exchange: Exchange) -> str:
    """The host and port that a request is for, in small letters.

    A target in absolute form has its own, and Host is ignored then (RFC 9112, 3.2.2).
    """
    authority = exchange.known.get(b"host", b"")
    if not exchange.target.startswith(b"/"):
        _, absolute, rest = exchange.target.partition(b"://")
        authority = re.split(rb"[/?#]", rest)[0] if absolute else authority
    return authority.decode("latin-1").strip().lower()


def host_of(authority: str) -> str:
    """The host of an authority, without its port and the dot that may end a name.

    It is "" where there is none, or anything else than a host and a port.
    """
    match = _AUTHORITY.fullmatch(authority)
    return match[1].removesuffix(".") if match else ""


def _is_address(host: str) -> bool:
    kind, text = (IPv6Address, host[1:-1]) if host.startswith("[") else (IPv4Address, host)
    try:
        kind(text)
    except ValueError:
        return False
    return True
