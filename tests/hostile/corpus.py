"""All cases together, by the table that they stand in."""

from __future__ import annotations

from hostile import chunks, connections, framing, headers, methods, protocols, request_lines

CORPUS = {
    "request lines": request_lines.CASES,
    "methods": methods.CASES,
    "headers": headers.CASES,
    "framing": framing.CASES,
    "chunks": chunks.CASES,
    "connections": connections.CASES,
    "protocols": protocols.CASES,
}
