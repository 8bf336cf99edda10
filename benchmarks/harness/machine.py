"""What a result must say about where it was measured, and whether the machine was quiet."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path

from harness import processes
from harness.servers import CLIENT_CORE

CHECKOUT = Path(__file__).resolve().parents[2]


def describe() -> dict[str, object]:
    """Processor, cores, memory, kernel and Python; nothing that names the machine."""
    return {
        "processor": _first("/proc/cpuinfo", "model name") or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        "wrk": _wrk_version(),
    }


def _first(file: str, key: str) -> str:
    for line in Path(file).read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""


def _wrk_version() -> str:
    try:
        shown = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return "not installed"
    return shown.partition("[")[0].removeprefix("wrk").strip()


def commit() -> dict[str, object]:
    """The commit that is measured, and whether the tree has changes beside it."""
    changed = _git("status", "--porcelain", "--", "runtime", "benchmarks", "pyproject.toml")
    return {"commit": _git("rev-parse", "HEAD"), "changed_files": len(changed.splitlines())}


def _git(*arguments: str) -> str:
    finished = subprocess.run(
        ["git", "-C", str(CHECKOUT), *arguments], capture_output=True, text=True, check=False
    )
    return finished.stdout.strip()


def versions(python: Path, packages: tuple[str, ...]) -> dict[str, str]:
    """Installed versions as another interpreter sees them."""
    program = (
        "import sys, importlib.metadata as m\n"
        "for name in sys.argv[1:]:\n"
        "    try: print(name, m.version(name))\n"
        "    except m.PackageNotFoundError: print(name, 'absent')\n"
        "print('python', sys.version.split()[0])"
    )
    finished = subprocess.run(
        [python, "-c", program, *packages], capture_output=True, text=True, check=True
    )
    return dict(line.split(" ", 1) for line in finished.stdout.splitlines())


def pin_to_client() -> None:
    """Keep this process off the server's core."""
    os.sched_setaffinity(0, {int(CLIENT_CORE)})


def wait_until_quiet(busy_share: float = 0.1, *, window: float = 0.25) -> bool:
    """Wait while somebody else uses the machine; False when they still do at the end.

    ``BENCH_PATIENCE`` (seconds, 60) bounds the wait.
    """
    until = time.monotonic() + float(os.environ.get("BENCH_PATIENCE", "60"))
    cores = os.cpu_count() or 1
    while time.monotonic() < until:
        before, started = processes.machine_busy(), time.monotonic()
        time.sleep(window)
        busy = processes.machine_busy() - before
        if busy / (cores * (time.monotonic() - started)) < busy_share:
            return True
    return False
