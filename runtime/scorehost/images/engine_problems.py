"""What container engines say when they refuse, and what to do about it.

The patterns match docker's client and daemon (20 to 28), BuildKit and podman. Output that matches
none of them is shown unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

PROBLEMS: Sequence[tuple[str, str]] = (
    (
        r"permission denied while trying to connect|"
        r"dial unix \S+: connect: permission denied",
        "This user is not allowed to use the container engine. Join its group and log in again: "
        "'sudo usermod -aG docker $USER' (members of that group can become root); or use a "
        "rootless engine such as podman.",
    ),
    (
        r"cannot connect to the docker daemon|failed to connect to the docker api|"
        r"error during connect|cannot connect to podman|connection refused.*docker\.sock",
        "The container engine is not running or cannot be reached. Start it with 'sudo systemctl "
        "start docker' or Docker Desktop. If it runs on another machine, set DOCKER_HOST or select "
        "it with 'docker context use'.",
    ),
    (
        r"no space left on device|not enough (free )?space",
        "The engine's disk is full. 'docker system df' shows what uses the space, and 'docker "
        "system prune' removes what is no longer used.",
    ),
    (
        r"bind for (?P<port>\S+) failed: port is already allocated|"
        r"listen tcp\S* (?P<address>\S+): bind: address already in use|"
        r"port is already allocated|address already in use",
        "The port {port} is already in use on this machine, by another container (see 'docker ps') "
        "or another program. Stop it, or publish another port: -p 8001:5001.",
    ),
    (
        r"container name \"?/?(?P<name>[\w.-]+)\"? is already in use|"
        r"name \"?(?P<other>[\w.-]+)\"? is in use",
        "A container named {name} already exists. Remove it with 'docker rm -f {name}', or choose "
        "another name.",
    ),
    (
        r"toomanyrequests|rate limit",
        "The registry's rate limit is exceeded. Raise it by logging in with 'docker login', or try "
        "again later.",
    ),
    (
        r"no basic auth credentials|unauthorized: authentication required|"
        r"denied: requested access|authentication is required",
        "The registry requires a login, and logins expire. Run 'docker login REGISTRY' and try "
        "again.",
    ),
    (
        r"dial tcp|no such host|tls handshake timeout|i/o timeout|"
        r"network is unreachable|context deadline exceeded",
        "The engine cannot reach the registry. Check the network, and that the proxy is configured "
        "for the engine and not only in the shell.",
    ),
    (
        r"pull access denied|manifest (for \S+ )?(not found|unknown)|no such image|"
        r"repository does not exist|image not known|failed to resolve reference",
        "The image was found neither on this machine nor in its registry. 'docker images' lists "
        "the images on this machine; check the tag.",
    ),
    (
        r"invalid reference format|invalid argument \S+ for \"-t, --tag\"|repository name must be",
        "That is not a valid image name. Use lower-case letters, digits and . _ - /, then a "
        "colon and a tag: my-model:1.",
    ),
)
"""Patterns, in the order in which they are tried, and the advice for each."""


def explain(output: str, command: str) -> str:
    """The message for an engine's refusal: its own last words, and the advice if there is any."""
    if advice := advice_for(output):
        return f"{advice} {command} said: {last_words(output)}"
    return f"{command} failed: {last_words(output)}"


def advice_for(output: str) -> str:
    """What to do about an engine's refusal; "" when no pattern matches."""
    for pattern, advice in PROBLEMS:
        if found := re.search(pattern, output, re.IGNORECASE):
            word = next((value for value in found.groupdict().values() if value), "").strip('"')
            port = word.rpartition(":")[2]
            return advice.replace("{port} ", f"{port} " if port else "").replace("{name}", word)
    return ""


def last_words(output: str) -> str:
    """The last line that is neither empty nor a hint about the command's help."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if not line.lower().startswith(("see ", "run '"))]
    return (telling or lines or ["(no output)"])[-1]
