"""Requests kept for later: the request, the response, and what went wrong.

Each is one JSON file that only its owner may read, with secrets in headers and query masked. Their
number and total size are bounded; the oldest are deleted first. Bodies are kept as they came: they
may hold what should not be kept, which is why production records nothing unless told to.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote_plus

from scorehost.errors import UsageError
from scorehost.settings import MASK

FORMAT: Final = 1
LARGEST_ANSWER: Final = 256 << 10
"""Bytes of an answer that are kept; of a longer one its beginning, its length and a digest."""

_SECRET: Final = re.compile(
    r"auth|cookie|token|secret|passw|credential|signature|session|api-?key|-key$|^key$|jwt|bearer",
    re.IGNORECASE,
)
_SECRET_IN_QUERY: Final = frozenset({"code", "pwd", "sas", "sig"})
"""Short names that are secrets there, as in the addresses of functions and of signed blobs."""
_NAME: Final = re.compile(r"\d{8}-\d{6}-\d{6}-[A-Za-z0-9_-]*\.json")
"""A file of ours: time, number, the request's id."""


def masked_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The headers, with secret values masked."""
    return [(name, MASK if _is_secret(name) else value) for name, value in headers]


def masked_target(target: str) -> str:
    """Path and query, with the query's secret values masked."""
    path, mark, query = target.partition("?")
    return path + mark + "&".join(map(_masked, query.split("&")))


def _masked(part: str) -> str:
    name, equals, value = part.partition("=")
    plain = unquote_plus(name)
    secret = _is_secret(plain) or plain.lower() in _SECRET_IN_QUERY
    return name + equals + (MASK if secret and value else value)


def _is_secret(name: str) -> bool:
    return _SECRET.search(name.replace("_", "-")) is not None


def as_value(body: bytes) -> Any:
    """A body as JSON can hold it: text, or an object with base64."""
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode("ascii")}


def as_bytes(value: Any) -> bytes:
    """The body of which :func:`as_value` made this value."""
    if isinstance(value, Mapping):
        return base64.b64decode(value["base64"], validate=True)
    return str(value).encode("utf-8")


class Recorder:
    """Keeps requests in a folder.

    Parameters
    ----------
    folder : created for the first request.
    count, size : the most requests, and bytes, that are kept.
    """

    def __init__(self, folder: Path, count: int, size: int) -> None:
        self._folder, self._count, self._size = folder, count, size
        self._files: deque[tuple[Path, int]] = deque()
        self._bytes = 0
        self._number = 0
        for path in sorted(folder.glob("*.json")):
            if _NAME.fullmatch(path.name):  # any other file is not ours to delete
                with contextlib.suppress(OSError):
                    self._add(path, path.stat().st_size)

    def keep(self, document: Mapping[str, Any]) -> Path | None:
        """Write one request and return its file, or None when it is too large to keep.

        Raises
        ------
        OSError
            The folder cannot be written.
        """
        data = json.dumps(document, ensure_ascii=False, default=str).encode("utf-8", "replace")
        if len(data) > self._size // 4:
            return None
        if not self._folder.is_dir():
            self._folder.mkdir(mode=0o700, parents=True)
            if self._folder.parent.name == ".scorehost":
                (self._folder.parent / ".gitignore").write_text("*\n")
        self._number += 1
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        name = f"{stamp}-{self._number % 10**6:06d}-{file_part(document['id'])}.json"
        path = self._folder / name
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
        self._add(path, len(data))
        return path

    def _add(self, path: Path, size: int) -> None:
        self._files.append((path, size))
        self._bytes += size
        while len(self._files) > self._count or self._bytes > self._size:
            oldest, freed = self._files.popleft()
            self._bytes -= freed
            oldest.unlink(missing_ok=True)


def file_part(request_id: str) -> str:
    """An id as part of a file name."""
    return re.sub(r"[^A-Za-z0-9-]", "_", request_id)[:80]


def read_record(path: Path) -> dict[str, Any]:
    """Read one recorded request.

    Raises
    ------
    UsageError
        The file cannot be read, or is not a recorded request.
    """
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not JSON: {error}.") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise UsageError(f"{path} is not a request recorded by scorehost.")
    wrong = [name for name, is_right in _MEMBERS.items() if not is_right(document.get(name))]
    if wrong:
        raise UsageError(
            f"{path} is a recorded request, but it is damaged; missing or invalid: "
            f"{', '.join(wrong)}. Delete the file, or record the request again."
        )
    return document


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _are_headers(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(map(_is_text, pair)) for pair in value
    )


def _is_body(value: object) -> bool:
    try:
        as_bytes(value)
    except (KeyError, TypeError, ValueError):
        return False
    return isinstance(value, (str, dict))


def _is_outcome(value: object) -> bool:
    return (
        isinstance(value, dict)
        and type(value.get("status")) is int
        and type(value.get("bytes")) is int
        and _is_body(value.get("body"))
        and _is_text(value.get("error"))
    )


_MEMBERS: Final[Mapping[str, Callable[[object], bool]]] = {
    "id": _is_text,
    "script": _is_text,
    "method": _is_text,
    "target": _is_text,
    "headers": _are_headers,
    "body": _is_body,
    "remote_address": _is_text,
    "streamed": lambda value: isinstance(value, bool),
    "outcome": _is_outcome,
}
"""What a replay takes from a record, and how each is checked."""


def find_records(folder: Path, wanted: str) -> list[Path]:
    """The files of one id, or the file or folder of that name, oldest first.

    Raises
    ------
    UsageError
        There is none.
    """
    path = Path(wanted)
    if path.is_dir():
        found = sorted(path.glob("*.json"))
    elif path.is_file():
        found = [path]
    else:
        found = sorted(folder.glob(f"*-{file_part(wanted)}*.json"))[-1:]
    if not found:
        raise UsageError(
            f"No recorded request {wanted} was found: it is neither a file nor the id of a request "
            f"recorded in {folder}."
        )
    return found


def all_records(folder: Path) -> list[Path]:
    """Every file of a folder, oldest first.

    Raises
    ------
    UsageError
        There is none.
    """
    found = sorted(folder.glob("*.json"))
    if not found:
        raise UsageError(
            f"There are no recorded requests in {folder}. A server records requests in debug mode "
            "(--debug), or with SCOREHOST_RECORD=errors or SCOREHOST_RECORD=all."
        )
    return found


# -- comparing ------------------------------------------------------------------------------


def outcome_of(
    status: int, content_type: str, body: bytes | memoryview, error_type: str = ""
) -> dict[str, Any]:
    """What is compared of a response; of a large body its beginning, size and digest."""
    outcome = {
        "status": status,
        "content_type": content_type,
        "body": as_value(bytes(body[:LARGEST_ANSWER])),
        "bytes": len(body),
        "error": error_type,
    }
    if len(body) > LARGEST_ANSWER:
        outcome["digest"] = hashlib.blake2b(body, digest_size=16).hexdigest()
    return outcome


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Say in one word how an outcome has changed: same, fixed, broken or changed.

    A stream that was cut off counts as failed, whatever status it began with.
    """
    failed_before, failed_after = (
        outcome["status"] >= 400 or bool(outcome["error"]) for outcome in (before, after)
    )
    if failed_before and not failed_after:
        return "fixed"
    if failed_after and not failed_before:
        return "broken"
    if failed_after:
        same = (before["status"], before["error"]) == (after["status"], after["error"])
        return "same" if same else "changed"
    same = before["status"] == after["status"] and _content(before) == _content(after)
    digests = {outcome["digest"] for outcome in (before, after) if "digest" in outcome}
    return "same" if same and len(digests) < 2 else "changed"


def _content(outcome: Mapping[str, Any]) -> Any:
    """A body's value where it is JSON: spaces and the order of names mean nothing.

    Of a large body only the beginning is there, which cannot be parsed.
    """
    body, size = as_bytes(outcome["body"]), outcome["bytes"]
    if size <= len(body):
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(body)
    return body, size
