"""One scoring worker, as the front sees it: its sockets, and the requests inside.

The front keeps a copy of the worker's end of the requests socket. Receiving from it takes back
what the worker has not begun: the kernel gives a packet to one of the two, never to both.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from scorehost.errors import HeadersTooLarge
from scorehost.front.http.exchange import Exchange
from scorehost.front.scheduling.in_flight import InFlight
from scorehost.front.workers.roster import Member
from scorehost.wire import answers, requests
from scorehost.wire.shared import SharedState
from scorehost.wire.signals import DUMP_SIGNAL, INTERRUPT_SIGNAL, send_to_main_thread

_READ_SIZE: Final = 256 << 10
# One buffer for all reads: a fresh one of this size costs ten times the read itself, as the
# allocator maps and unmaps it each time. docs/decisions/hot-path.md has the measurement.
_BUFFER: Final = bytearray(_READ_SIZE)
_VIEW: Final = memoryview(_BUFFER)
_RUN_TIME_WEIGHT: Final = 8
"""How many times slower the recent time in ``run()`` falls than it rises."""
_SEND_BUFFER: Final = 256 << 10
"""Requested so that the largest packet fits even where the system's default is small; the kernel
grants at most net.core.wmem_max."""
KEPT_LINES: Final = 40
"""Last lines of a process's output, for the report on its end."""


class WorkerHandle:
    """One scoring process: its sockets, and what is in flight between it and the front.

    Parameters
    ----------
    member : its entry in the roster, which the lifecycle changes.

    Attributes
    ----------
    in_flight : exchanges written to it and not answered, by number.
    run_time : recent time in ``run()`` (seconds); it rises at once and falls slowly.
    depth : how many may be in flight.
    scored : requests that it has answered.
    stream : the exchange whose stream it has begun and not ended.
    stage : what a starting worker is doing.
    description : what it reported of its script when it became ready.
    full : whether the script can see more of a POST than its body.
    report : why it could not start, as it reported.
    last_lines : the end of its output.
    peak_bytes : the most memory it was seen to hold.
    silent : whether it has closed its end of the answers.
    hear : has the event loop read its answers, or stop reading them for a while.
    kill_reason : why it was killed; "" if it was not.
    returncode : its exit status; None until its end has been noticed.
    """

    def __init__(self, member: Member) -> None:
        self.member = member
        # Written by the dispatcher:
        self.in_flight = InFlight()
        self.run_time = 0.0
        self.depth = 1
        self.scored = 0
        self.deadline_watched = False
        # Written by results.py:
        self.stream: Exchange | None = None
        # Written by the pool:
        self.stage = "starting"
        self.description: dict[str, Any] = {}
        self.full = True
        self.report: dict[str, Any] | None = None
        self.peak_bytes = 0
        # Written by processes.py:
        self.last_lines: deque[str] = deque(maxlen=KEPT_LINES)
        self.hear: Callable[[bool], None] = lambda _listen: None  # until it is watched
        self.returncode: int | None = None
        # Written here:
        self.silent = False
        self.kill_reason = ""
        self._paused_stream: Exchange | None = None
        self._open()

    def _open(self) -> None:
        self.requests, self._their_requests = socket.socketpair(
            socket.AF_UNIX, socket.SOCK_SEQPACKET
        )
        self._send = self.requests.send
        self.requests.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        self.answers, self._their_answers = socket.socketpair()
        self._shared_file = SharedState.create()
        self.shared = SharedState(self._shared_file)
        self.stacks_file = os.memfd_create("scorehost-stacks", os.MFD_CLOEXEC)
        self.output, self._their_output = os.pipe()
        for sock in (self.requests, self.answers):
            sock.setblocking(False)
        os.set_blocking(self.output, False)
        self.reader = answers.AnswerReader()

    def their_files(self) -> list[int]:
        """Return the files that the process gets: requests, answers, shared, stacks, output."""
        return [
            self._their_requests.fileno(),
            self._their_answers.fileno(),
            self._shared_file,
            self.stacks_file,
            self._their_output,
        ]

    def handed_over(self) -> None:
        """Close the files that are the process's alone: open here, they would hide its end."""
        self._their_answers.close()
        os.close(self._their_output)
        os.close(self._shared_file)

    # -- requests -----------------------------------------------------------------------------

    def send_control(self, kind: int, body: bytes = b"", files: list[int] | None = None) -> None:
        """Send a packet that is not a request."""
        packet = requests.pack_request(kind, 0, b"", b"", body)
        if files:
            socket.send_fds(self.requests, [packet], files)
        else:
            self.requests.send(packet)

    def write(self, exchange: Exchange) -> bool:
        """Write one request to the worker; return False when its socket takes no more now.

        Raises
        ------
        HeadersTooLarge
            The script asks for headers, and these don't fit into a packet.
        """
        if self.full or exchange.method != b"POST":
            packet = pack(exchange)
        else:
            packet = requests.pack_plain(
                exchange.number, exchange.request_id, exchange.body, exchange.body_file >= 0
            )
        try:
            if exchange.body_file < 0:
                self._send(packet)
            else:
                socket.send_fds(self.requests, [packet], [exchange.body_file])
        except OSError:  # the socket is full, or the process is ending, which is noticed elsewhere
            return False
        return True

    def take_back(self) -> list[int]:
        """Take back every request the worker has not begun; return their numbers.

        The worker may begin one between two that are taken, so they need not be the last ones.
        """
        taken: list[int] = []
        while True:
            try:
                data, ancillary, _, _ = self._their_requests.recvmsg(
                    requests.REQUEST_PREFIX, socket.CMSG_SPACE(4), socket.MSG_DONTWAIT
                )
            except BlockingIOError:
                return taken
            if not data:
                return taken
            for descriptor in requests.received_files(ancillary):
                os.close(descriptor)
            taken.append(requests.request_number(data))

    # -- answers ------------------------------------------------------------------------------

    def read_answers(self) -> list[answers.AnswerFrame]:
        try:
            size = self.answers.recv_into(_BUFFER)
        except BlockingIOError:
            return []
        except OSError:
            size = 0
        if not size:
            self.silent = True
        return self.reader.feed(bytes(_VIEW[:size]))

    def drain_answers(self) -> list[answers.AnswerFrame]:
        """Read everything that a process has left behind."""
        found: list[answers.AnswerFrame] = []
        while True:
            try:
                data = self.answers.recv(_READ_SIZE)
            except OSError:
                return found
            if not data or self.reader.is_lost:  # others may go on writing
                return found
            found += self.reader.feed(data)

    def distrust(self) -> None:
        """Believe nothing that comes from now on, and kill the process."""
        self.reader.give_up("")
        self.kill("garbled")

    def stands_in_a_frame(self) -> bool:
        """Return whether the rest of a frame does not come; to be called once a second."""
        return self._paused_stream is None and self.reader.stands()

    def wait_for_client(self, exchange: Exchange) -> None:
        """Read no answers until the client of a stream has taken what it was sent, or has left.

        The socket fills up, and the generator waits with it.
        """
        if self._paused_stream is None:
            self._paused_stream = exchange
            self.hear(False)
            exchange.connection.on_drain = self.go_on

    def go_on(self) -> None:
        """Read answers again, if that was paused for a client that did not take its chunk."""
        exchange, self._paused_stream = self._paused_stream, None
        if exchange is not None:
            exchange.connection.on_drain = None
            self.hear(True)

    def go_on_after_stream(self) -> None:
        """Read answers again if the worker has left the stream; called once a second.

        What is still to be read of it fits into the socket, and the worker is free for others.
        """
        paused = self._paused_stream
        if paused is not None and self.shared.begun != paused.number:
            self.go_on()

    def learn(self, run_ns: int) -> None:
        """Take a request's time into account: up at once, down slowly."""
        seconds = run_ns * 1e-9
        if seconds >= self.run_time:
            self.run_time = seconds
        else:
            self.run_time -= (self.run_time - seconds) / _RUN_TIME_WEIGHT

    # -- signals ------------------------------------------------------------------------------

    def interrupt(self, number: int) -> None:
        """Raise an exception in the script, if this request is still inside."""
        self.shared.victim = number
        self._send_signal(send_to_main_thread, INTERRUPT_SIGNAL)

    def dump_stacks(self) -> None:
        """Have the process write the stacks of its threads to its file."""
        self.signal(DUMP_SIGNAL)

    def signal(self, number: int) -> None:
        """Send a signal, if the process has not ended."""
        self._send_signal(os.kill, number)

    def _send_signal(self, send: Callable[[int, int], None], number: int) -> None:
        if self.pid and self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                send(self.pid, number)

    def kill(self, reason: str) -> None:
        """Kill the process; the reason explains its end."""
        self.kill_reason = self.kill_reason or reason
        self.signal(signal.SIGKILL)

    def read_stacks(self) -> str:
        """Return what has been written to the stacks file since the last call."""
        size = os.fstat(self.stacks_file).st_size
        text = os.pread(self.stacks_file, size, 0).decode("utf-8", "replace")
        os.ftruncate(self.stacks_file, 0)
        os.lseek(self.stacks_file, 0, os.SEEK_SET)  # the offset is shared with the process
        return text

    # -- what it is ---------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        return self.member.pid

    @property
    def index(self) -> int:
        return self.member.index

    def memory(self) -> int:
        """Return the resident bytes of the process; 0 when it is gone."""
        try:
            with open(f"/proc/{self.pid}/statm", "rb") as file:  # noqa: PTH123 - read often
                return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
        except (OSError, IndexError):
            return 0

    def close(self) -> None:
        for sock in (self.requests, self.answers, self._their_requests, self._their_answers):
            sock.close()
        os.close(self.output)
        os.close(self.stacks_file)
        self.shared.close()


def pack(exchange: Exchange) -> bytes:
    """Return the packet of an exchange, with all that a script may see of it.

    Raises
    ------
    HeadersTooLarge
        The packet would be too large.
    """
    meta = requests.pack_meta(
        exchange.method.decode("latin-1"),
        exchange.target.decode("latin-1"),
        exchange.known.get(b"content-type", b"").decode("latin-1"),
        exchange.connection.address,
        exchange.text_headers(),
    )
    packet = requests.pack_request(
        requests.SCORE_FULL, exchange.number, exchange.request_id, meta, exchange.body,
        in_file=exchange.body_file >= 0,
    )  # fmt: skip
    if len(packet) > requests.LARGEST_PACKET:
        raise HeadersTooLarge(
            f"The request with its headers takes {len(packet)} bytes on the way to the worker; at "
            f"most {requests.LARGEST_PACKET} are allowed. Send fewer or shorter headers."
        )
    return packet
