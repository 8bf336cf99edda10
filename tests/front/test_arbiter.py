"""gunicorn's part, in the test's process: what it is told, and what a front's end leads to."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gunicorn.errors
import pytest

from scorehost.dev.features import DevelopmentFeatures
from scorehost.errors import SettingError
from scorehost.front.arbiter import HEARTBEAT, Application, Arbiter, log_without_threads
from scorehost.front.features import Features
from scorehost.front.server import FrontWorker, check_tls_files, features_of, serve
from scorehost.profile import Profile
from scorehost.settings import Settings
from support.listening import tls
from support.wait import wait_until


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """gunicorn sets a variable and its logger when an arbiter is made."""
    monkeypatch.setenv("SERVER_SOFTWARE", "")
    logger = logging.getLogger("gunicorn.error")
    before = logger.handlers, logger.propagate, logger.level
    yield
    logger.handlers, logger.propagate, logger.level = before


def application(settings: Settings | None = None) -> Application:
    return Application(settings or Settings(), Profile(), {}, FrontWorker)


@pytest.fixture
def arbiter() -> Arbiter:
    return Arbiter(application())


def end_of(arbiter: Arbiter, program: str) -> int:
    """Have a front end as this program does, and the arbiter notice it; the front's pid."""
    pid = os.posix_spawn(sys.executable, [sys.executable, "-S", "-c", program], os.environ)
    arbiter.WORKERS = {pid: SimpleNamespace(tmp=SimpleNamespace(close=lambda: None))}

    def noticed() -> bool:
        arbiter.reap_workers()
        return not arbiter.WORKERS

    wait_until(noticed, what="its end is noticed")
    return pid


# -- what gunicorn is told ------------------------------------------------------------------


def test_what_is_fixed_is_not_gunicorns_to_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """GUNICORN_CMD_ARGS may add, not decide how many fronts there are, or where they listen."""
    monkeypatch.setenv("GUNICORN_CMD_ARGS", "--workers 7 --timeout 1 --bind :1 --backlog 99")

    cfg = application(Settings(port=5009, shutdown_grace=12.0)).cfg

    assert (cfg.workers, cfg.timeout, cfg.graceful_timeout) == (1, HEARTBEAT, 15)
    assert cfg.settings["bind"].get() == ["127.0.0.1:5009"]
    assert cfg.backlog == 99
    assert cfg.worker_class is FrontWorker


def test_tls_is_told_to_gunicorn(tmp_path: Path) -> None:
    both = tmp_path / "both.pem"

    cfg = application(Settings(tls_certificate=both)).cfg

    assert cfg.is_ssl
    assert (cfg.certfile, cfg.keyfile) == (str(both), str(both))


# -- how a front ends -----------------------------------------------------------------------


def test_a_front_that_ends_well_is_no_news(arbiter: Arbiter) -> None:
    end_of(arbiter, "")

    assert arbiter._next_start == 0.0


def test_a_front_that_never_served_ends_the_server(arbiter: Arbiter) -> None:
    with pytest.raises(gunicorn.errors.HaltServer) as halted:
        end_of(arbiter, "raise SystemExit(7)")

    assert (halted.value.exit_status, halted.value.reason) == (
        1, "the HTTP process failed to start (exit status 7)",
    )  # fmt: skip


def test_a_script_that_did_not_start_ends_the_server_with_3(arbiter: Arbiter) -> None:
    arbiter.app.outcome[0] = 3

    with pytest.raises(gunicorn.errors.HaltServer) as halted:
        end_of(arbiter, "")

    assert halted.value.exit_status == 3


def test_a_front_that_dies_again_and_again_is_started_later(
    arbiter: Arbiter, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arbiter.app.outcome[1] = 1
    started: list[int] = []
    monkeypatch.setattr(arbiter, "spawn_worker", lambda: started.append(1))

    first = end_of(arbiter, "import os; os.abort()")
    arbiter.spawn_workers()
    assert started == [1]
    second = end_of(arbiter, "import os; os.abort()")
    arbiter.spawn_workers()

    assert started == [1], "not before the pause is over"
    assert time.monotonic() < arbiter._next_start <= time.monotonic() + 1.0
    said = capfd.readouterr().err
    assert f"(pid {first}) exited with status -6" in said
    assert f"(pid {second}) exited with status -6" in said
    assert " in 1 s" in said.splitlines()[-1]


def test_orphans_and_a_successor_are_reaped(arbiter: Arbiter) -> None:
    """As PID 1 an arbiter gets children it never had; their status means nothing."""
    orphan = os.posix_spawn(sys.executable, [sys.executable, "-S", "-c", "exit(3)"], os.environ)
    arbiter.reexec_pid = orphan

    def reaped() -> bool:
        arbiter.reap_workers()
        return arbiter.reexec_pid == 0

    wait_until(reaped, what="the successor's end is noticed")


# -- signals --------------------------------------------------------------------------------


def test_hup_is_passed_on_to_the_front(arbiter: Arbiter) -> None:
    front = os.posix_spawn(
        sys.executable,
        [sys.executable, "-S", "-c", "import time; time.sleep(60)"],
        os.environ,
        setsigdef=[signal.SIGHUP],  # which whoever started the tests may ignore
    )
    arbiter.WORKERS = {front: SimpleNamespace()}

    arbiter.handle_hup()

    assert os.waitstatus_to_exitcode(os.waitpid(front, 0)[1]) == -signal.SIGHUP


def test_ctrl_c_ends_the_arbiters_loop(arbiter: Arbiter) -> None:
    with pytest.raises(StopIteration):
        arbiter.handle_int()


@pytest.mark.parametrize("number", ["ttin", "ttou"])
def test_the_number_of_fronts_stays(
    arbiter: Arbiter, number: str, capfd: pytest.CaptureFixture[str]
) -> None:
    getattr(arbiter, f"handle_{number}")()

    assert arbiter.num_workers == 1
    assert "WORKER_COUNT" in capfd.readouterr().err


# -- the end of the server ------------------------------------------------------------------


def halted(arbiter: Arbiter, **how: Any) -> int:
    """Halt it as gunicorn does; the exit status."""
    with contextlib.suppress(Exception):  # the arbiter's own way out of gunicorn's loop
        arbiter.halt(**how)
    return arbiter.exit_status


def test_halting_says_why(arbiter: Arbiter, capfd: pytest.CaptureFixture[str]) -> None:
    assert halted(arbiter, reason="no room", exit_status=1) == 1
    assert "server stopping: no room" in capfd.readouterr().err
    assert arbiter.app.outcome[2], "the front learns that nobody else holds its sockets"


def test_a_script_that_failed_has_had_its_report(
    arbiter: Arbiter, capfd: pytest.CaptureFixture[str]
) -> None:
    """The report is the last thing in the log."""
    arbiter.app.outcome[0] = 3

    assert halted(arbiter, reason="the entry script did not start") == 3
    assert capfd.readouterr().err == ""


def test_sockets_that_systemd_lent_are_not_ours_to_close(arbiter: Arbiter) -> None:
    arbiter.systemd = True

    halted(arbiter)

    assert not arbiter.app.outcome[2]


def test_a_unix_socket_that_somebody_removed_is_let_go(arbiter: Arbiter, tmp_path: Path) -> None:
    sockets = [socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)]
    for name, each in zip("ab", sockets, strict=True):
        each.bind(str(tmp_path / name))
    arbiter.LISTENERS = [SimpleNamespace(sock=each) for each in sockets]
    arbiter._note_files()
    (tmp_path / "a").unlink()

    arbiter._let_go_of_lost_sockets()

    assert [each.sock for each in arbiter.LISTENERS] == sockets[1:]
    assert sockets[0].fileno() == -1
    sockets[1].close()


@pytest.mark.parametrize("what", ["a file", "another socket", "a link"])
def test_a_file_that_somebody_put_in_its_place_is_theirs(
    arbiter: Arbiter, tmp_path: Path, what: str
) -> None:
    """gunicorn would unlink whatever has the name by then."""
    path = tmp_path / "a"
    with socket.socket(socket.AF_UNIX) as ours, socket.socket(socket.AF_UNIX) as theirs:
        ours.bind(str(path))
        arbiter.LISTENERS = [SimpleNamespace(sock=ours, close=ours.close)]
        arbiter._note_files()
        path.rename(tmp_path / "moved")  # so that its inode cannot be taken again
        if what == "another socket":
            theirs.bind(str(path))
        elif what == "a link":
            path.symlink_to("moved")
        else:
            path.write_text("theirs")

        arbiter._let_go_of_lost_sockets()

        assert arbiter.LISTENERS == []
        assert os.path.lexists(path)


@pytest.mark.parametrize("mask", [0o077, 0o027, 0o002, 0o022, 0])
def test_gunicorn_makes_sockets_under_the_umask_of_the_process(mask: int) -> None:
    before = os.umask(mask)
    try:
        assert application().cfg.umask == mask
        assert os.umask(mask) == mask, "reading it leaves it as it was"
    finally:
        os.umask(before)


def test_another_umask_can_be_told_to_gunicorn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUNICORN_CMD_ARGS", "--umask 0o117")

    assert application().cfg.umask == 0o117


@pytest.mark.parametrize(("leaving", "status"), [(1, 1), (7, 7), (None, 1), ("text", 1)])
def test_gunicorn_that_leaves_by_itself_has_failed(
    arbiter: Arbiter, leaving: Any, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does so when the sockets cannot be opened."""

    def run() -> None:
        raise SystemExit(leaving)

    arbiter.pid = os.getpid()
    monkeypatch.setattr(arbiter, "run", run)

    assert arbiter.serve() == status


def test_what_is_raised_in_the_front_is_the_fronts(
    arbiter: Arbiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run() -> None:
        raise SystemExit(0)

    arbiter.pid = os.getpid() + 1
    monkeypatch.setattr(arbiter, "run", run)

    with pytest.raises(SystemExit):
        arbiter.serve()


def test_a_log_without_threads_writes_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    log_without_threads(Settings(), Profile()).warning("now")

    assert capfd.readouterr().err.endswith("WARN  scorehost: now\n")


# -- before anything is started -------------------------------------------------------------


def test_a_taken_port_is_told_before_gunicorn_tries(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = Settings(port=taken.getsockname()[1])
        profile = Profile(startup_report="this is what it serves\n")

        assert serve(settings, profile=profile, environ={}) == 1

    said = capfd.readouterr()
    assert said.out == "this is what it serves\n"
    assert f"Port {settings.port} is in use by process {os.getpid()}" in said.err


def test_a_certificate_and_its_key(tmp_path: Path) -> None:
    tls(tmp_path)
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    both = tmp_path / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())

    check_tls_files(Settings())
    check_tls_files(Settings(tls_certificate=certificate, tls_key=key))
    check_tls_files(Settings(tls_certificate=both))


def test_a_key_that_is_not_the_certificates(tmp_path: Path) -> None:
    for name in ("mine", "other"):
        (tmp_path / name).mkdir()
        tls(tmp_path / name)
    settings = Settings(
        tls_certificate=tmp_path / "mine" / "certificate.pem",
        tls_key=tmp_path / "other" / "key.pem",
    )

    with pytest.raises(SettingError, match=r"SCOREHOST_TLS_CERTIFICATE.*KEY_VALUES_MISMATCH"):
        check_tls_files(settings)


def test_a_certificate_that_is_missing(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.touch()

    with pytest.raises(SettingError, match="SCOREHOST_TLS_CERTIFICATE"):
        check_tls_files(Settings(tls_certificate=tmp_path / "none.pem", tls_key=key))
    with pytest.raises(SettingError, match="SCOREHOST_TLS_KEY"):
        check_tls_files(Settings(tls_certificate=key, tls_key=tmp_path / "none.pem"))


def test_features_are_those_of_the_settings(tmp_path: Path) -> None:
    log = log_without_threads(Settings(), Profile())

    assert type(features_of(Settings(), Profile(), log)) is Features
    wanted = features_of(Settings(reload=True), Profile(), log)
    assert type(wanted) is DevelopmentFeatures
