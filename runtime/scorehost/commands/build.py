"""``scorehost build``: make a container image of a folder with an entry script."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scorehost.commands import COMMANDS
from scorehost.commands.arguments import Formatter, Parser
from scorehost.errors import BuildFailed, EngineError, MissingExtra, UsageError

if TYPE_CHECKING:
    from scorehost.images.plan import Wishes

ENGINE_STATUS = 1
CHECK_STATUS = 3

EXTRA = {"yaml": "pyyaml"}
"""Modules whose package has another name."""


def run(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Build an image; status 3 when its script fails the check, 1 when the engine fails."""
    parser = make_parser()
    typed = parser.parse_args(arguments)
    if typed.help:
        parser.print_help()
        return 0
    if typed.tag is None and not (typed.dry_run or typed.lock or typed.locked):
        raise UsageError("The image needs a name: -t my-model:1")
    try:
        return build(typed, environ)
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name == "scorehost":
            raise
        raise MissingExtra("scorehost build", EXTRA.get(name, name), "images") from error
    except EngineError as error:
        print(f"scorehost build: {error}", file=sys.stderr)
        failed_check = isinstance(error, BuildFailed) and error.step == "check"
        return CHECK_STATUS if failed_check else ENGINE_STATUS


def make_parser() -> Parser:
    """What can be typed."""
    parser = Parser(
        prog="scorehost build",
        usage="scorehost build [options] FOLDER -t NAME",
        description=COMMANDS["build"],
        formatter_class=Formatter,
        add_help=False,
        allow_abbrev=False,
    )
    parser.add_argument(
        "folder",
        metavar="FOLDER",
        nargs="?",
        default=".",
        help="Folder that contains score.py (default: the current folder).",
    )
    parser.add_argument("-h", "--help", action="store_true", help="Show this help and exit.")
    _add_what(parser.add_argument_group("What"))
    _add_packages(parser.add_argument_group("Packages"))
    _add_how(parser.add_argument_group("How"))
    return parser


def _add_what(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "-t", "--tag", metavar="NAME", help="Name of the image, for example my-model:1."
    )
    group.add_argument(
        "--entry-script",
        metavar="FILE",
        help="Entry script in the folder (default: score.py or main.py).",
    )
    group.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="NAME[:VERSION]=PATH",
        help="A file or folder that becomes azureml-models/NAME/VERSION/…; may be repeated.",
    )
    group.add_argument(
        "--docker-file",
        metavar="FILE",
        help="Build steps of your own, run as root before the app is copied (default: "
        "Dockerfile.steps in the folder, if it exists).",
    )
    group.add_argument(
        "--base-image",
        metavar="IMAGE",
        default="inference-cpu",
        help="Base image: inference-cpu, inference-gpu, or an image built on one.",
    )
    group.add_argument(
        "--python",
        metavar="VERSION",
        help="The script's Python, 3.8 to 3.14 (default: the one that the environment file or "
        ".python-version asks for, otherwise the base image's).",
    )
    group.add_argument(
        "--strict",
        action="store_true",
        help="Refuse to build if scorehost does not run the Python that is asked for, instead of "
        "using the nearest.",
    )
    group.add_argument(
        "--env",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="Environment variable of the image, such as a setting of scorehost; may be repeated.",
    )
    group.add_argument(
        "--debug",
        action="store_true",
        help="Add the debugger and live reload to the image, and enable both.",
    )
    group.add_argument(
        "--allow-secret",
        action="append",
        default=[],
        metavar="FILE",
        help="Include a file that looks like a secret; may be repeated.",
    )


def _add_packages(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--environment",
        "--conda-file",
        metavar="FILE",
        help="myenv.yml, requirements.txt or pyproject.toml (default: the one in the folder).",
    )
    group.add_argument(
        "--conda",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="Install the packages of a conda file from conda's channels, or never do so (default: "
        "only if the file lists packages that pip does not have).",
    )
    group.add_argument(
        "--channel",
        action="append",
        default=[],
        metavar="NAME=URL",
        help="Use a mirror for one of conda's channels; may be repeated.",
    )
    group.add_argument(
        "--wheelhouse",
        metavar="FOLDER",
        help="Use only the wheels in this folder; do not contact an index.",
    )
    group.add_argument("--index-url", metavar="URL", help="URL of the package index.")
    group.add_argument(
        "--ca-bundle", metavar="FILE", help="Certificates to trust when packages are fetched."
    )
    locking = group.add_mutually_exclusive_group()
    locking.add_argument(
        "--lock",
        action="store_true",
        help="Choose the packages and write them, with their hashes, to scorehost.lock beside the "
        "environment file. Later builds use it. Without --tag, no image is built.",
    )
    locking.add_argument(
        "--locked",
        action="store_true",
        help="Fail if scorehost.lock is missing or stale, for CI. Without --tag, only check it.",
    )
    group.add_argument(
        "--upgrade",
        action="store_true",
        help="Choose again, and the newest versions, where nothing is pinned; with --lock, also in "
        "scorehost.lock.",
    )


def _add_how(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--no-check",
        action="store_true",
        help="Skip the last step, which runs scorehost check in the image.",
    )
    group.add_argument(
        "--sample", metavar="FILE", help="File in the folder with a request body for the check."
    )
    group.add_argument(
        "--dry-run", action="store_true", help="Print the Dockerfile and build nothing."
    )
    group.add_argument(
        "--no-cache", action="store_true", help="Rebuild every layer, even unchanged ones."
    )
    group.add_argument(
        "--upstream",
        action="append",
        default=[],
        metavar="NAME=IMAGE",
        help="Take an image that base images are made from at another place, such as "
        "debian=registry.example.com/debian:bookworm-slim; may be repeated.",
    )
    group.add_argument(
        "--engine", metavar="COMMAND", help="docker, podman or a compatible command."
    )


def build(typed: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Plan and build, or only show."""
    # Only now: what it needs comes with an extra.
    from scorehost.images.build import Builder, How, dry_run, made_ready
    from scorehost.images.display import make_display
    from scorehost.images.engine import find_engine
    from scorehost.images.family import read_family
    from scorehost.images.plan import make_plan

    family = read_family(upstream=pairs_of("--upstream", typed.upstream, "NAME=IMAGE"))
    plan = make_plan(wishes(typed), family)
    if typed.dry_run:
        for note in plan.notes:  # apart from the Dockerfile, which may go into a file
            print(f"note: {note}", file=sys.stderr)
        print(dry_run(plan, family), end="")
        return 0
    engine = find_engine(typed.engine, environ)
    engine.check()
    cache = made_ready(cache_folder(environ))
    how = How(cache, environ, typed.upgrade, not typed.no_cache)
    display = make_display(sys.stdout)
    try:
        builder = Builder(engine, plan, how, display)
        if typed.tag is None and typed.locked:
            builder.check_lock(family)
        elif typed.tag is None:
            builder.lock(family)
        else:
            builder.build(family)
    finally:
        display.close()
    return 0


def wishes(typed: argparse.Namespace) -> Wishes:
    """What was typed, as values."""
    from scorehost.images.plan import Wishes
    from scorehost.images.wheels import Sources

    sources = Sources(
        existing(typed.wheelhouse, "--wheelhouse", folder=True),
        typed.index_url,
        existing(typed.ca_bundle, "--ca-bundle"),
    )
    if typed.locked and typed.upgrade:
        raise UsageError(
            "--locked uses the versions of scorehost.lock, and --upgrade looks for others. Use one "
            "or the other."
        )
    return Wishes(
        folder=Path(typed.folder),
        tag=typed.tag or "app",
        entry_script=typed.entry_script,
        environment=Path(typed.environment) if typed.environment else None,
        docker_file=Path(typed.docker_file) if typed.docker_file else None,
        models=typed.model,
        base_image=typed.base_image,
        python=typed.python,
        strict=typed.strict,
        conda=typed.conda,
        mirrors=pairs_of("--channel", typed.channel, "NAME=URL"),
        debug=typed.debug,
        check=not typed.no_check,
        sample=typed.sample,
        variables=typed.env,
        allowed_secrets=typed.allow_secret,
        sources=sources,
        locking="write" if typed.lock else "require" if typed.locked else "",
    )


def pairs_of(flag: str, values: Sequence[str], form: str) -> dict[str, str]:
    """The values of an option that is repeated, each a name and what it stands for."""
    for value in values:
        name, _, rest = value.partition("=")
        if not name or not rest:
            raise UsageError(f"{flag} {value} is not of the form {form}.")
    return dict(value.split("=", 1) for value in values)


def existing(typed: str | None, flag: str, *, folder: bool = False) -> Path | None:
    """A file or folder that is there, as an absolute path."""
    if typed is None:
        return None
    path = Path(typed).expanduser().absolute()
    if not (path.is_dir() if folder else path.is_file()):
        raise UsageError(
            f"{flag} {typed} {'is not a folder' if folder and path.exists() else 'does not exist'}."
        )
    return path


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Where wheels and logs are kept."""
    base = environ.get("XDG_CACHE_HOME") or str(
        Path(environ.get("HOME", "~")).expanduser() / ".cache"
    )
    return Path(base) / "scorehost"
