"""Limits of the container: what is read from which control groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from scorehost.diagnosis.cgroup import Limits, read_limits

FIXTURES = Path(__file__).parent / "fixtures" / "cgroup"

MIB = 1 << 20


@pytest.mark.parametrize(
    ("fixture", "limits"),
    [
        ("v2_container", Limits(1.5, 512 * MIB, 3, 2)),
        ("v2_pod_limit", Limits(2.0, 768 * MIB, 1, 2)),
        ("v2_unlimited", Limits(None, None, 0, 2)),
        ("v2_foreign_namespace", Limits(0.5, 256 * MIB, None, 2)),
        ("v1_docker", Limits(2.5, 2048 * MIB, 7, 1)),
        ("v1_nested", Limits(0.5, 1024 * MIB, 2, 1)),
        ("v1_old_kernel", Limits(None, 128 * MIB, None, 1)),
        ("damaged", Limits(None, None, None, 2)),
        ("no_mounts", Limits(None, None, None, 0)),
        ("there is no such folder", Limits()),
    ],
)
def test_limits(fixture: str, limits: Limits) -> None:
    """The tightest limit on the way up counts; kills are counted in the group itself."""
    assert read_limits(FIXTURES / fixture) == limits


def test_this_machine() -> None:
    """Whatever it is, it has a version and no nonsense."""
    limits = read_limits()

    assert limits.version in {0, 1, 2}
    assert limits.cpus is None or limits.cpus > 0
    assert limits.memory_bytes is None or limits.memory_bytes > MIB
