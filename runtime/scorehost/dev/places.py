"""Where the debugger listens, and how editors attach to it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scorehost.settings import DEFAULT_APP_ROOT, Settings

_MARKS = ("/.dockerenv", "/run/.containerenv")
NAME = "scorehost: attach"


def in_container(environ: Mapping[str, str]) -> bool:
    """Whether this process runs in a container, whose 127.0.0.1 cannot be reached from outside."""
    if "KUBERNETES_SERVICE_HOST" in environ or environ.get("container"):
        return True
    return any(Path(mark).exists() for mark in _MARKS)


def debugger_host(environ: Mapping[str, str]) -> str:
    """The address on which the debugger listens."""
    return "0.0.0.0" if in_container(environ) else "127.0.0.1"  # noqa: S104 - as documented


def attach_configuration(
    settings: Settings, *, container: bool, workspace: Path, port: int | None = None
) -> dict[str, Any]:
    """VS Code's configuration for attaching.

    Parameters
    ----------
    settings : port and app root.
    container : whether the server runs in a container, with the app in its usual place.
    workspace : the folder that is open in the editor.
    port : where the debugger can be reached, when not on its own port.
    """
    remote = (settings.app_root or DEFAULT_APP_ROOT) if container else settings.root
    local = "${workspaceFolder}"
    if not container:
        below = os.path.relpath(settings.root, workspace)
        local += "" if below == "." else f"/{below}"
    return {
        "name": NAME + (" in container" if container else ""),
        "type": "debugpy",
        "request": "attach",
        "connect": {"host": "localhost", "port": port or settings.debug_port},
        "pathMappings": [{"localRoot": local, "remoteRoot": str(remote)}],
        "justMyCode": True,
        "restart": True,
    }
