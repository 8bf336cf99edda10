"""One queue, many workers: with real sockets, and time that passes when it is told to."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from scorehost.errors import DeadlineExceeded, HeadersTooLarge, NotReady, Overloaded
from scorehost.front.http.exchange import DONE, WAITING, WRITTEN, Exchange
from scorehost.front.scheduling.dispatcher import DEEPEST, STALL, Dispatcher
from scorehost.front.scheduling.queue_limits import QueueLimits
from scorehost.front.workers.handle import WorkerHandle
from scorehost.settings import Settings
from scorehost.wire import answers, requests
from support.front_parts import FakeClock, Hands, Outlet, exchange, worker_without_process

FAST = 10_000
"""Nanoseconds of a run() that lets requests be written ahead."""
SLOW = 50_000_000
"""Nanoseconds of one that does not."""


class Stand:
    """A dispatcher with some workers, whose hands do what the test says."""

    def __init__(self, closing: ExitStack, workers: int, **settings: int) -> None:
        options = Settings(**settings)  # type: ignore[arg-type] # only limits, which are numbers
        self.clock, self.outlet = FakeClock(), Outlet()
        self.dispatcher = Dispatcher(
            options, QueueLimits(options), self.clock, self.outlet.fail, self.outlet.expired
        )
        self.workers: list[WorkerHandle] = []
        self._hands: list[Hands] = []
        self._closing = closing
        for _ in range(workers):
            self.add_worker()

    def add_worker(self) -> WorkerHandle:
        index = len(self.workers) + 1
        worker, hands = self._closing.enter_context(worker_without_process(index, self.clock.now))
        self.workers.append(worker)
        self._hands.append(hands)
        self.dispatcher.serving.append(worker)
        return worker

    @property
    def worker(self) -> WorkerHandle:
        return self.workers[0]

    @property
    def queue(self) -> list[Exchange]:
        return list(self.dispatcher.queue)

    @property
    def failed(self) -> list[Exchange]:
        return self.outlet.failed

    def hands(self, worker: WorkerHandle | None = None) -> Hands:
        return self._hands[self.workers.index(worker or self.worker)]

    def submit(self, count: int) -> list[Exchange]:
        made = [exchange(b"%d" % number) for number in range(count)]
        for each in made:
            self.dispatcher.submit(each)
        return made

    def begin(self, worker: WorkerHandle | None = None) -> int:
        """The worker begins its next request; returns its number."""
        packet = self.hands(worker).begin()
        assert packet is not None
        return packet[0]

    def read(self, worker: WorkerHandle | None = None) -> Exchange:
        """The front reads the one answer that is there."""
        [(exchange, _)] = self.read_all(worker or self.worker)
        return exchange

    def read_all(self, worker: WorkerHandle) -> list[tuple[Exchange, answers.AnswerFrame]]:
        """The front reads all answers that are there; returns what they belong to."""
        found = [
            (worker.in_flight.pop(worker.in_flight.first.number), frame)
            for frame in worker.read_answers()
        ]
        assert all(exchange.number == frame.number for exchange, frame in found)
        if found:
            slowest = max(frame.run_ns for _, frame in found)
            self.dispatcher.answered(worker, len(found), slowest, self.clock.now())
        return found

    def finish(self, worker: WorkerHandle | None = None, run_ns: int = FAST) -> Exchange:
        """The worker begins its next request and answers it, and the front reads that."""
        self.hands(worker).answer(self.begin(worker), run_ns=run_ns)
        return self.read(worker)

    def learn(self, run_ns: int) -> None:
        """Let every worker answer one request that takes so long."""
        self.submit(len(self.workers))
        for worker in self.workers:
            self.finish(worker, run_ns)


MakeStand = Callable[..., Stand]


@pytest.fixture
def make_stand() -> Iterator[MakeStand]:
    """Makes a dispatcher with workers, which are closed when the test ends."""
    with ExitStack() as closing:
        yield lambda workers=1, **settings: Stand(closing, workers, **settings)


# -- who gets what ------------------------------------------------------------------------


def test_an_idle_worker_gets_the_request_at_once(make_stand: MakeStand) -> None:
    stand = make_stand()
    [first] = stand.submit(1)

    assert first.state == WRITTEN
    assert list(stand.worker.in_flight.values()) == [first]
    assert first.begun == first.queued == stand.clock.now()
    assert stand.finish() is first
    assert stand.worker.scored == 1


def test_one_at_a_time_until_run_is_known_to_be_short(make_stand: MakeStand) -> None:
    stand = make_stand()

    first, second = stand.submit(2)

    assert (first.state, second.state) == (WRITTEN, WAITING)
    assert stand.finish(run_ns=SLOW) is first
    assert second.state == WRITTEN


def test_requests_are_written_ahead_while_run_is_short(make_stand: MakeStand) -> None:
    stand = make_stand()
    stand.learn(FAST)

    made = stand.submit(DEEPEST + 5)

    assert list(stand.worker.in_flight.values()) == made[:DEEPEST]
    assert stand.queue == made[DEEPEST:]


@pytest.mark.parametrize(
    ("run_ns", "ahead"), [(FAST, DEEPEST), (100_000, 8), (450_000, 2), (500_000, 1), (SLOW, 1)]
)
def test_as_many_are_written_ahead_as_take_a_millisecond(
    make_stand: MakeStand, run_ns: int, ahead: int
) -> None:
    stand = make_stand()
    stand.learn(run_ns)

    stand.submit(DEEPEST + 1)

    assert len(stand.worker.in_flight) == ahead


def test_a_slow_run_is_believed_at_once_and_a_fast_one_slowly(make_stand: MakeStand) -> None:
    stand = make_stand()
    stand.learn(FAST)
    stand.learn(SLOW)
    assert stand.worker.depth == 1

    for _ in range(8):
        stand.learn(FAST)
    assert stand.worker.depth == 1
    for _ in range(80):
        stand.learn(FAST)
    assert stand.worker.depth == DEEPEST


def test_answers_that_are_read_together_count_each(make_stand: MakeStand) -> None:
    """Recycling goes by this number; and the one behind them has begun."""
    stand = make_stand()
    stand.learn(FAST)
    *_, last = stand.submit(4)
    for _ in range(3):
        stand.hands().answer(stand.begin())
    stand.clock.pass_by(0.001)

    assert len(stand.read_all(stand.worker)) == 3

    assert stand.worker.scored == 1 + 3
    assert last.begun == stand.clock.now()


def test_idle_workers_come_first(make_stand: MakeStand) -> None:
    """Even a slow one comes before a fast one that has something to do."""
    stand = make_stand(workers=3)
    stand.submit(3)
    for worker, run_ns in zip(stand.workers, (FAST, FAST, SLOW), strict=True):
        stand.finish(worker, run_ns)

    stand.submit(3)
    assert [len(worker.in_flight) for worker in stand.workers] == [1, 1, 1]

    stand.submit(4)
    assert [len(worker.in_flight) for worker in stand.workers] == [3, 3, 1]


def test_the_queue_keeps_its_order(make_stand: MakeStand) -> None:
    stand = make_stand()
    made = stand.submit(10)

    assert [stand.finish(run_ns=SLOW) for _ in range(10)] == made


def test_nobody_overtakes_the_queue(make_stand: MakeStand) -> None:
    """A newcomer does not get the worker that has just become free."""
    stand = make_stand()
    first, second = stand.submit(2)
    stand.add_worker()

    [third] = stand.submit(1)

    assert (first.state, second.state, third.state) == (WRITTEN, WAITING, WAITING)


def test_who_does_not_fit_into_the_socket_waits_for_his_turn(make_stand: MakeStand) -> None:
    stand = make_stand()
    stand.learn(FAST)
    made = [exchange(b"x" * (requests.MEMORY_FILE_FROM - 1)) for _ in range(DEEPEST)]

    for each in made:
        stand.dispatcher.submit(each)

    assert stand.queue  # although so many may be written ahead
    assert [stand.finish() for _ in made] == made


def test_headers_that_fit_no_packet_are_refused_and_harm_nobody(make_stand: MakeStand) -> None:
    stand = make_stand()
    stand.worker.full = True  # the script may ask for them
    large = exchange(headers=[(b"x", b"y" * requests.LARGEST_PACKET)])

    stand.dispatcher.submit(large)

    assert stand.failed == [large]
    assert isinstance(stand.outlet.errors[0], HeadersTooLarge)
    [following] = stand.submit(1)
    assert stand.finish() is following


# -- refusals -----------------------------------------------------------------------------


def test_a_full_queue_refuses_with_numbers(make_stand: MakeStand) -> None:
    stand = make_stand(max_queue_length=2)
    *_, refused = stand.submit(4)

    assert stand.failed == [refused]
    [error] = stand.outlet.errors
    assert isinstance(error, Overloaded)
    assert error.status == 503
    assert error.numbers["limit"] == error.numbers["queue_length"] == 2
    assert error.numbers["setting"] == "SCOREHOST_MAX_QUEUE_LENGTH"


@pytest.mark.parametrize(("settings", "limit"), [({}, 100), ({"max_queue_length": 20}, 20)])
def test_what_is_written_ahead_counts_as_waiting(
    make_stand: MakeStand, settings: dict[str, int], limit: int
) -> None:
    stand = make_stand(**settings)
    stand.learn(FAST)

    made = stand.submit(limit + 10)

    assert stand.dispatcher.waiting == limit
    assert stand.failed == made[limit + 1 :]


def test_without_a_place_to_wait_only_free_workers_serve(make_stand: MakeStand) -> None:
    stand = make_stand(workers=2, max_queue_length=0)
    made = stand.submit(3)

    assert stand.failed == made[2:]


def test_who_has_waited_too_long_is_refused_and_the_others_are_not(make_stand: MakeStand) -> None:
    stand = make_stand(max_queue_wait_ms=500)
    _, second = stand.submit(2)
    stand.clock.pass_by(0.3)
    [third] = stand.submit(1)

    stand.clock.pass_by(0.199)
    assert stand.failed == []
    stand.clock.pass_by(0.002)
    assert stand.failed == [second]
    [error] = stand.outlet.errors
    assert isinstance(error, Overloaded)
    assert error.numbers["limit"] == 500
    assert error.numbers["value"] == pytest.approx(500, abs=2)
    assert "2 requests are waiting" in str(error)

    stand.clock.pass_by(0.31)
    assert stand.failed == [second, third]
    assert "1 request is waiting" in str(stand.outlet.errors[1])


def test_a_wait_that_ends_with_a_worker_is_no_refusal(make_stand: MakeStand) -> None:
    stand = make_stand(max_queue_wait_ms=500)
    stand.submit(2)
    stand.clock.pass_by(0.4)
    stand.finish(run_ns=SLOW)

    stand.clock.pass_by(1.0)

    assert stand.failed == []


def test_those_written_ahead_are_refused_in_time_too(make_stand: MakeStand) -> None:
    """When the one before them is suddenly slow they go back to the queue, and wait there."""
    stand = make_stand(max_queue_wait_ms=500)
    stand.learn(FAST)
    first, second, third = stand.submit(3)
    stand.begin()

    stand.clock.pass_by(0.501)

    assert stand.failed == [second, third]
    assert list(stand.worker.in_flight.values()) == [first]


def test_nobody_waits_for_workers_that_will_not_come(make_stand: MakeStand) -> None:
    stand = make_stand()
    made = stand.submit(3)

    stand.dispatcher.refuse_all(NotReady("no"))

    assert stand.failed == made[1:]
    assert stand.queue == []


# -- taking back --------------------------------------------------------------------------


def test_what_was_not_begun_comes_back_in_order(make_stand: MakeStand) -> None:
    stand = make_stand()
    stand.learn(FAST)
    made = stand.submit(5)
    stand.begin()

    stand.dispatcher.take_back(stand.worker)

    assert list(stand.worker.in_flight.values()) == made[:1]
    assert stand.queue == made[1:]
    assert {each.state for each in made[1:]} == {WAITING}
    assert stand.hands().begin() is None


def test_a_large_body_survives_being_taken_back(make_stand: MakeStand) -> None:
    """Its memory file is passed again, to whoever scores it, and none is left open."""
    body = b"x" * 100_000
    stand = make_stand()
    stand.learn(FAST)
    stand.submit(1)
    stand.begin()
    other = stand.add_worker()
    stand.dispatcher.serving.remove(other)
    file = os.memfd_create("body")
    os.write(file, body)
    large = exchange(b"", body_file=file, size=len(body))
    stand.dispatcher.submit(large)
    open_files = len(os.listdir("/proc/self/fd"))

    stand.dispatcher.serving.append(other)
    stand.dispatcher.retire(stand.worker)

    packet = stand.hands(other).begin()
    assert packet is not None
    assert packet[1].body == body
    assert len(os.listdir("/proc/self/fd")) == open_files
    large.release()


def test_a_stalled_worker_loses_what_it_has_not_begun_to_others(make_stand: MakeStand) -> None:
    stand = make_stand(workers=2)
    stand.learn(FAST)
    stalled, other = stand.workers
    made = stand.submit(6)
    stand.begin(stalled)
    assert [stand.finish(other) for _ in range(3)] == made[1::2]

    stand.clock.pass_by(STALL * 2.5)

    assert list(stalled.in_flight.values()) == [made[0]]
    assert list(other.in_flight.values()) == [made[2], made[4]]


def test_a_stalled_worker_keeps_what_nobody_else_could_take(make_stand: MakeStand) -> None:
    stand = make_stand()
    stand.learn(FAST)
    made = stand.submit(3)
    stand.begin()

    stand.clock.pass_by(STALL * 2.5)

    assert list(stand.worker.in_flight.values()) == made


def test_a_worker_that_only_lacks_a_processor_is_not_called_slow(make_stand: MakeStand) -> None:
    """It has not even begun: what is written ahead would come no sooner elsewhere."""
    stand = make_stand(workers=2)
    stand.learn(FAST)
    stand.submit(6)

    stand.clock.pass_by(STALL * 10)

    assert [len(worker.in_flight) for worker in stand.workers] == [3, 3]


def test_those_taken_back_from_several_workers_keep_their_order(make_stand: MakeStand) -> None:
    """As when all scripts suddenly wait for the same database."""
    stand = make_stand(workers=2)
    stand.learn(FAST)
    made = []
    for _ in range(6):
        made += stand.submit(1)
        stand.clock.pass_by(STALL / 10)
    for worker in stand.workers:
        stand.begin(worker)

    stand.clock.pass_by(STALL * 2.5)

    assert stand.queue == made[2:]


def test_who_comes_back_is_refused_no_later_than_the_others(make_stand: MakeStand) -> None:
    """Written ahead to a worker without a processor, which begins after 300 ms and is slow."""
    stand = make_stand(max_queue_wait_ms=500)
    stand.learn(FAST)
    made = stand.submit(DEEPEST)
    stand.clock.pass_by(0.3)
    [younger] = stand.submit(1)
    stand.begin()

    stand.clock.pass_by(0.21)

    assert stand.failed == made[1:]
    assert stand.queue == [younger]


def test_what_the_worker_begins_in_the_midst_of_it_stays_with_it(
    make_stand: MakeStand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two packets that the front takes, the worker may take one: go by number."""
    stand = make_stand()
    stand.learn(FAST)
    made = stand.submit(3)
    stand.clock.pass_by(0.5)
    take_all = WorkerHandle.take_back

    def by_turns(worker: WorkerHandle) -> list[int]:
        taken = stand.hands().take()
        assert taken is not None
        stand.begin()
        return [taken[0], *take_all(worker)]

    monkeypatch.setattr(WorkerHandle, "take_back", by_turns)
    stand.dispatcher.take_back(stand.worker)

    assert list(stand.worker.in_flight.values()) == [made[1]]
    assert (made[0].begun, made[1].begun) == (0.0, stand.clock.now())
    assert stand.queue == [made[0], made[2]]


def test_no_request_is_lost_or_run_twice_whoever_is_faster(make_stand: MakeStand) -> None:
    """A worker that works as fast as it can, and a front that takes back all the time."""
    stand = make_stand(max_queue_length=400)
    stand.learn(FAST)
    begun: list[bytes] = []
    thread = threading.Thread(target=stand.hands().echo_until_stopped, args=[begun])
    made = [exchange(b"%d" % number) for number in range(400)]
    pending, answered = iter(made), 0
    dice = random.Random(7)

    thread.start()
    try:
        while answered < len(made) and thread.is_alive():
            if (following := next(pending, None)) is not None:
                stand.dispatcher.submit(following)
            if dice.random() < 0.3:
                stand.dispatcher.take_back(stand.worker)
                stand.dispatcher.pump()
            answers = stand.read_all(stand.worker)
            assert [each.body for each, _ in answers] == [frame.body for _, frame in answers]
            answered += len(answers)
    finally:
        stand.worker.send_control(requests.STOP)
        thread.join()

    assert sorted(begun) == sorted(each.body for each in made)
    assert stand.failed == []


# -- leaving ------------------------------------------------------------------------------


def test_a_client_that_leaves_the_queue_is_forgotten(make_stand: MakeStand) -> None:
    stand = make_stand()
    _, gone, last = stand.submit(3)

    assert stand.dispatcher.remove(gone) is True

    assert stand.queue == [last]


def test_a_client_that_leaves_what_was_written_ahead_is_not_scored(make_stand: MakeStand) -> None:
    stand = make_stand()
    stand.learn(FAST)
    first, gone, last = stand.submit(3)
    number = stand.begin()

    assert stand.dispatcher.remove(gone) is True

    stand.hands().answer(number)
    assert [stand.read(), stand.finish()] == [first, last]
    assert stand.hands().begin() is None


def test_what_a_worker_has_begun_cannot_be_taken_out(make_stand: MakeStand) -> None:
    stand = make_stand()
    [first] = stand.submit(1)
    stand.begin()

    assert stand.dispatcher.is_first(first)
    assert stand.dispatcher.remove(first) is False
    assert list(stand.worker.in_flight.values()) == [first]


def test_a_retired_worker_keeps_only_what_it_has_begun(make_stand: MakeStand) -> None:
    stand = make_stand(workers=2)
    stand.learn(FAST)
    retired, other = stand.workers
    made = stand.submit(6)
    stand.begin(retired)

    stand.dispatcher.retire(retired)

    assert list(retired.in_flight.values()) == made[:1]
    assert set(other.in_flight.values()) == set(made[1:])
    assert stand.dispatcher.serving == [other]


def test_a_lost_worker_costs_the_one_inside(make_stand: MakeStand) -> None:
    stand = make_stand(workers=2)
    stand.learn(FAST)
    lost, other = stand.workers
    made = stand.submit(6)
    stand.begin(lost)

    assert stand.dispatcher.lost(lost) == made[:1]

    assert set(other.in_flight.values()) == set(made[1:])
    assert not lost.in_flight


def test_a_lost_worker_that_had_begun_nothing_costs_nothing(make_stand: MakeStand) -> None:
    stand = make_stand()
    made = stand.submit(2)

    assert stand.dispatcher.lost(stand.worker) == []
    assert stand.queue == made


# -- the deadline -------------------------------------------------------------------------


def test_at_the_deadline_the_client_is_answered_and_the_worker_is_freed(
    make_stand: MakeStand,
) -> None:
    stand = make_stand(scoring_timeout_ms=1000)
    first, second = stand.submit(2)
    stand.begin()

    stand.clock.pass_by(0.999)
    assert stand.failed == []
    stand.clock.pass_by(0.002)

    assert stand.failed == [first]
    assert isinstance(stand.outlet.errors[0], DeadlineExceeded)
    assert stand.outlet.late == [(stand.worker, first)]
    assert second.state == WAITING  # the worker is not free yet


def test_the_deadline_expires_once(make_stand: MakeStand) -> None:
    stand = make_stand(scoring_timeout_ms=1000)
    [first] = stand.submit(1)
    stand.begin()

    stand.clock.pass_by(5.0)

    assert stand.failed == [first]
    assert len(stand.outlet.late) == 1


def test_the_deadline_counts_from_the_moment_it_is_begun(make_stand: MakeStand) -> None:
    """And not from when it was written ahead."""
    stand = make_stand(scoring_timeout_ms=1000)
    stand.learn(FAST)
    _, second = stand.submit(2)
    stand.clock.pass_by(0.8)
    stand.finish()
    assert second.begun == stand.clock.now()
    stand.begin()

    stand.clock.pass_by(0.9)
    assert stand.failed == []
    stand.clock.pass_by(0.2)
    assert stand.failed == [second]


def test_a_worker_whose_client_has_left_is_freed_all_the_same(make_stand: MakeStand) -> None:
    stand = make_stand(scoring_timeout_ms=1000)
    [first] = stand.submit(1)
    stand.begin()
    first.state = DONE

    stand.clock.pass_by(1.1)

    assert stand.failed == []
    assert stand.outlet.late == [(stand.worker, first)]


def test_a_worker_that_comes_back_has_its_next_deadline(make_stand: MakeStand) -> None:
    stand = make_stand(scoring_timeout_ms=1000)
    first, second = stand.submit(2)
    number = stand.begin()
    stand.clock.pass_by(1.1)
    stand.hands().answer(number)
    assert stand.read() is first
    stand.begin()

    stand.clock.pass_by(1.1)

    assert stand.failed == [first, second]


def test_behind_an_expired_request_nobody_waits(make_stand: MakeStand) -> None:
    stand = make_stand(scoring_timeout_ms=1000)
    stand.learn(FAST)
    made = stand.submit(3)
    stand.begin()

    stand.clock.pass_by(1.1)

    assert list(stand.worker.in_flight.values()) == made[:1]
    assert stand.queue == made[1:]


def test_time_at_a_breakpoint_does_not_count(make_stand: MakeStand) -> None:
    stand = make_stand(scoring_timeout_ms=1000, max_queue_wait_ms=500)
    first, second = stand.submit(2)
    stand.begin()
    stand.hands().shared.debugged = True
    stand.clock.pass_by(60.0)
    assert stand.failed == []

    stand.hands().shared.debugged = False
    stand.clock.pass_by(2.0)

    assert stand.failed == [second, first]


def test_what_was_not_even_begun_expires_once(make_stand: MakeStand) -> None:
    """As when the worker is stopped, or a thread of the script holds the interpreter."""
    stand = make_stand(scoring_timeout_ms=1000)
    [first] = stand.submit(1)

    stand.clock.pass_by(5.0)

    assert stand.failed == [first]
    assert first.state == DONE


def test_what_was_answered_at_its_deadline_goes_to_nobody_else(make_stand: MakeStand) -> None:
    """When the worker that stood still is killed, or retired."""
    stand = make_stand(workers=2, scoring_timeout_ms=1000)
    stand.submit(1)
    stand.clock.pass_by(1.5)

    inside = stand.dispatcher.lost(stand.worker)

    assert inside == []
    assert stand.queue == []
    assert stand.hands(stand.workers[1]).take() is None


def test_what_is_begun_while_the_one_before_expires_has_a_deadline(make_stand: MakeStand) -> None:
    """The answer was on its way, unread, when the deadline passed."""
    stand = make_stand(scoring_timeout_ms=1000)
    stand.learn(FAST)
    first, second = stand.submit(2)
    stand.hands().answer(stand.begin())
    stand.begin()
    stand.clock.pass_by(1.1)
    assert stand.read() is first

    stand.clock.pass_by(5.0)

    assert stand.failed[-1] is second


# -- numbers ------------------------------------------------------------------------------


def test_numbers_of_an_idle_server(make_stand: MakeStand) -> None:
    dispatcher = make_stand(workers=2).dispatcher

    numbers = (dispatcher.waiting, dispatcher.busy, dispatcher.allowed, dispatcher.run_time)
    assert numbers == (0, 0, 2, 0.0)


def test_the_request_under_way_counts_as_recent_time(make_stand: MakeStand) -> None:
    stand = make_stand()
    stand.submit(1)
    stand.clock.pass_by(3.0)

    assert stand.dispatcher.run_time == pytest.approx(3.0)
    assert stand.dispatcher.busy == 1
