"""``azmlinfsrv``: the retired server's command, so that what calls it need not change.

The same flags (dashes are taken for underscores), the same kind of start-up report, the same
line format in the log; behind it is the server of ``scorehost serve``.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from scorehost import __version__
from scorehost.commands.arguments import HELP, Parser
from scorehost.commands.serve import end_cleanly_until_served
from scorehost.errors import UsageError
from scorehost.names import nearest
from scorehost.profile import Profile
from scorehost.sources import Resolved, resolve
from scorehost.values import number_text

VERSION = f"azmlinfsrv/{__version__}"

FLAGS = {
    "--entry_script": ("entry_script", "FILE", "The entry script."),
    "--model_dir": ("model_dir", "DIR", "Folder of the model: AZUREML_MODEL_DIR for the script."),
    "--port": ("port", "PORT", "Port of the scoring routes; 5001 unless set."),
    "--health_port": ("health_port", "PORT", "Separate port for probes."),
    "--worker_count": ("worker_count", "N|auto", "Scoring workers; 1 unless set."),
    "--appinsights_instrumentation_key": (
        "app_insights_key",
        "UUID",
        "Enables Application Insights for the script.",
    ),
    "--access_control_allow_origins": (
        "cors_origins",
        "ORIGINS",
        "Origins that browsers may call from, separated by commas, or *.",
    ),
    "--config_file": ("config_file", "FILE", "JSON file of settings."),
}
"""Each with the setting it sets, what stands for its value, and its help."""

SEPARATE_HEALTH_PORT = 5000
"""Where the retired server puts probes when SEPERATE_HEALTH_ENDPOINT (sic) is true."""


def run(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Serve until told to stop; the exit status."""
    parser = make_parser()
    if any(word in HELP for word in arguments):
        parser.print_help()
        return 0
    typed = read(parser, arguments)
    again = partial(settle, typed, environ)
    resolved = again()
    report = startup_report(resolved)
    profile = Profile(VERSION, "azmlinfsrv", report, resolved.warnings, again)

    end_cleanly_until_served()
    from scorehost.front.server import serve  # only now: a wrong flag is answered at once

    return serve(resolved.settings, profile=profile, environ=environ)


def make_parser() -> Parser:
    """The parser of its flags."""
    parser = Parser(
        prog="azmlinfsrv",
        usage="azmlinfsrv --entry_script FILE [options]",
        description=f"Serve an entry script over HTTP (scorehost {__version__}).",
        epilog="Set everything else with environment variables or in the config file: "
        "see 'scorehost config' and 'scorehost serve --help'.",
        add_help=False,
    )
    for flag, (name, metavar, what) in FLAGS.items():
        parser.add_argument(flag, dest=name, metavar=metavar, default=argparse.SUPPRESS, help=what)
    # Accepted and without effect there as well.
    parser.add_argument("--rest", action="store_true", help=argparse.SUPPRESS)
    return parser


def read(parser: Parser, arguments: Sequence[str]) -> dict[str, str]:
    """What was typed, as text, by the setting's field name."""
    own, rest = parser.parse_known_args([_with_underscores(word) for word in arguments])
    if rest:
        near = nearest(rest[0].partition("=")[0], FLAGS)
        hint = f" Did you mean {near}?" if near else ""
        raise UsageError(f"Unexpected {rest[0]!r}.{hint}")
    typed = vars(own)
    typed.pop("rest")
    return typed


def _with_underscores(word: str) -> str:
    if not word.startswith("--"):
        return word
    flag, equals, value = word.partition("=")
    return "--" + flag[2:].replace("-", "_") + equals + value


def settle(typed: Mapping[str, str], environ: Mapping[str, str]) -> Resolved:
    """Settings by this command's rules.

    Its app root is the working directory unless set, its script lies where the shell is, it
    listens on every address, and a key on its command line enables Application Insights.
    """
    flags = dict(typed)
    if "entry_script" in flags:
        flags["entry_script"] = str(Path(flags["entry_script"]).resolve())
    if "app_insights_key" in flags:
        flags["app_insights_enabled"] = "true"
    defaults: dict[str, Any] = {"host": "0.0.0.0", "app_root": Path.cwd()}  # noqa: S104 - as there
    if environ.get("SEPERATE_HEALTH_ENDPOINT") == "true":
        defaults["health_port"] = SEPARATE_HEALTH_PORT
    spelling = {name: flag for flag, (name, _, _) in FLAGS.items()}
    resolved = resolve(flags, environ, defaults, spelling)
    if (
        resolved.sources["entry_script"].kind == "default"
        and not resolved.settings.script.is_file()
    ):
        raise UsageError(
            f"No entry script: name one with --entry_script or AZUREML_ENTRY_SCRIPT, or put a "
            f"main.py into {resolved.settings.root}."
        )
    return resolved


def startup_report(resolved: Resolved) -> str:
    """What is printed before the server starts, line by line as log readers know it."""
    settings = resolved.settings
    separate = settings.health_port is not None
    health_port = settings.health_port if separate else settings.port
    lines = {
        "Entry Script Name": settings.script,
        "Model Directory": settings.model_dir,
        "Config File": resolved.config_file,
        "Worker Count": settings.worker_count or "auto",
        "Worker Timeout (seconds)": number_text(settings.worker_timeout),
        "Server Port": settings.port,
        "Health Port": health_port,
        "Application Insights Enabled": str(settings.app_insights_enabled).lower(),
        "Application Insights Key": "provided" if settings.app_insights_key else None,
        "Inferencing HTTP server version": VERSION if settings.server_version_header else None,
        "CORS for the specified origins": ", ".join(settings.cors_origins) or None,
        "Create dedicated endpoint for health": "true" if separate else None,
    }
    report = "".join(f"{label}: {value}\n" for label, value in lines.items())
    return (
        f"\nscorehost {__version__}, started as azmlinfsrv\n\n\n"
        f"Server Settings\n---------------\n{report}\n\n"
        "Server Routes\n---------------\n"
        f"Liveness Probe: GET   127.0.0.1:{health_port}/\n"
        f"Score:          POST  127.0.0.1:{settings.port}/score\n\n"
    )
