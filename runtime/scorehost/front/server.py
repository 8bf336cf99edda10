"""From settings to a running server: the front's process, from its start to its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import ssl
import sys
from collections.abc import Mapping

from gunicorn.workers.base import Worker

from scorehost.errors import SettingError
from scorehost.front.arbiter import HEARD, Application, Arbiter, log_without_threads
from scorehost.front.features import Features
from scorehost.front.front import Front
from scorehost.front.http.addresses import why_not
from scorehost.front.http.listening import Listening
from scorehost.front.observe.log import Log, LogBridge
from scorehost.front.observe.writer import LogWriter
from scorehost.front.shutdown import Shutdown
from scorehost.front.workers.leftovers import adopt_orphans
from scorehost.interpreter import interpreter_of
from scorehost.profile import Profile
from scorehost.settings import Settings


def serve(settings: Settings, *, profile: Profile, environ: Mapping[str, str]) -> int:
    """Serve until told to stop.

    Parameters
    ----------
    settings, profile : what to serve and how to present it.
    environ : the process environment; the scoring processes get it.

    Returns
    -------
    int
        Exit status: 0 after a clean stop, 3 when the script never became ready, 1 when the
        sockets could not be opened.

    Raises
    ------
    UsageError
        The TLS files, or the script's interpreter, cannot be used.
    """
    check_tls_files(settings)
    interpreter_of(settings)  # one that cannot run scripts is refused before anything is started
    if profile.startup_report:
        sys.stdout.write(profile.startup_report)
        sys.stdout.flush()
    application = Application(settings, profile, dict(environ), FrontWorker)
    problem = why_not(settings, environ, shares_port=application.cfg.reuse_port)
    if problem:
        log_without_threads(settings, profile).error(problem)
        return 1
    return Arbiter(application).serve()


def check_tls_files(settings: Settings) -> None:
    """Check the TLS files before anything is started.

    Raises
    ------
    SettingError
        A file is missing, or certificate and key do not belong together.
    """
    if settings.tls_certificate is None:
        return
    certificate, key = settings.tls_certificate, settings.tls_key or settings.tls_certificate
    for name, file in (("SCOREHOST_TLS_CERTIFICATE", certificate), ("SCOREHOST_TLS_KEY", key)):
        if not file.is_file():
            raise SettingError(name, str(file), "an existing file in PEM format")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        both = f"{certificate} with {key}"
        accepted = f"a certificate chain and its private key, in PEM format ({error})"
        raise SettingError("SCOREHOST_TLS_CERTIFICATE", both, accepted) from error


def features_of(settings: Settings, profile: Profile, log: Log) -> Features:
    """Return the features that the settings ask for; production does not import any."""
    if not settings.develops:
        return Features()
    from scorehost.dev.features import DevelopmentFeatures

    return DevelopmentFeatures(settings, profile, log)


class FrontWorker(Worker):  # type: ignore[misc]
    """gunicorn's worker that is the front."""

    def load_wsgi(self) -> None: ...

    def init_signals(self) -> None:
        """Drop the arbiter's handlers; :meth:`_serve` sets the front's."""
        signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)

    def run(self) -> None:
        with contextlib.suppress(ImportError):
            import uvloop

            uvloop.install()
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        adopt_orphans()
        application: Application = self.app
        settings, profile = application.settings, application.profile
        writer = LogWriter(2)
        log = Log(writer, settings.log_level, settings.log_format, profile.log_style)
        bridge = LogBridge(log)
        for name in ("asyncio", "gunicorn.error"):
            logging.getLogger(name).handlers = [bridge]
        for warning in profile.warnings:
            log.warning(warning)
        loop = asyncio.get_running_loop()
        stopped: asyncio.Future[int] = loop.create_future()

        def stop(status: int) -> None:
            if not stopped.done():
                stopped.set_result(status)

        features = features_of(settings, profile, log)
        front = Front(settings, profile, application.environ, log, loop, stop, features)
        outcome = application.outcome
        listening = Listening(
            front.context,
            self.sockets,
            has_health_port=settings.health_port is not None,
            cfg=self.cfg,
            loop=loop,
            log=log,
            last_holder=lambda: bool(outcome[2]),
        )
        shutdown = Shutdown(front, listening, front.connections, settings, log, loop, stop)
        loop.add_signal_handler(signal.SIGTERM, shutdown.drain)
        loop.add_signal_handler(signal.SIGINT, shutdown.interrupt)
        loop.add_signal_handler(signal.SIGQUIT, stop, 0)
        loop.add_signal_handler(signal.SIGHUP, front.pool.reload)
        loop.add_signal_handler(signal.SIGUSR1, lambda: None)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
        self._heartbeat(loop)
        front.start()
        listening.start()
        outcome[1] = 1
        log.info("listening on " + ", ".join(listening.names()))
        status = await stopped
        await shutdown.close(status)
        await front.pool.leftovers_ended()
        front.close()
        if front.supervision.final_report is not None:
            front.supervision.log_report(front.supervision.final_report)
            outcome[0] = status
        writer.close()

    def _heartbeat(self, loop: asyncio.AbstractEventLoop) -> None:
        self.notify()
        if self.ppid != os.getppid():
            # The arbiter is gone, and nobody else would stop this process.
            os.kill(os.getpid(), signal.SIGTERM)
        loop.call_later(1.0, self._heartbeat, loop)
