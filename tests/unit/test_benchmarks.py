"""The parts of the benchmarks that decide what a figure means."""

from __future__ import annotations

import contextlib
import os
import xml.etree.ElementTree as ElementTree

import pytest

from harness import callgrind, chart, figures, processes, results, servers, stacks, table, wrk
from harness.search import RateSearch, Step
from hot_path import HotPath


def test_spread_is_the_median_between_the_extremes():
    found = figures.spread([3.0, 9.0, 1.0, 4.0])

    assert (found.median, found.low, found.high, found.count) == (3.5, 1.0, 9.0, 4)
    assert found.text(1) == "3.5 (1.0–9.0)"
    assert figures.spread([12345.6]).text() == "12,346 (12,346–12,346)"


def test_no_samples_is_an_error():
    with pytest.raises(ValueError, match="no samples"):
        figures.spread([])


def test_ratios_are_taken_within_rounds():
    """The second round met a machine half as fast; the ratio does not notice."""
    found = figures.ratios([10.0, 20.0, 11.0], [100.0, 200.0, 100.0])

    assert (found.low, found.median, found.high) == (0.1, 0.1, 0.11)


def test_ratios_need_as_many_rounds_of_each():
    with pytest.raises(ValueError, match="2 rounds of one and 1 of the other"):
        figures.ratios([1.0, 2.0], [1.0])


def test_servers_take_turns_in_both_orders():
    assert figures.alternation(["a", "b", "c"], 3) == [
        ["a", "b", "c"],
        ["c", "b", "a"],
        ["a", "b", "c"],
    ]


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1.0), (0.2, 1.0), (0.21, 2.0), (0.95, 5.0), (1.0, 5.0)]
)
def test_percentile_is_a_value_that_occurred(share, expected):
    assert figures.percentile([5.0, 1.0, 4.0, 2.0, 3.0], share) == expected


def test_table_lines_up():
    text = table.markdown(["server", "µs"], [["scorehost", "9"], ["other", "1,000"]])

    assert text.splitlines() == [
        "| server    |    µs |",
        "| --------- | ----: |",
        "| scorehost |     9 |",
        "| other     | 1,000 |",
    ]


def test_table_refuses_a_short_row():
    with pytest.raises(ValueError, match="a row of 1 cells under 2 headings"):
        table.markdown(["a", "b"], [["only"]])


def test_chart_is_well_formed_and_to_scale():
    bars = [
        chart.Bar("ours <&>", 200.0, 150.0, 250.0, ours=True),
        chart.Bar("theirs", 100.0, 100.0, 100.0),
    ]

    root = ElementTree.fromstring(chart.bar_chart("Title", "how", "note", bars))

    space = "{http://www.w3.org/2000/svg}"
    page, ours, theirs = root.findall(f"{space}rect")
    assert page.get("class") == "page"
    assert ours.get("class") == "ours"
    assert float(ours.get("width")) == pytest.approx(2 * float(theirs.get("width")), abs=0.2)
    texts = [text.text for text in root.findall(f"{space}text")]
    assert "ours <&>" in texts
    assert "200" in texts
    right_edge = max(float(line.get("x2")) for line in root.findall(f"{space}line"))
    assert right_edge < float(root.get("width"))


def test_wrk_result_is_read():
    line = (
        'BENCH {"requests": 500, "us": 2000000, "p50_us": 1500, "p99_us": 9000, "errors": '
        '{"connect": 0, "read": 0, "write": 0, "status": 0, "timeout": 0}}'
    )

    load = wrk.parse(f"Running 2s test\n{line}\n", client_seconds=0.5)

    assert (load.rate, load.p50_ms, load.p99_ms) == (250.0, 1.5, 9.0)
    assert load.client_seconds == 0.5


def test_errors_spoil_a_load():
    line = 'BENCH {"requests": 5, "us": 1, "p50_us": 1, "p99_us": 1, "errors": {"status": 3}}'

    with pytest.raises(wrk.LoadFailed, match="'status': 3"):
        wrk.parse(line)


def test_wrk_without_a_result_is_an_error():
    with pytest.raises(wrk.LoadFailed, match="no result"):
        wrk.parse("unable to connect")


def test_tree_holds_this_process_with_its_memory_and_time():
    found = processes.tree(os.getpid())

    assert found[0].pid == os.getpid()
    assert found[0].parent == os.getppid()
    assert found[0].seconds > 0
    assert processes.pss(found) > 1 << 20


def test_time_between_readings_counts_newcomers_from_zero():
    def usage(pid: int, user: float) -> processes.Usage:
        return processes.Usage(pid, 1, f"p{pid}", user, 0.0)

    spent = processes.spent_between([usage(1, 5.0), usage(2, 1.0)], [usage(1, 5.5), usage(3, 2.0)])

    assert [(one.pid, one.seconds) for one in spent] == [(3, 2.0), (1, 0.5)]


def test_a_name_with_parentheses_does_not_shift_the_fields():
    name, rest = processes._split_stat("12 (odd) name) S 7 12")

    assert (name, rest) == ("odd) name", ["S", "7", "12"])


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", (200, b"{}")),
        (
            b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
            (503, b"abc"),
        ),
        (b"garbage", (0, b"")),
        (b"", (0, b"")),
    ],
)
def test_answers_are_split(raw, expected):
    assert servers.split_answer(raw) == expected


def test_stacks_are_summed_by_function():
    lines = ["main (a.py:1);work (b.py:9) 3", "main (a.py:2) 1", ""]

    found = {share.function: (share.own, share.total) for share in stacks.shares(lines)}

    assert found == {"work (b.py)": (0.75, 0.75), "main (a.py)": (0.25, 1.0)}


def test_recursion_counts_a_function_once():
    (found,) = stacks.shares(["f (a.py:1);f (a.py:1) 2"])

    assert (found.own, found.total) == (1.0, 1.0)


def test_instructions_per_request_are_what_a_longer_run_adds():
    short, long = {"front": 1_000_000, "worker": 50_000}, {"front": 1_900_000, "worker": 650_000}

    assert callgrind.per_request(short, long, 100) == {"front": 9000.0, "worker": 6000.0}


def test_callgrind_total_is_read():
    assert callgrind.parse_total("events: Ir\nsummary: 12\n\ntotals: 34\n") == 34
    with pytest.raises(callgrind.CountFailed):
        callgrind.parse_total("events: Ir\n")


def test_floats_are_rounded_at_every_depth():
    assert results.rounded({"a": [1.23456789, ("x", 2)], "b": True}) == {
        "a": [1.2346, ["x", 2]],
        "b": True,
    }


def run_search(search: RateSearch, capacity: float) -> None:
    """A server that keeps the limit up to its capacity and no further."""
    for _ in range(60):
        if search.finished:
            return
        latency = 5.0 if search.rate <= capacity else 500.0
        search.report(Step(search.rate, min(search.rate, capacity), latency))
    raise AssertionError("the search did not end")


@pytest.mark.parametrize("capacity", [120.0, 1000.0, 3333.0, 15_000.0])
def test_search_closes_in_on_the_capacity(capacity):
    search = RateSearch(start=100, limit_ms=50)

    run_search(search, capacity)

    assert search.best is not None
    assert capacity * 0.92 <= search.best.wanted <= capacity


def test_search_goes_down_when_the_first_rate_is_too_high():
    search = RateSearch(start=1000, limit_ms=50)

    run_search(search, capacity=70)

    assert search.best is not None
    assert 60 <= search.best.wanted <= 70


def test_search_stops_at_the_highest_rate():
    search = RateSearch(start=100, limit_ms=50, highest=400)

    run_search(search, capacity=1e9)

    assert search.best is not None
    assert search.best.wanted == 400


def test_search_never_tries_a_rate_twice():
    search = RateSearch(start=100, limit_ms=50, grain=20)

    run_search(search, capacity=165)

    tried = [step.wanted for step in search.steps]
    assert len(tried) == len(set(tried))
    assert all(rate % 20 == 0 for rate in tried)
    assert search.best is not None
    assert search.best.wanted == 160


def test_search_ends_when_nothing_is_kept():
    search = RateSearch(start=100, limit_ms=50)

    run_search(search, capacity=0.0)

    assert search.best is None


@pytest.mark.parametrize(
    ("step", "kept"),
    [
        (Step(100, 100, 50.0), True),
        (Step(100, 100, 50.1), False),
        (Step(100, 89, 10.0), False),
        (Step(100, 100, 10.0, failures=1), False),
    ],
)
def test_a_step_is_kept_when_all_three_hold(step, kept):
    assert step.kept(limit_ms=50) is kept


def test_functions_are_read_and_recursive_copies_added_up():
    shown = (
        "Ir                file:function\n"
        " 1,200 ( 9.36%)  not a line of the list\n"
        "1,200  /src/ceval.c:_PyEval_EvalFrameDefault'2 [/lib/libpython3.11.so.1.0]\n"
        "  300  /src/ceval.c:_PyEval_EvalFrameDefault [/lib/libpython3.11.so.1.0]\n"
        "    7  ???:0x000000000001f4d0 []\n"
    )

    assert callgrind.parse_functions(shown) == {
        "_PyEval_EvalFrameDefault (libpython3.11.so.1.0)": 1500,
        "0x000000000001f4d0 (?)": 7,
    }


def test_hot_path_serves_every_connection_each_cycle():
    """The count is of what really happens: all are answered, logged and counted."""
    with contextlib.closing(HotPath()) as path:
        taken = path.cycle() + path.cycle()

    assert taken > 0
    assert path.worker.scored == 128
    assert path.counted() == {("score", 200): 128}
    assert all(connection.idle for connection in path.connections)
