"""What container engines say when they refuse, and what to do about it.

The words are those of docker's client and daemon (20 to 28), BuildKit and podman. What matches
nothing here is shown as it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

PROBLEMS: Sequence[tuple[str, str]] = (
    (
        r"permission denied while trying to connect|"
        r"dial unix \S+: connect: permission denied",
        "This user may not talk to the container engine. Join its group, then log in again: "
        "'sudo usermod -aG docker $USER' (who is in it can become root); or use a rootless "
        "engine, as podman is.",
    ),
    (
        r"cannot connect to the docker daemon|failed to connect to the docker api|"
        r"error during connect|cannot connect to podman|connection refused.*docker\.sock",
        "No container engine answers. Start it: 'sudo systemctl start docker', or Docker "
        "Desktop. If it runs elsewhere, DOCKER_HOST or 'docker context' names the place.",
    ),
    (
        r"no space left on device|not enough (free )?space",
        "The engine's disk is full. 'docker system df' shows what takes it, "
        "'docker system prune' frees what nothing uses.",
    ),
    (
        r"bind for (?P<port>\S+) failed: port is already allocated|"
        r"listen tcp\S* (?P<address>\S+): bind: address already in use|"
        r"port is already allocated|address already in use",
        "The port {port} is taken on this machine, by another container ('docker ps') or program. "
        "End that, or publish another: -p 8001:5001.",
    ),
    (
        r"container name \"?/?(?P<name>[\w.-]+)\"? is already in use|"
        r"name \"?(?P<other>[\w.-]+)\"? is in use",
        "There is a container named {name} already. Remove it, 'docker rm -f {name}', or choose "
        "another name.",
    ),
    (
        r"toomanyrequests|rate limit",
        "The registry has had enough requests from here for now. 'docker login' raises the "
        "limit; or try later.",
    ),
    (
        r"no basic auth credentials|unauthorized: authentication required|"
        r"denied: requested access|authentication is required",
        "The registry asks who you are: 'docker login REGISTRY', then again. Logins expire.",
    ),
    (
        r"dial tcp|no such host|tls handshake timeout|i/o timeout|"
        r"network is unreachable|context deadline exceeded",
        "The engine does not reach the registry. Is there a network, and does the engine (not "
        "only the shell) know the proxy?",
    ),
    (
        r"pull access denied|manifest (for \S+ )?(not found|unknown)|no such image|"
        r"repository does not exist|image not known|failed to resolve reference",
        "The image is not here and its registry does not have it. 'docker images' lists what is "
        "here; mind the tag.",
    ),
    (
        r"invalid reference format|invalid argument \S+ for \"-t, --tag\"|repository name must be",
        "That is not a valid image name. Use lower-case letters, digits and . _ - /, then a "
        "colon and a tag: my-model:1.",
    ),
)
"""Patterns, in the order in which they are tried, and the advice for each."""


def explain(output: str, command: str) -> str:
    """What to say about an engine's refusal: its own last words, and the advice if we know one."""
    for pattern, advice in PROBLEMS:
        found = re.search(pattern, output, re.IGNORECASE)
        if found:
            return f"{_filled(advice, found)} {command} said: {last_words(output)}"
    return f"{command} refused: {last_words(output)}"


def advice_for(output: str) -> str:
    """Only the advice; "" when we know none."""
    for pattern, advice in PROBLEMS:
        found = re.search(pattern, output, re.IGNORECASE)
        if found:
            return _filled(advice, found)
    return ""


def last_words(output: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if not line.lower().startswith(("see ", "run '"))]
    return (telling or lines or ["nothing"])[-1]


def _filled(advice: str, found: re.Match[str]) -> str:
    names = [value for value in found.groupdict().values() if value]
    word = names[0].strip('"') if names else ""
    port = word.rpartition(":")[2]
    return advice.replace("{port} ", f"{port} " if port else "").replace("{name}", word)
