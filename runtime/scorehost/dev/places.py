"""Where the debugger listens, and how editors attach to it."""

from __future__ import annotations

import os
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from scorehost.settings import DEFAULT_APP_ROOT, Settings

NAME = "scorehost: attach"


def shown_address(host: str, port: int) -> str:
    """An address and a port as people write them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def exposure(host: str) -> str:
    """Say who can connect to a debugger on this address; "" when only this machine can."""
    if ip_address(host).is_loopback:
        return ""
    return (
        f"Other machines can connect to the debugger, because SCOREHOST_DEBUG_HOST is {host}. "
        "Anyone who connects can run any code as the server's user."
    )


def attach_configuration(
    settings: Settings,
    *,
    container: bool,
    workspace: Path,
    port: int | None = None,
    reached_as: str = "localhost",
) -> dict[str, Any]:
    """VS Code's configuration for attaching.

    Parameters
    ----------
    settings : the debugger's address and port, and the app root.
    container : whether the server runs in a container, with the app in its usual place.
    workspace : the folder that is open in the editor.
    port : where the debugger can be reached, when not on its own port.
    reached_as : the server's name or address for the editor, which counts where the debugger is
        in a container, behind a published port, or listens on all addresses.
    """
    remote = (settings.app_root or DEFAULT_APP_ROOT) if container else settings.root
    local = "${workspaceFolder}"
    if not container:
        below = os.path.relpath(settings.root, workspace)
        local += "" if below == "." else f"/{below}"
    anywhere = container or ip_address(settings.debug_host).is_unspecified
    host = reached_as if anywhere else settings.debug_host
    return {
        "name": NAME + (" in container" if container else ""),
        "type": "debugpy",
        "request": "attach",
        "connect": {"host": host, "port": port or settings.debug_port},
        "pathMappings": [{"localRoot": local, "remoteRoot": str(remote)}],
        "justMyCode": True,
        "restart": True,
    }
