"""Broken entry scripts and the report that each of them has to get.

``tests/scripts/broken/<case>/`` becomes an app root; ``<case>.txt`` beside it is the whole report,
as a person sees it. What differs from machine to machine is replaced by a name in angle
brackets; since a longer path moves line ends, prose is compared without them.

Run as a script, with the names of cases or none for all, it writes what ``scorehost check`` says
now into those files, and those that the troubleshooting page shows into that page; read the
difference before you commit it.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from scorehost.diagnosis.deaths import explain_exit
from scorehost.diagnosis.report import report_death
from support.pythons import SERVER_PYTHON, scripts_python
from support.server import clean_environment

BROKEN = Path(__file__).parents[1] / "scripts" / "broken"
PAGE = Path(__file__).parents[2] / "docs" / "troubleshooting.md"

_ON_PAGE = re.compile(r"(?s)(?P<head>```text report=(?P<name>\w+)\n)(?P<report>.*?)```\n")

SETTINGS: dict[str, dict[str, str]] = {"slow_init": {"WORKER_TIMEOUT": "4"}}
"""Variables of the cases that need one; a crowded machine needs seconds to reach ``init()``."""

PACKAGES = ("Flask", "numpy", "scikit-learn")
"""Whose versions stand in reports."""

WRITTEN_WITH = (3, 11)
"""The Python whose words stand in the files; others word their errors a little differently."""

_IN_PYTHONS_WORDS = (r"(?<=^│ Error ).*$", r"^│ +(\^+|raised in .*)\n", r"^│ Cause   .*\n│\n")

_WHY_KILLED = re.compile(
    r"Most often that is a lack of memory: .* from outside\."
    r"|The container's own memory limit was not .* sent kill -9\."
)


def cases() -> list[str]:
    """Names of all broken scripts."""
    return sorted(folder.name for folder in BROKEN.iterdir() if folder.is_dir())


def lay_out(case: str, folder: Path) -> Path:
    """Copy a broken script into an app root of its own."""
    return shutil.copytree(BROKEN / case, folder / "app")


def run(command: str, case: str, app: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``scorehost check`` or ``scorehost serve`` on a case to its end."""
    settings = {"AML_APP_ROOT": str(app), "PYTHONIOENCODING": "utf-8"}
    words = [SERVER_PYTHON, "-m", "scorehost", command, "score.py", *arguments]
    process = subprocess.Popen(
        words,
        cwd=app,
        env=clean_environment(settings | SETTINGS.get(case, {})),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # the server's other processes as well
        out, err = process.communicate()
        raise AssertionError(f"still running after a minute, having said:\n{out}{err}") from None
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def report_in(output: str) -> str:
    """The framed report at the end of an output; "" when there is none or more follows.

    Logs have its frame in ASCII, a terminal in better signs: here it is always the latter.
    """
    start = re.search(r"^(┌─|\+-) scorehost: (?s:.*)\Z", output, re.MULTILINE)
    lines = start[0].rstrip("\n").split("\n") if start else [""]
    if start is None or not lines[-1].startswith(("└──", "+--")):
        return ""
    lines[0] = re.sub(r"-+$", lambda dashes: "─" * len(dashes[0]), lines[0]).replace("+-", "┌─", 1)
    lines[1:] = [re.sub(r"^\|", "│", line) for line in lines[1:]]
    return "\n".join([*lines[:-1], "└" + "─" * (len(lines[-1]) - 1)])


def normalised(report: str, app: Path) -> str:
    """Replace what differs from machine to machine, and from one command to the other."""
    python = scripts_python()
    for path, name in ((app, "<app>"), (python.path, "<python>")):
        report = report.replace(str(path), name)
    for package in PACKAGES:
        version = python.packages.get(package.lower(), "?")
        report = report.replace(f"{package} {version}", f"{package} <version>")
    version = python.packages.get("scikit-learn", "?")
    replacements = {
        r"Python 3\.\d+": "Python <version>",
        rf"(version|this is) {re.escape(version)}": r"\1 <version>",
        r"[^\s(]*/site-packages/": "<packages>/",
        r"(raised in \S+, line) \d+": r"\1 <line>",
        r"(\b(?:ctypes|signal)\S*\.py):\d+": r"\1:<line>",
        r"\.\.\. \d+ more frames": "... <many> more frames",
        r"[Tt]hread (?:0x\w+ )?\(most recent": "thread (most recent",
        "Current thread": "thread",
        r" \(reference \w{8}\) (─+)": r" \1" + "─" * 21,  # in a server's log only
    }
    for pattern, name in replacements.items():
        report = re.sub(pattern, name, report)
    return report


def comparable(report: str) -> str:
    """What two reports of one case have in common, whichever Python and machine wrote them.

    Lines of prose, which hang by eight columns, are joined; code hangs by more.
    """
    text = re.sub(r"\n│ {9}(?=\S)", " ", report)
    text = _WHY_KILLED.sub("<why it was killed>", text)
    text = text.replace(" (WORKER_TIMEOUT) during init().", " (WORKER_TIMEOUT).")
    if scripts_python().version != WRITTEN_WITH:
        for pattern in _IN_PYTHONS_WORDS:
            text = re.sub(pattern, "", text, flags=re.MULTILINE)
    return text


def expected(case: str) -> str:
    """The report that a case has to get."""
    return (BROKEN / f"{case}.txt").read_text("utf-8").rstrip("\n")


def drawn(name: str) -> str:
    """The report of a case, or one that no script can bring about everywhere."""
    if name != "out_of_memory":
        return expected(name)
    death = explain_exit(
        -signal.SIGKILL, oom_before=0, oom_after=1, memory_limit=512 << 20, peak_bytes=498 << 20
    )
    report = report_death(
        stage="init()", script=Path("<app>/score.py"), cause=death.text, hint=death.hint
    )
    return report.text().rstrip("\n")


def reports_on(page: str) -> dict[str, str]:
    """The reports that stand on a page, by the name of their case."""
    return {match["name"]: match["report"] for match in _ON_PAGE.finditer(page)}


def main(names: list[str]) -> None:
    """Write the reports of these cases, and the page that shows some."""
    for case in names or cases():
        with tempfile.TemporaryDirectory() as folder:
            app = lay_out(case, Path(folder))
            report = report_in(run("check", case, app).stdout)
            (BROKEN / f"{case}.txt").write_text(normalised(report, app) + "\n", "utf-8")
            print(case if report else f"{case}: NO REPORT")
    page = PAGE.read_text("utf-8")
    PAGE.write_text(
        _ON_PAGE.sub(lambda match: f"{match['head']}{drawn(match['name'])}\n```\n", page), "utf-8"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
