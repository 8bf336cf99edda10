"""Recorded requests: what is written, what is masked, what goes first, what is compared."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from scorehost.dev.recording import (
    Recorder,
    as_bytes,
    as_value,
    compare,
    find_records,
    masked_headers,
    masked_target,
    outcome_of,
    read_record,
)
from scorehost.errors import UsageError


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
