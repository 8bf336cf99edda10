"""Sum up sampled stacks by function: what was on top, and what was anywhere below it. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

_LINE = re.compile(r":\d+\)$")


@dataclass(frozen=True)
class Share:
    """One function's part of all samples: on top of the stack, and anywhere in it."""

    function: str
    own: float
    total: float


def shares(lines: Iterable[str]) -> list[Share]:
    """Read ``outer;inner;innermost count`` lines; the largest own share first."""
    own: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.strip().rpartition(" ")
        if not stack:
            continue
        frames = [_LINE.sub(")", frame) for frame in stack.split(";")]
        own[frames[-1]] += int(count)
        for frame in set(frames):
            total[frame] += int(count)
    everything = sum(own.values())
    return [
        Share(name, own[name] / everything, total[name] / everything)
        for name, _ in _ordered(own, total)
    ]


def _ordered(own: Counter[str], total: Counter[str]) -> list[tuple[str, int]]:
    return sorted(total.items(), key=lambda item: (-own[item[0]], -item[1], item[0]))
