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


@pytest.mark.parametrize("body", [b"", b"plain", "Füße".encode(), b"\xff\x00", b"{}"])
def test_bodies_come_back_as_they_were(body: bytes):
    assert as_bytes(json.loads(json.dumps(as_value(body)))) == body


def document(identity: str, size: int = 0) -> dict[str, Any]:
    return {"format": 1, "id": identity, "body": "x" * size}


def test_the_oldest_go_first_by_count(tmp_path: Path):
    recorder = Recorder(tmp_path, 3, 1 << 20)
    for number in range(5):
        recorder.keep(document(f"id{number}"))

    assert [read_record(file)["id"] for file in sorted(tmp_path.glob("*.json"))] == [
        "id2", "id3", "id4",
    ]  # fmt: skip


def test_the_oldest_go_first_by_size_and_those_of_earlier_servers_count(tmp_path: Path):
    Recorder(tmp_path, 100, 4000).keep(document("first", 900))
    recorder = Recorder(tmp_path, 100, 4000)
    for number in range(4):
        recorder.keep(document(f"id{number}", 900))

    kept = [read_record(file)["id"] for file in sorted(tmp_path.glob("*.json"))]
    assert "first" not in kept
    assert len(kept) == 4
    assert sum(file.stat().st_size for file in tmp_path.glob("*.json")) <= 4000


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
    with pytest.raises(UsageError, match="No recorded request nothing"):
        find_records(tmp_path, "nothing")
    (tmp_path / "other.json").write_text("[1]")
    with pytest.raises(UsageError, match="is not a request that scorehost recorded"):
        read_record(tmp_path / "other.json")


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
    ],
)
def test_verdicts(before: dict[str, Any], after: dict[str, Any], verdict: str):
    assert compare(before, after) == verdict
