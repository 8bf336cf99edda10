"""The life of workers as tables: what happens, and what is to be done about it.

A row is an event and the actions that it must lead to, in order. Workers are named by their number;
``+5`` lets five seconds pass. What is logged for whoever looks closely (DEBUG) is left out.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any, TypeAlias

import pytest

from scorehost.front.workers import lifecycle as life
from scorehost.front.workers.capacity import Memory
from scorehost.front.workers.lifecycle import Action, Death, Lifecycle
from scorehost.front.workers.recycling import Recycling
from scorehost.front.workers.roster import Member

MIB = 1 << 20
Table: TypeAlias = list[tuple[str, list[str]]]


class Stand:
    """A machine, its clock, and the words of the tables."""

    def __init__(
        self, workers: int = 2, *, requests: int = 0, memory: int = 0, **options: Any
    ) -> None:
        recycling = partial(Recycling, requests, memory * MIB, chance=lambda: 0.0)
        if "memory_limit" in options:
            options["memory_limit"] *= MIB
        self.machine = Lifecycle(workers, recycling=recycling, **options)
        self.now = 1000.0
        self.known: dict[int, Member] = {}

    def tell(self, event: str) -> list[str]:
        """What an event leads to."""
        what, *words = event.split()
        if what.startswith("+"):
            self.now += float(what)
            return []
        actions: list[Action] = getattr(self, what)(*words)
        for member in self.machine.roster.members:
            self.known[member.index] = member
            member.pid = 100 + member.index
        return [text for action in actions if (text := shown(action))]

    # -- events ---------------------------------------------------------------------------

    def start(self) -> list[Action]:
        return self.machine.start(self.now)

    def fill(self) -> list[Action]:
        return self.machine.fill(self.now)

    def ready(self, number: str, mib: str = "50") -> list[Action]:
        return self.machine.ready(self.known[int(number)], int(mib) * MIB, self.now)

    def loader(self, number: str, *refusal: str) -> list[Action]:
        return self.machine.loader_ready(self.known[int(number)], " ".join(refusal), self.now)

    def dies(self, number: str, reason: str = "signal") -> list[Action]:
        death = Death(reason, f"worker {number} died", {"of": int(number)})
        return self.machine.ended(self.known[int(number)], death, self.now)

    def dies_with_its_loader(self, *numbers: str) -> list[Action]:
        *children, loader = (self.known[int(number)] for number in numbers)
        assert self.machine.is_ending(loader) == children
        actions = []
        for child in children:
            death = Death("signal", f"{child} died", came_with_loader=True)
            expected = child.state == "retiring"
            actions += self.machine.ended(child, None if expected else death, self.now)
        return actions + self.dies(numbers[-1])

    def ends(self, number: str) -> list[Action]:
        return self.machine.ended(self.known[int(number)], None, self.now)

    def refused(self, *numbers: str) -> list[Action]:
        members = [self.known[int(number)] for number in numbers]
        return self.machine.could_not_start(members, "no room for a process", self.now)

    def reload(self, anew: str = "") -> list[Action]:
        return self.machine.reload(self.now, anew=bool(anew))

    def answers(self, number: str, scored: str, idle: str = "") -> list[Action]:
        member = self.known[int(number)]
        return self.machine.answered(member, int(scored), idle=bool(idle), now=self.now)

    def holds(self, number: str, mib: str) -> list[Action]:
        return self.machine.measured(self.known[int(number)], int(mib) * MIB, self.now)

    def measured(self, used: str, another: str) -> list[Action]:
        return self.machine.room_measured(Memory(int(used) * MIB, int(another) * MIB), self.now)

    def stop(self, *busy: str) -> list[Action]:
        return self.machine.stop([self.known[int(number)] for number in busy])

    def kill_all(self) -> list[Action]:
        return self.machine.kill_all()


def shown(action: Action) -> str:
    """An action in the words of the tables."""
    match action:
        case life.Start(member, None):
            return f"start {'loader ' if member.is_loader else ''}{member.index}"
        case life.Start(member, loader):
            return f"fork {member.index} from {loader.index}"
        case life.Serve(m) | life.Retire(m) | life.End(m) | life.Kill(m):
            return f"{type(action).__name__.lower()} {m.index}"
        case life.FillLater(pause):
            return f"fill in {pause:g}"
        case life.Measure(newest):
            return f"measure {newest.index}"
        case life.Note(level, text, _):
            return "" if level == logging.DEBUG else f"{logging.getLevelName(level)}: {text}"
        case life.Died(reason, _):
            return f"died: {reason}"
        case life.StartFailed(report) | life.Report(report):
            return f"{type(action).__name__} {report['of']}"
        case life.Reloaded(succeeded):
            return "reloaded" if succeeded else "reload failed"
        case _:
            return type(action).__name__


def follow(stand: Stand, table: Table) -> None:
    for row, (event, expected) in enumerate(table):
        assert stand.tell(event) == expected, f"row {row}: {event}"


UP: Table = [
    ("start", ["start 1", "start 2"]),
    ("+0.5", []),
    ("ready 1", ["serve 1", "INFO: ready to score after 0.50 s (worker pid 101)"]),
    ("ready 2", ["serve 2"]),
]
RELOADING = "INFO: reloading: starting new workers beside the old ones"
STAYS = "ERROR: the reload failed; the previous workers keep serving"


@pytest.mark.parametrize(
    "table",
    [
        pytest.param(UP, id="both serve as soon as each can"),
        pytest.param(
            [
                ("start", ["start 1", "start 2"]),
                ("refused 1 2", ["ERROR: no room for a process", "fill in 0"]),
                ("fill", ["start 3", "start 4"]),
                ("refused 4", ["ERROR: no room for a process", "fill in 0.25"]),
                ("ready 3", ["serve 3", "INFO: ready to score after 0.00 s (worker pid 103)",
                             "start 5"]),
                ("ready 5", ["serve 5"]),
            ],
            id="what could not be started is started later",
        ),
        pytest.param(
            [
                ("start", ["start 1", "start 2"]),
                ("dies 1", ["died: signal", "StartFailed 1"]),
                ("dies 2", ["died: signal"]),
                ("fill", ["start 3", "start 4"]),
            ],
            id="a script that fails at the start is told once and not started again by itself",
        ),
        pytest.param(
            [
                ("start", ["start 1", "start 2"]),
                ("dies 1", ["died: signal", "StartFailed 1"]),
                ("ready 2", ["serve 2", "INFO: ready to score after 0.00 s (worker pid 102)",
                             "start 3"]),
            ],
            id="unless another worker can score",
        ),
    ],
)  # fmt: skip
def test_start(table: Table):
    follow(Stand(), table)


@pytest.mark.parametrize(
    "table",
    [
        pytest.param(
            [
                *UP,
                ("dies 1", ["died: signal", "ERROR: worker 1 died", "fill in 0"]),
                ("fill", ["start 3"]),
                ("ready 3", ["serve 3"]),
                ("+61", []),
                ("dies 2", ["died: signal", "ERROR: worker 2 died", "fill in 0"]),
            ],
            id="once: it is replaced at once, and forgotten after a minute",
        ),
        pytest.param(
            [
                *UP,
                ("dies 1", ["died: signal", "ERROR: worker 1 died", "fill in 0"]),
                ("dies 2", ["died: signal", "ERROR: worker 2 died", "fill in 0.25"]),
                ("fill", ["start 3", "start 4"]),
                ("ready 3", ["serve 3"]),
                ("dies 3", ["died: signal", "ERROR: worker 3 died", "fill in 0.5"]),
                ("ready 4", ["serve 4", "start 5"]),
                ("dies 4", ["died: signal", "ERROR: worker 4 died",
                            "WARNING: 4 scoring processes have ended within 60 s; the next one "
                            "starts in 1 s", "fill in 1"]),
                ("ready 5", ["serve 5", "start 6"]),
                ("dies 5", ["died: signal", "ERROR: worker 5 died",
                            "WARNING: 5 scoring processes have ended within 60 s; the next one "
                            "starts in 2 s", "fill in 2"]),
                ("ready 6", ["serve 6", "start 7"]),
                ("dies 6", ["died: signal", "ERROR: worker 6 died",
                            "WARNING: 6 scoring processes have ended within 60 s; the next one "
                            "starts in 4 s", "fill in 4", "NobodyServes"]),
            ],
            id="again and again: after longer and longer pauses",
        ),
        pytest.param(
            [
                *UP,
                ("dies 1", ["died: signal", "ERROR: worker 1 died", "fill in 0"]),
                ("fill", ["start 3"]),
                ("dies 3", ["died: signal", "Report 3", "fill in 0.25"]),
                ("dies 2", ["died: signal", "ERROR: worker 2 died", "fill in 0.5",
                            "NobodyServes"]),
            ],
            id="and its replacement does not start: nobody waits when the last one goes",
        ),
    ],
)  # fmt: skip
def test_a_worker_dies(table: Table):
    follow(Stand(), table)


@pytest.mark.parametrize(
    "table",
    [
        pytest.param(
            [
                ("start", ["start loader 1"]),
                ("fill", []),
                ("loader 1", ["fork 2 from 1", "fork 3 from 1"]),
                ("ready 2", ["serve 2", "INFO: ready to score after 0.00 s (worker pid 102)"]),
                ("ready 3", ["serve 3"]),
                ("dies 2", ["died: signal", "ERROR: worker 2 died", "fill in 0"]),
                ("fill", ["fork 4 from 1"]),
            ],
            id="workers are forked from the loader",
        ),
        pytest.param(
            [
                ("start", ["start loader 1"]),
                ("loader 1 threads were started",
                 ["WARNING: WORKER_PRELOAD is set, but the workers are not forked: threads were "
                  "started. Each worker runs init() itself. To share the model, do not start "
                  "threads or use CUDA in init() or at import.", "end 1", "start 2", "start 3"]),
                ("ends 1", []),
                ("ready 2", ["serve 2", "INFO: ready to score after 0.00 s (worker pid 102)"]),
            ],
            id="unless it cannot be forked",
        ),
        pytest.param(
            [
                ("start", ["start loader 1"]),
                ("dies 1", ["died: signal", "StartFailed 1"]),
            ],
            id="a loader that fails is the script's failure",
        ),
        pytest.param(
            [
                ("start", ["start loader 1"]),
                ("loader 1", ["fork 2 from 1", "fork 3 from 1"]),
                ("ready 2", ["serve 2", "INFO: ready to score after 0.00 s (worker pid 102)"]),
                ("ready 3", ["serve 3"]),
                ("dies_with_its_loader 2 3 1",
                 ["died: signal", "ERROR: worker 2 (pid 102) died",
                  "died: signal", "ERROR: worker 3 (pid 103) died",
                  "died: signal", "ERROR: worker 1 died", "fill in 0"]),
                ("fill", ["start loader 4"]),
            ],
            id="a loader takes its children along, and all count as one end",
        ),
        pytest.param(
            [
                ("start", ["start loader 1"]),
                ("loader 1", ["fork 2 from 1", "fork 3 from 1"]),
                ("ready 2", ["serve 2", "INFO: ready to score after 0.00 s (worker pid 102)"]),
                ("ready 3", ["serve 3"]),
                ("reload", [RELOADING, "start loader 4"]),
                ("loader 4", ["fork 5 from 4", "fork 6 from 4"]),
                ("ready 5", []),
                ("ready 6", ["serve 5", "serve 6", "retire 2", "retire 3",
                             "INFO: reloaded: 2 new workers are serving", "reloaded"]),
                ("answers 2 10 idle", ["end 2"]),
                ("ends 2", []),
                ("answers 3 10 idle", ["end 3"]),
                ("ends 3", ["end 1"]),
                ("ends 1", []),
            ],
            id="a reload has a loader of its own, and the old one ends after its children",
        ),
    ],
)  # fmt: skip
def test_preload(table: Table):
    follow(Stand(preload=True), table)


def test_the_time_that_init_takes_in_the_loader_counts():
    follow(
        Stand(1, preload=True),
        [
            ("start", ["start loader 1"]),
            ("+1.5", []),
            ("loader 1", ["fork 2 from 1"]),
            ("ready 2", ["serve 2", "INFO: ready to score after 1.50 s (worker pid 102)"]),
        ],
    )


def test_nothing_is_forked_from_a_loader_that_is_ending():
    """Its last child was about to go, so there is room, and nobody to fork it from."""
    settled = (
        "INFO: 2 scoring workers instead of 3 (WORKER_COUNT=auto): one more would need 300 MiB "
        "of memory; 700 MiB of 1000 MiB is in use, and a tenth is kept free for requests"
    )
    follow(
        Stand(3, preload=True, memory_limit=1000, memory=100),
        [
            ("start", ["start loader 1"]),
            ("loader 1", ["fork 2 from 1"]),
            ("ready 2", ["serve 2", "INFO: ready to score after 0.00 s (worker pid 102)",
                         "measure 2"]),
            ("measured 400 300", ["fork 3 from 1"]),
            ("+1", []),
            ("ready 3", ["serve 3", "measure 3"]),
            ("measured 700 300", [settled]),
            ("holds 3 150",
             ["INFO: worker 3 (pid 103) is being replaced: it holds 150 MiB of memory",
              "retire 3"]),
            ("dies_with_its_loader 2 3 1",
             ["died: signal", "ERROR: worker 2 (pid 102) died", "start loader 4",
              "died: signal", "ERROR: worker 1 died", "fill in 0"]),
            ("fill", []),
            ("loader 4", ["fork 5 from 4"]),
        ],
    )  # fmt: skip


def test_a_reload_after_one_that_failed_does_not_wait_for_what_is_left_of_that():
    follow(
        Stand(),
        [
            *UP,
            ("reload", [RELOADING, "start 3", "start 4"]),
            ("dies 3", ["died: signal", "Report 3", "kill 4", STAYS, "reload failed"]),
            ("reload", [RELOADING, "start 5", "start 6"]),
            ("ready 5", []),
            ("ready 6", ["serve 5", "serve 6", "retire 1", "retire 2",
                         "INFO: reloaded: 2 new workers are serving", "reloaded"]),
            ("ends 4", []),
        ],
    )  # fmt: skip


@pytest.mark.parametrize(
    "table",
    [
        pytest.param(
            [
                ("reload", [RELOADING, "start 3", "start 4"]),
                ("ready 3", []),
                ("ready 4", ["serve 3", "serve 4", "retire 1", "retire 2",
                             "INFO: reloaded: 2 new workers are serving", "reloaded"]),
                ("answers 1 5", []),
                ("answers 1 6 idle", ["end 1"]),
                ("ends 1", []),
            ],
            id="works: all new ones serve at once, the old ones finish",
        ),
        pytest.param(
            [
                ("reload", [RELOADING, "start 3", "start 4"]),
                ("ready 3", []),
                ("dies 4", ["died: signal", "Report 4", "kill 3", STAYS, "reload failed"]),
                ("ends 3", []),
                ("fill", []),
            ],
            id="fails: the old ones serve on",
        ),
        pytest.param(
            [
                ("reload", [RELOADING, "start 3", "start 4"]),
                ("dies 1", ["died: signal", "ERROR: worker 1 died", "fill in 0"]),
                ("dies 2", ["died: signal", "ERROR: worker 2 died", "reloaded", "fill in 0.25"]),
                ("ready 3", ["serve 3"]),
                ("ready 4", ["serve 4"]),
            ],
            id="with nothing left to compare: each new one serves as soon as it can",
        ),
        pytest.param(
            [
                ("reload", [RELOADING, "start 3", "start 4"]),
                ("reload", []),
                ("ready 3", []),
                ("ready 4", ["serve 3", "serve 4", "retire 1", "retire 2",
                             "INFO: reloaded: 2 new workers are serving", "reloaded",
                             RELOADING, "start 5", "start 6"]),
            ],
            id="wanted again meanwhile: another one follows",
        ),
        pytest.param(
            [
                ("reload", [RELOADING, "start 3", "start 4"]),
                ("ready 3", []),
                ("reload anew", ["kill 3", "kill 4", RELOADING, "start 5", "start 6"]),
                ("ready 4", []),
                ("ends 3", []),
                ("ends 4", []),
                ("ready 5", []),
                ("ready 6", ["serve 5", "serve 6", "retire 1", "retire 2",
                             "INFO: reloaded: 2 new workers are serving", "reloaded"]),
            ],
            id="begun anew: the one under way is given up",
        ),
    ],
)  # fmt: skip
def test_reload(table: Table):
    follow(Stand(), [*UP, *table])


def test_reload_while_the_first_workers_start():
    """What is half way through the old script is ended; nothing is proved, as nothing serves."""
    follow(
        Stand(),
        [
            ("start", ["start 1", "start 2"]),
            ("reload", [RELOADING, "kill 1", "kill 2", "start 3", "start 4"]),
            ("ready 1", []),
            ("ready 3", ["serve 3", "INFO: ready to score after 0.00 s (worker pid 103)"]),
        ],
    )


def test_reload_after_a_failed_start():
    follow(
        Stand(1),
        [
            ("start", ["start 1"]),
            ("dies 1", ["died: signal", "StartFailed 1"]),
            ("reload", [RELOADING, "start 2"]),
            ("dies 2", ["died: signal", "StartFailed 2"]),
        ],
    )


def test_a_reload_warms_its_workers_up():
    stand = Stand(1, warms_up=True)
    follow(
        stand,
        [
            ("start", ["start 1"]),
            ("ready 1", ["serve 1", "INFO: ready to score after 0.00 s (worker pid 101)"]),
            ("reload", [RELOADING, "start 2"]),
        ],
    )
    assert [stand.known[number].warms_up for number in (1, 2)] == [False, True]


REPLACED = "INFO: worker 1 (pid 101) is being replaced: it has scored 10 requests"


@pytest.mark.parametrize(
    "table",
    [
        pytest.param(
            [
                ("answers 1 9", []),
                ("answers 1 10", ["start 3", REPLACED]),
                ("answers 1 11", []),
                ("ready 3", ["serve 3", "retire 1"]),
                ("answers 1 12 idle", ["end 1"]),
                ("ends 1", []),
            ],
            id="the replacement is ready before the old one goes",
        ),
        pytest.param(
            [
                ("answers 1 10", ["start 3", REPLACED]),
                ("dies 3", ["died: signal", "Report 3", "fill in 0"]),
                ("answers 1 11", ["start 4", REPLACED.replace("10 req", "11 req")]),
            ],
            id="one that fails is tried again",
        ),
        pytest.param(
            [
                ("answers 1 10", ["start 3", REPLACED]),
                ("dies 1", ["died: signal", "ERROR: worker 1 died", "fill in 0"]),
                ("fill", []),
                ("ready 3", ["serve 3"]),
            ],
            id="of one that dies first it takes the place",
        ),
        pytest.param(
            [
                ("answers 1 10", ["start 3", REPLACED]),
                ("reload", [RELOADING, "kill 3", "start 4", "start 5"]),
                ("answers 1 11", []),
            ],
            id="a reload replaces everybody anyway",
        ),
        pytest.param(
            [
                ("answers 1 10", ["start 3", REPLACED]),
                ("refused 3", ["ERROR: no room for a process", "fill in 0"]),
                ("answers 1 11", ["start 4", REPLACED.replace("10 req", "11 req")]),
            ],
            id="one that cannot be started is tried again",
        ),
    ],
)  # fmt: skip
def test_recycling_by_count(table: Table):
    follow(Stand(requests=10), [*UP, *table])


def test_recycling_by_memory():
    follow(
        Stand(memory=100),
        [
            *UP,
            ("holds 1 100", []),
            ("holds 1 101",
             ["start 3", "INFO: worker 1 (pid 101) is being replaced: it holds 101 MiB of memory"]),
            ("ready 3", ["serve 3", "retire 1"]),
            ("holds 1 120", []),
        ],
    )  # fmt: skip


def test_a_memory_mark_that_init_is_above_already_is_told_once():
    follow(
        Stand(1, memory=100),
        [
            ("start", ["start 1"]),
            ("ready 1 120", ["serve 1", "INFO: ready to score after 0.00 s (worker pid 101)"]),
            ("holds 1 130",
             ["WARNING: a worker already holds 120 MiB of memory when init() is done, more than "
              "SCOREHOST_MAX_WORKER_MEMORY (100 MiB); as replacing it would not help, it is kept. "
              "Raise the limit."]),
            ("holds 1 131", []),
        ],
    )  # fmt: skip


FIRST: Table = [
    ("start", ["start 1"]),
    ("fill", []),
    ("ready 1",
     ["serve 1", "INFO: ready to score after 0.00 s (worker pid 101)", "measure 1"]),
    ("fill", []),
]  # fmt: skip
SETTLED = (
    "INFO: 2 scoring workers instead of 4 (WORKER_COUNT=auto): one more would need 300 MiB "
    "of memory; 700 MiB of 1000 MiB is in use, and a tenth is kept free for requests"
)
EVENED = "INFO: restarting worker 1 (pid 101) with a larger share of the CPUs"


@pytest.mark.parametrize(
    "table",
    [
        pytest.param(
            [
                ("measured 400 300", ["start 2"]),
                ("+1", []),
                ("ready 2", ["serve 2", "measure 2"]),
                ("measured 700 300", [SETTLED, EVENED,
                                      "retire 1"]),
                ("answers 1 1 idle", ["end 1"]),
                ("ends 1", ["measure 2"]),
            ],
            id="one after the other, until the next does not fit; then the CPUs are shared anew",
        ),
        pytest.param(
            [
                ("measured 400 300", ["start 2"]),
                ("dies 2 oom", ["died: oom", "Report 2", "fill in 0"]),
                ("fill", ["measure 1"]),
                ("measured 400 0", ["measure 1"]),
            ],
            id="one that dies is replaced when there is room; what has gone is measured again",
        ),
        pytest.param(
            [
                ("measured 700 300", [SETTLED.replace("2 scoring workers", "1 scoring worker")]),
                ("reload", [RELOADING, "start 2"]),
                ("+1", []),
                ("ready 2", ["measure 2"]),
                ("measured 800 300", ["serve 2", "retire 1",
                                      "INFO: reloaded: 1 new worker is serving", "reloaded"]),
                ("answers 1 1 idle", ["end 1"]),
                ("ends 1", ["measure 2"]),
            ],
            id="a reload without room for all switches to those there are",
        ),
        pytest.param([("stop", ["end 1"]), ("measured 100 10", [])], id="nobody comes at the end"),
    ],
)  # fmt: skip
def test_room_for_one_more(table: Table):
    follow(Stand(4, memory_limit=1000), [*FIRST, *table])


@pytest.mark.parametrize(
    ("before", "stop", "after"),
    [
        ([], "stop", ["Empty"]),
        ([("start", ["start 1", "start 2"])], "stop", ["kill 1", "kill 2"]),
        (UP, "stop", ["end 1", "end 2"]),
        (UP, "stop 2", ["end 1", "kill 2"]),
        ([*UP, ("reload", [RELOADING, "start 3", "start 4"])], "stop",
         ["end 1", "end 2", "kill 3", "kill 4"]),
        ([*UP, ("reload", [RELOADING, "start 3", "start 4"]), ("ready 3", [])], "stop",
         ["end 1", "end 2", "end 3", "kill 4"]),
        ([*UP, ("dies 1", ["died: signal", "ERROR: worker 1 died", "fill in 0"])], "stop",
         ["end 2"]),
        (UP, "kill_all", ["kill 1", "kill 2"]),
    ],
    ids=["before the start", "starting", "serving", "busy", "reloading", "proving", "replacing",
         "at once"],
)  # fmt: skip
def test_stop(before: Table, stop: str, after: list[str]):
    """In every state: the processes end, nothing is started any more, and the end is told."""
    stand = Stand()
    follow(stand, [*before, (stop, after), ("fill", []), ("reload", [])])
    there = [member.index for member in stand.machine.roster.members]
    for number in there[:-1]:
        assert stand.tell(f"ends {number}") == []
    if there:
        assert stand.tell(f"dies {there[-1]}") == ["Empty"]


def test_stop_ends_a_loader_after_its_children():
    follow(
        Stand(1, preload=True),
        [
            ("start", ["start loader 1"]),
            ("loader 1", ["fork 2 from 1"]),
            ("stop", ["kill 2"]),
            ("ends 2", ["end 1"]),
            ("ends 1", ["Empty"]),
        ],
    )


def test_whether_a_request_may_wait():
    """Not before anything could score, and not for a start that is far away or has failed."""
    stand = Stand(1)
    machine = stand.machine
    follow(stand, [("start", ["start 1"])])
    assert not machine.will_serve(stand.now)

    stand.tell("ready 1")
    stand.tell("dies 1")
    assert machine.will_serve(stand.now)

    for number in range(2, 7):
        stand.tell("fill")
        stand.tell(f"ready {number}")
        stand.tell(f"dies {number}")
    assert machine.next_start == stand.now + 4.0
    assert not machine.will_serve(stand.now)
    assert machine.will_serve(stand.now + 2.0)

    stand.tell("fill")
    stand.tell("dies 7")
    assert machine.last_failure == {"of": 7}
    assert not machine.will_serve(stand.now + 100)
