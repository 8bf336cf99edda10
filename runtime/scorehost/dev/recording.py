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
import stat
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote_plus

from scorehost.errors import UsageError
from scorehost.settings import MASK, Settings

FORMAT: Final = 1
LARGEST_ANSWER: Final = 256 << 10
"""Bytes of an answer that are kept; of a longer one its beginning, its length and a digest."""

_SECRET: Final = re.compile(
    r"auth|cookie|token|secret|passw|credential|signature|session|api-?key|-key$|^key$|jwt|bearer",
    re.IGNORECASE,
)
_SECRET_IN_QUERY: Final = frozenset({"code", "pwd", "sas", "sig"})
"""Short names that are secrets there, as in the addresses of functions and of signed blobs."""
_UNFINISHED: Final = ".part"
"""How a file's name ends while it is written, so that nobody reads half of a record."""
_NAME: Final = re.compile(r"\d{8}-\d{6}-\d{6}-[A-Za-z0-9_-]*(\.json|\.part)")
"""A file of ours: time, number, the request's id."""
_LINE: Final = re.compile(r"[\x01-\x09\x0b\x0c\x0e-\xff]*")
"""What of a request can have come in a line of HTTP."""
_CURE: Final = "Delete the file, or record the request again."


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


def script_name(settings: Settings) -> str:
    """The entry script as a record names it: relative to the app root when it lies in there."""
    script, root = settings.script, settings.root
    return str(script.relative_to(root) if script.is_relative_to(root) else script)


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
        with contextlib.suppress(OSError):  # the first request will tell what is wrong there
            for path in sorted(folder.glob("*")):
                if _NAME.fullmatch(path.name):  # any other file is not ours to delete
                    self._add(path, path.stat().st_size)
            self._make_room()

    def keep(self, document: Mapping[str, Any]) -> Path | None:
        """Write one request and return its file, or None when it is too large to keep.

        Raises
        ------
        OSError
            The folder cannot be written. No half of the request is left there.
        """
        data = json.dumps(document, ensure_ascii=False, default=str).encode("utf-8", "replace")
        if len(data) > self._size // 4:
            return None
        self._make_folder()
        self._number += 1
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        name = f"{stamp}-{self._number % 10**6:06d}-{file_part(document['id'])}.json"
        path = self._folder / name
        part = path.with_suffix(_UNFINISHED)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            with os.fdopen(os.open(part, flags, 0o600), "wb") as file:
                file.write(data)
            self._make_room(len(data), 1)  # now that it is certain what for
            part.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink()
            raise
        self._add(path, len(data))
        return path

    def _make_folder(self) -> None:
        """Make the folder if it is not there, or no longer."""
        if self._folder.is_dir():
            return
        above = self._folder.parent
        above.mkdir(parents=True, exist_ok=True)
        if above.name == ".scorehost":  # before there is anything that git must not take
            (above / ".gitignore").write_text("*\n")
        self._folder.mkdir(mode=0o700, exist_ok=True)

    def _add(self, path: Path, size: int) -> None:
        self._files.append((path, size))
        self._bytes += size

    def _make_room(self, size: int = 0, count: int = 0) -> None:
        """Delete the oldest until so many bytes and files more are within the bounds."""
        while self._files and (
            len(self._files) + count > self._count or self._bytes + size > self._size
        ):
            oldest, freed = self._files[0]
            oldest.unlink(missing_ok=True)
            self._files.popleft()
            self._bytes -= freed


def file_part(request_id: str) -> str:
    """An id as part of a file name."""
    return re.sub(r"[^A-Za-z0-9-]", "_", request_id)[:80]


def read_record(path: Path, largest: int) -> dict[str, Any]:
    """Read one recorded request, which may have come from anybody.

    Parameters
    ----------
    path : the file.
    largest : the most bytes that it may have.

    Raises
    ------
    UsageError
        The file cannot be read, or is not a recorded request.
    """
    try:
        document = json.loads(_content_of(path, largest))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not JSON: {error}. {_CURE}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise UsageError(f"{path} is not a request recorded by scorehost.")
    wrong = [name for name, is_right in _MEMBERS.items() if not is_right(document.get(name))]
    if wrong:
        raise UsageError(
            f"{path} is a recorded request, but it is damaged; missing or invalid: "
            f"{', '.join(wrong)}. {_CURE}"
        )
    return document


def leads_out(path: Path, folder: Path) -> bool:
    """Whether a path ends outside of a folder when links are followed."""
    # pathlib's resolve() raises where links go round.
    return not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _content_of(path: Path, largest: int) -> bytes:
    """The bytes of a file, if it is one and lies where its name says.

    A folder of records that somebody sent may hold a link to any file of this machine, a pipe on
    which a reader waits for ever, or a file without an end.
    """
    if leads_out(path, path.parent):
        raise UsageError(
            f"{path} is a link to {os.path.realpath(path)}, which is outside its folder, so it was "
            "not read. If that is the record you mean, name that file instead."
        )
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):
        raise UsageError(f"{path} is not a regular file, so it cannot be a recorded request.")
    with path.open("rb") as file:
        content = file.read(largest + 1)
    if len(content) > largest:
        raise UsageError(
            f"{path} has {max(len(content), facts.st_size):,} bytes; at most {largest:,} are read. "
            "If it is a recorded request, allow for its size with --record-bytes."
        )
    return content


def _is_text(value: object) -> bool:
    """Whether text can be printed and sent on: JSON can also hold lone surrogates."""
    try:
        return isinstance(value, str) and b"\0" not in value.encode("utf-8")
    except UnicodeEncodeError:
        return False


def _is_line(value: object) -> bool:
    return isinstance(value, str) and _LINE.fullmatch(value) is not None


def _are_headers(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(map(_is_line, pair)) for pair in value
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
        and _is_text(value.get("digest", ""))
    )


_MEMBERS: Final[Mapping[str, Callable[[object], bool]]] = {
    "id": _is_line,
    "script": _is_text,
    "method": _is_line,
    "target": _is_line,
    "headers": _are_headers,
    "body": _is_body,
    "remote_address": _is_line,
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
    # pathlib raises where a name is too long for a file, as an id may be; these say no.
    if os.path.isdir(wanted):  # noqa: PTH112
        return all_records(path)
    if os.path.lexists(wanted):
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
        problem = "has no recorded requests" if folder.is_dir() else "does not exist"
        raise UsageError(
            f"The folder {folder} {problem}. A server records requests in debug mode "
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
