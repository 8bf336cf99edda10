"""Ours and every peer, in turn: throughput, latency, start, memory and a large body.

Installs each peer into an environment of its own first. About half an hour with ten rounds; the
tables, the samples and the chart go to ``results/``.
"""

from __future__ import annotations

import argparse

import body
import latency
import start
import throughput
from peers import catalogue
from peers.environments import prepare


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("servers", nargs="*", help="which servers; all when none is named")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=int, default=5)
    options = parser.parse_args()
    names = options.servers or [catalogue.OURS_NAME, *catalogue.PEERS]
    prepare(names)
    rounds, seconds = options.rounds, options.seconds
    throughput.run(names, catalogue.OURS_NAME, throughput.Plan(rounds, seconds))
    latency.run(names, rounds, min(seconds, 3))
    start.run(names, rounds)
    body.run(names, rounds=max(1, rounds // 3), calls=25)


if __name__ == "__main__":
    main()
