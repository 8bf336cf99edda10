"""Recorded requests: what is written, what is masked, what goes first, what is compared."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scorehost.dev import request_history
from scorehost.dev.recording import (
    Recorder,
    as_bytes,
    as_value,
    compare,
    find_records,
    masked_headers,
    masked_target,
    outcome_of,
)
from scorehost.dev.recording import read_record as read_up_to
from scorehost.dev.request_history import Recording
from scorehost.errors import UsageError

LARGEST = 1 << 20


def read_record(file: Path) -> dict[str, Any]:
    return read_up_to(file, LARGEST)


@pytest.mark.parametrize(
    "name",
    [
        "Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key", "api-key", "X-Auth-Token",
        "Ocp-Apim-Subscription-Key", "x-functions-key", "X-Amz-Security-Token", "X-Secret",
        "X-Password", "X-Hub-Signature-256", "X-Session-Id", "X-JWT-Assertion",
    ],
)  # fmt: skip
def test_secrets_are_masked(name: str):
    assert masked_headers([(name, "s3cr3t")]) == [(name, "***")]


@pytest.mark.parametrize("name", ["Content-Type", "Accept", "User-Agent", "x-request-id", "Host"])
def test_other_headers_stay(name: str):
    assert masked_headers([(name, "value")]) == [(name, "value")]


def test_secrets_in_the_query():
    before = "/score?a=1&code=abc&sig=x%2Fy&access_token=t&keyboard=qwertz&b=2"

    assert masked_target(before) == (
        "/score?a=1&code=***&sig=***&access_token=***&keyboard=qwertz&b=2"
    )


@pytest.mark.parametrize(
    "name",
    [
        "subscription-key", "api-key", "api_key", "auth", "pwd", "PWD", "sas", "sig", "code", "key",
        "access%5Ftoken", "client_secret", "X-Amz-Signature", "function_key",
    ],
)  # fmt: skip
def test_names_of_secrets_in_the_query(name: str):
    assert masked_target(f"/score?a=1&{name}=s3cr3t&b") == f"/score?a=1&{name}=***&b"


@pytest.mark.parametrize("query", ["", "?", "?a", "?a=1&&keyboard=2", "?x=sig", "?key=", "?%ff=1"])
def test_other_queries_stay(query: str):
    assert masked_target("/score" + query) == "/score" + query


@pytest.mark.parametrize("body", [b"", b"plain", "Füße".encode(), b"\xff\x00", b"{}"])
def test_bodies_come_back_as_they_were(body: bytes):
    assert as_bytes(json.loads(json.dumps(as_value(body)))) == body


def document(identity: str, size: int = 0) -> dict[str, Any]:
    return {
        "format": 1, "id": identity, "script": "main.py", "method": "POST", "target": "/score",
        "headers": [["Host", "x"]], "body": "x" * size, "remote_address": "127.0.0.1",
        "streamed": False, "outcome": outcome(200),
    }  # fmt: skip


def test_the_oldest_go_first_by_count(tmp_path: Path):
    recorder = Recorder(tmp_path, 3, 1 << 20)
    for number in range(5):
        recorder.keep(document(f"id{number}"))

    assert [read_record(file)["id"] for file in sorted(tmp_path.glob("*.json"))] == [
        "id2", "id3", "id4",
    ]  # fmt: skip


def test_the_oldest_go_first_by_size_and_those_of_earlier_servers_count(tmp_path: Path):
    Recorder(tmp_path, 100, 8000).keep(document("first", 1600))
    recorder = Recorder(tmp_path, 100, 8000)
    for number in range(4):
        recorder.keep(document(f"id{number}", 1600))

    kept = [read_record(file)["id"] for file in sorted(tmp_path.glob("*.json"))]
    assert "first" not in kept
    assert len(kept) == 4
    assert sum(file.stat().st_size for file in tmp_path.glob("*.json")) <= 8000


def test_files_of_others_stay(tmp_path: Path):
    """A folder of records may hold what people put there."""
    others = ["cases.json", "20260101-notes.json", "20260101-000000-000001-a.b.json"]
    for name in others:
        (tmp_path / name).write_text("{}")
    for number in range(3):
        Recorder(tmp_path, 1, 1 << 20).keep(document(f"id{number}"))

    left = {file.name for file in tmp_path.iterdir()}
    assert left.issuperset(others)
    assert [name.rpartition("-")[2] for name in left.difference(others)] == ["id2.json"]


def test_what_is_too_large_is_not_kept(tmp_path: Path):
    assert Recorder(tmp_path, 100, 4000).keep(document("large", 1001)) is None
    assert list(tmp_path.iterdir()) == []


def test_only_their_owner_may_read_them(tmp_path: Path):
    folder = tmp_path / ".scorehost" / "requests"
    file = Recorder(folder, 10, 1 << 20).keep(document("../up/a b"))

    assert file is not None
    assert file.parent == folder
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (folder.parent / ".gitignore").read_text() == "*\n"
    assert find_records(folder, "../up/a b") == [file]


def test_what_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(UsageError, match="No recorded request nothing was found"):
        find_records(tmp_path, "nothing")
    (tmp_path / "other.json").write_text("[1]")
    with pytest.raises(UsageError, match="is not a request recorded by scorehost"):
        read_record(tmp_path / "other.json")


@pytest.mark.parametrize(
    "damage",
    [
        {"headers": [["only one"]]}, {"headers": None}, {"id": 4}, {"target": None},
        {"body": {"base64": "?"}}, {"body": {}}, {"body": None}, {"body": "\ud800"},
        {"outcome": {}}, {"outcome": {"status": "200"}}, {"streamed": None}, {"method": []},
        {"id": "a\nsame     b"}, {"id": "\u0142"}, {"method": "GET\r\nX: y"}, {"target": "/\ud800"},
        {"headers": [["X-A", "b\r\nX-C: d"]]}, {"headers": [["X-A", "\u2028"]]},
        {"headers": {"a": "b"}}, {"headers": [["a", 1]]}, {"body": {"base64": 7}}, {"body": 7},
        {"script": "main.py\0"}, {"script": ["main.py"]}, {"script": "\udcff.py"},
        {"remote_address": "1\n2"}, {"streamed": 1},
    ],
)  # fmt: skip
def test_a_damaged_record_is_named(tmp_path: Path, damage: dict[str, Any]):
    file = tmp_path / "1.json"
    file.write_text(json.dumps(document("1") | damage))

    with pytest.raises(UsageError, match=f"damaged; missing or invalid: {next(iter(damage))}\\."):
        read_record(file)
    file.write_text('{"format": 1}')
    with pytest.raises(UsageError, match="damaged; missing or invalid: id, script"):
        read_record(file)


@pytest.mark.parametrize(
    "change",
    [
        {"status": True}, {"status": 200.0}, {"status": None}, {"bytes": "2"}, {"bytes": None},
        {"body": 7}, {"body": {"base64": "?"}}, {"error": None}, {"error": "\ud800"},
        {"digest": ["a"]}, {"digest": None},
    ],
)  # fmt: skip
def test_a_damaged_outcome_is_named(tmp_path: Path, change: dict[str, Any]):
    """As in a record whose digest is a list, which could not be compared."""
    file = tmp_path / "1.json"
    file.write_text(json.dumps(document("1") | {"outcome": outcome(200) | change}))

    with pytest.raises(UsageError, match="damaged; missing or invalid: outcome\\. Delete"):
        read_record(file)


# -- records that somebody sent -------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"format": 1, "id": "a',
        b"\xff\xfe\x00",
        b"[" * 200_000,
        b"9" * 5000,
        b"\0" * 99,
    ],
    ids=["empty", "begun", "half", "no text", "deep", "large number", "zeros"],
)
def test_what_is_no_json_is_said(tmp_path: Path, content: bytes):
    (tmp_path / "1.json").write_bytes(content)

    with pytest.raises(UsageError, match=r"1\.json is not JSON: .+ Delete the file, or record"):
        read_record(tmp_path / "1.json")


def link(to: str):
    return lambda path: path.symlink_to(to)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (link("/etc/passwd"), "is a link to /etc/passwd, which is outside its folder, so it"),
        (link("../secret.json"), "outside its folder, so it was not read. If that is the record"),
        (link("/dev/zero"), "is a link to /dev/zero, which is outside its folder"),
        (link("sub/../../secret.json"), "outside its folder"),
        (link("1.json"), "1.json cannot be read: Too many levels of symbolic links"),
        (link("gone.json"), "1.json cannot be read: No such file"),
        (os.mkfifo, "1.json is not a regular file"),
        (Path.mkdir, "1.json is not a regular file"),
    ],
)
def test_a_record_is_a_file_of_its_folder(tmp_path: Path, make: Any, said: str):
    """Whatever else a folder may hold is neither read nor waited for."""
    (tmp_path / "secret.json").write_text(json.dumps(document("secret")))
    folder = tmp_path / "sent"
    (folder / "sub").mkdir(parents=True)
    make(folder / "1.json")

    with pytest.raises(UsageError) as refused:
        read_record(folder / "1.json")

    assert said in str(refused.value)


def test_links_within_a_folder_are_followed(tmp_path: Path):
    """As the volumes of a cluster have them; and a folder may itself be reached by a link."""
    (tmp_path / "real" / "data").mkdir(parents=True)
    (tmp_path / "real" / "data" / "1").write_text(json.dumps(document("a")))
    (tmp_path / "real" / "1.json").symlink_to("data/1")
    (tmp_path / "seen").symlink_to("real")

    assert read_record(tmp_path / "seen" / "1.json")["id"] == "a"


def test_a_record_without_an_end(tmp_path: Path):
    """Of a file as large as this nothing is kept in memory but what may be a record."""
    file = tmp_path / "1.json"
    file.write_text(json.dumps(document("a")))
    os.truncate(file, 1 << 40)

    with pytest.raises(UsageError, match=r"has 1,099,511,627,776 bytes; at most 1,048,576 are"):
        read_record(file)


def test_the_largest_record_is_read(tmp_path: Path):
    whole = json.dumps(document("a"))
    file = tmp_path / "1.json"
    file.write_text(whole.ljust(LARGEST))
    assert read_record(file)["id"] == "a"

    file.write_text(whole.ljust(LARGEST + 1))
    with pytest.raises(UsageError, match="allow for its size with --record-bytes"):
        read_record(file)


def test_an_id_that_is_too_long_for_a_file(tmp_path: Path):
    identity = "x" * 300
    file = Recorder(tmp_path, 10, 1 << 20).keep(document(identity))

    assert find_records(tmp_path, identity) == [file]
    with pytest.raises(UsageError, match="No recorded request y"):
        find_records(tmp_path, "y" * 5000)


# -- disks that fail ------------------------------------------------------------------------


def files_of(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


@pytest.mark.parametrize("what", ["open", "replace", "unlink"])
def test_what_fails_to_be_written_leaves_all_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
):
    recorder = Recorder(tmp_path, 3, 1 << 20)
    for number in range(3):
        recorder.keep(document(f"id{number}"))
    before = files_of(tmp_path)

    def fail(path: Any, *_: Any) -> Any:
        raise OSError(errno.EIO, "I/O error", str(path))

    unlink = Path.unlink

    def fail_for_records(path: Path, **_: Any) -> None:
        """Of its own half a recorder can still be rid."""
        unlink(path) if path.suffix == ".part" else fail(path)

    with monkeypatch.context() as patch:
        if what == "unlink":
            patch.setattr(Path, "unlink", fail_for_records)
        else:
            patch.setattr(os if what == "open" else Path, what, fail)
        for _ in range(3):
            with pytest.raises(OSError, match="I/O error"):
                recorder.keep(document("new"))
        assert files_of(tmp_path) - before == set()
    assert len(before & files_of(tmp_path)) == (2 if what == "replace" else 3)

    recorder.keep(document("later"))
    assert len(files_of(tmp_path)) == 3
    assert [read_record(file)["id"] for file in sorted(tmp_path.iterdir())][-1] == "later"


def test_a_half_that_a_killed_server_left_goes_with_the_oldest(tmp_path: Path):
    half = tmp_path / "20200101-000000-000001-x.part"
    half.write_text('{"format": 1, "id"')
    recorder = Recorder(tmp_path, 2, 1 << 20)
    recorder.keep(document("a"))
    assert half.exists()

    recorder.keep(document("b"))
    assert not half.exists()
    assert len(files_of(tmp_path)) == 2


def test_a_folder_that_is_removed_comes_back(tmp_path: Path):
    folder = tmp_path / ".scorehost" / "requests"
    recorder = Recorder(folder, 2, 1 << 20)
    recorder.keep(document("a"))
    shutil.rmtree(folder.parent)

    for name in "bcd":
        recorder.keep(document(name))

    assert [read_record(file)["id"] for file in sorted(folder.iterdir())] == ["c", "d"]
    assert (folder.parent / ".gitignore").read_text() == "*\n"


def test_git_is_kept_out_before_there_is_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A disk that is full at that moment must not leave the folder open to git for ever."""
    recorder = Recorder(tmp_path / ".scorehost" / "requests", 2, 1 << 20)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(OSError, match="No space left"):
            recorder.keep(document("a"))
    recorder.keep(document("a"))

    assert (tmp_path / ".scorehost" / ".gitignore").read_text() == "*\n"


def test_a_folder_that_cannot_be_read_is_no_reason_not_to_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fails(*_: Any) -> Any:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(Path, "glob", fails)

    assert Recorder(tmp_path, 2, 1 << 20).keep(document("a")) is not None


@pytest.fixture
def recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A recording, its lines of the log, and a clock that is told."""
    said: list[str] = []
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(request_history, "time", SimpleNamespace(monotonic=lambda: clock.now))
    log: Any = SimpleNamespace(error=said.append, warning=said.append)
    made = Recording(Recorder(tmp_path, 100, 1 << 20), tmp_path, log)
    return SimpleNamespace(keep=made.keep, said=said, clock=clock)


@pytest.mark.parametrize("number", ["ENOSPC", "EIO", "EACCES", "EROFS", "EDQUOT", "EFBIG"])
def test_recording_goes_on_after_any_failure(
    recording: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: str
):
    """One line when it stops, one when it goes on, with what is missing."""
    code = getattr(errno, number)

    def fail(*_: Any) -> int:
        raise OSError(code, os.strerror(code))

    recording.keep(document("a"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", fail)
        for _ in range(5):
            recording.keep(document("b"))
            recording.clock.now += 0.001
        assert len(recording.said) == 1
        assert (
            f"requests cannot be recorded in {tmp_path}: {os.strerror(code)}" in recording.said[0]
        )
    recording.keep(document("c"))
    assert len(recording.said) == 1, "not before its pause is over"
    recording.clock.now += 31
    recording.keep(document("d"))
    recording.keep(document("e"))

    assert recording.said[1:] == [
        "requests are recorded again; 6 in the meantime were not recorded"
    ]
    kept = [read_record(file)["id"] for file in sorted(tmp_path.iterdir())]
    assert kept == ["a", "d", "e"]


def test_a_disk_is_tried_at_once_and_then_less_and_less(
    recording: Any, monkeypatch: pytest.MonkeyPatch
):
    tried: list[float] = []

    def fail(*_: Any) -> int:
        tried.append(recording.clock.now)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "open", fail)
    for _ in range(1000):
        recording.keep(document("a"))
        recording.clock.now += 1 / 64

    assert [after - before for before, after in pairwise(tried)] == [1 / 64, 0.25, 0.5, 1, 2, 4]
    assert len(recording.said) == 1


# -- comparing ------------------------------------------------------------------------------


def outcome(status: int, body: bytes = b"{}", error: str = "") -> dict[str, Any]:
    return outcome_of(status, "application/json", body, error)


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        (outcome(200, b'{"a": 1, "b": 2}'), outcome(200, b'{"b":2,"a":1}'), "same"),
        (outcome(200, b"1"), outcome(200, b"2"), "changed"),
        (outcome(200), outcome(201), "changed"),
        (outcome(500, error="KeyError"), outcome(200), "fixed"),
        (outcome(200), outcome(500, error="KeyError"), "broken"),
        (outcome(500, error="KeyError"), outcome(500, error="KeyError"), "same"),
        (outcome(500, error="KeyError"), outcome(500, error="TypeError"), "changed"),
        (outcome(400, error="UnusableBody"), outcome(500, error="TypeError"), "changed"),
        (outcome(200, b"\xff"), outcome(200, b"\xfe"), "changed"),
        (outcome(200), outcome(200, error="stream"), "broken"),
        (outcome(200, error="stream"), outcome(200), "fixed"),
        (outcome(200, error="stream"), outcome(200, error="stream"), "same"),
    ],
)
def test_verdicts(before: dict[str, Any], after: dict[str, Any], verdict: str):
    assert compare(before, after) == verdict
