"""``scorehost sbom``: what is installed, here or in an image, as a CycloneDX document."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from scorehost.commands import COMMANDS
from scorehost.commands.arguments import Formatter, Parser
from scorehost.errors import EngineError, UsageError
from scorehost.images import sbom

ENGINE_STATUS = 1


def run(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Print the document."""
    parser = make_parser()
    typed = parser.parse_args(arguments)
    if typed.help:
        parser.print_help()
        return 0
    try:
        if typed.image is None:
            return sbom.main([typed.output] if typed.output else [])
        return write(of_image(typed.image, typed.engine, environ), typed.output)
    except EngineError as error:
        print(f"scorehost sbom: {error}", file=sys.stderr)
        return ENGINE_STATUS
    except OSError as error:
        if not typed.output or error.filename != typed.output:
            raise
        raise UsageError(f"Cannot write --output {typed.output}: {error.strerror}.") from error


def make_parser() -> Parser:
    """What can be typed."""
    parser = Parser(
        prog="scorehost sbom",
        usage="scorehost sbom [options] [IMAGE]",
        description=COMMANDS["sbom"],
        formatter_class=Formatter,
        add_help=False,
        allow_abbrev=False,
    )
    parser.add_argument(
        "image", metavar="IMAGE", nargs="?", help="Image to inspect (default: this machine)."
    )
    parser.add_argument("-h", "--help", action="store_true", help="Show this help and exit.")
    parser.add_argument("--output", metavar="FILE", help="Output file (default: standard output).")
    parser.add_argument(
        "--engine", metavar="COMMAND", help="docker, podman or a compatible command."
    )
    return parser


def of_image(image: str, engine: str | None, environ: Mapping[str, str]) -> str:
    """Ask the image itself, whatever was put into it since it was built."""
    from scorehost.images.base_facts import SERVER
    from scorehost.images.engine import find_engine

    asked = find_engine(engine, environ)
    words = ("run", "--rm", "--network", "none", "--entrypoint", f"{SERVER}/bin/python", image)
    return asked.ask(*words, "-m", "scorehost.images.sbom") + "\n"


def write(text: str, file: str | None) -> int:
    """To a file, or to standard output."""
    if file is None:
        sys.stdout.write(text)
    else:
        with open(file, "w", encoding="utf-8") as stream:  # noqa: PTH123 - as it was typed
            stream.write(text)
    return 0
