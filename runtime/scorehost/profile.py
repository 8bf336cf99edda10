"""What differs between ``scorehost serve`` and the drop-in command ``azmlinfsrv``.

Both start the same server with the same settings; only what a client or a log reader of the
retired server may look for is said in its words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scorehost import __version__
from scorehost.sources import Resolved


@dataclass(frozen=True)
class Profile:
    """How a server presents itself.

    Parameters
    ----------
    server_version : value of ``x-ms-server-version``.
    log_style : "own", or "azmlinfsrv" for that server's line format and logger names.
    startup_report : printed on standard output, as it is, before anything is logged.
    warnings : logged as warnings when the log is set up: unknown settings and the like.
    resolve : reads every setting again, from the same command line and environment; for debug
        mode and live reload.
    """

    server_version: str = f"scorehost/{__version__}"
    log_style: str = "own"
    startup_report: str = ""
    warnings: tuple[str, ...] = ()
    resolve: Callable[[], Resolved] | None = None
