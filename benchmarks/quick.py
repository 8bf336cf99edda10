"""How fast is it here? Ours beside a bare WSGI app on gunicorn's sync worker, in a minute.

Both from this environment, so that nothing needs to be installed. Few and short samples: good
for noticing, not for quoting; ``make bench-peers`` is for quoting.
"""

from __future__ import annotations

import body
import latency
import throughput
from harness import machine, table
from harness.trial import spread_of
from peers import catalogue
from throughput import Plan


def main() -> None:
    specs = [catalogue.ours(), catalogue.baseline()]
    found = {**machine.describe(), **machine.commit()}
    print(", ".join(f"{name} {value}" for name, value in found.items()), end="\n\n")
    busy = throughput.measure(specs, Plan(rounds=3, seconds=4, connections=64))
    print(throughput.as_table(busy, specs, catalogue.OURS_NAME))
    single = throughput.measure(specs, Plan(rounds=3, seconds=2, connections=1))
    print(latency.as_table(single, specs))
    ours = catalogue.OURS_NAME
    added = body.measure(catalogue.ours(), calls=20)
    rows = [
        ["first answer after start, s", spread_of(busy, ours, "first_answer_s").text(2)],
        ["memory of the tree (PSS), MB", spread_of(busy, ours, "pss_mb").text()],
        ["added to a 2 MB body, ms", body.shown(added.added, 2)],
    ]
    print(table.markdown([ours, "median"], rows))


if __name__ == "__main__":
    main()
