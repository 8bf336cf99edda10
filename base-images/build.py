"""Make the base images anew, or change the versions that they are made of.

    python base-images/build.py                    the images without CUDA (as `make images` does)
    python base-images/build.py inference-gpu      one image, and those that it is built on
    python base-images/build.py lock               choose the newest versions of all packages
    python base-images/build.py pin                ask the registry for the upstream images' digests

`scorehost build` makes those that are missing by itself; this is for work on their recipes, in
runtime/scorehost/images/recipes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

from scorehost.commands.build import cache_folder, pairs_of
from scorehost.errors import EngineError, UsageError
from scorehost.images.bases import Bases
from scorehost.images.build import made_ready
from scorehost.images.display import make_display
from scorehost.images.engine import Engine, find_engine
from scorehost.images.family import DATA, RECIPES, BaseImage, Family, read_family
from scorehost.images.wheels import Sources

CHECKOUT = Path(__file__).resolve().parents[1]
OWN_SOURCES = ("pyproject.toml", "runtime", "tools")


def main() -> int:
    """Run the command line; return the exit status."""
    arguments = parse(read_family())
    try:
        upstream = pairs_of("--upstream", arguments.upstream, "NAME=IMAGE")
        family = read_family(namespace=arguments.namespace, upstream=upstream)
        if arguments.names == ["lock"]:
            return lock()
        engine = find_engine(arguments.engine, os.environ)
        engine.check()
        if arguments.names == ["pin"]:
            return pin(engine, family)
        make(engine, family, arguments.names or ["inference-cpu"])
    except (EngineError, UsageError) as error:
        print(f"base-images: {error}", file=sys.stderr)
        return 1
    return 0


def parse(family: Family) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [*family.images, "lock", "pin"]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"One of {', '.join(names)}.")
    parser.add_argument(
        "--upstream",
        action="append",
        default=[],
        metavar="NAME=IMAGE",
        help="Build on another image: debian=registry.example/debian:bookworm-slim.",
    )
    parser.add_argument(
        "--namespace", metavar="NAME", help="Name the images NAME/inference-cpu and so on."
    )
    parser.add_argument(
        "--engine", metavar="COMMAND", help="docker, podman, or a compatible command."
    )
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in names]
    if unknown:
        parser.error(f"There is no image {unknown[0]}. The images are {', '.join(family.images)}.")
    return arguments


def make(engine: Engine, family: Family, names: list[str]) -> None:
    """Make some images, each after those that it is built on."""
    order: list[BaseImage] = []
    for name in names:
        line: list[BaseImage] = []
        image: BaseImage | None = family.images[name]
        while image is not None:
            line.insert(0, image)
            image = image.parent
        order += [each for each in line if each not in order]
    cache = made_ready(cache_folder(os.environ))
    display = make_display(sys.stdout)
    bases = Bases(engine, family, Sources(), cache, os.environ, display)
    try:
        for each in order:
            parent = engine.image(each.parent.reference) if each.parent else None
            bases.make(each, parent, revision=revision(each))
    finally:
        display.close()


def revision(image: BaseImage) -> str:
    """The last commit that changed the image's sources; "" if they have uncommitted changes.

    It is not simply the last commit, because a label that changes with every commit would rebuild
    every layer on top of the image.
    """
    recipes = RECIPES.relative_to(CHECKOUT)
    parts = [str(recipes / "images.toml"), str(recipes / image.recipe)]
    parts += ["runtime/scorehost/images/sbom.py", *(OWN_SOURCES if image.serves else ())]
    last = ["git", "-C", str(CHECKOUT), "log", "-1", "--format=%H", "--", *parts]
    changed = ["git", "-C", str(CHECKOUT), "status", "--porcelain", "--", *parts]
    if shutil.which("git") is None or _output(changed):
        return ""
    return _output(last)


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


# -- Choosing versions ----------------------------------------------------------------------


def lock() -> int:
    """Rewrite the lock files with the newest versions that fit, for every architecture."""
    family = read_family()
    own = min((image.python for image in family.images.values()), key=as_numbers)
    oldest = min(family.interpreters, key=as_numbers)
    core = [line for line in requires("scorehost") or () if "extra ==" not in line]
    orjson = [line for line in core if line.startswith("orjson")]
    for folder, wanted, python in (
        ("foundation", ["pip"], own),
        ("inference", core, own),
        ("python", orjson, oldest),
    ):
        file = RECIPES / folder / "requirements.lock"
        command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal"]
        command += ["--python-version", python, "--generate-hashes", "--no-header"]
        command += ["--no-annotate", "--upgrade", "--output-file", str(file), "-"]
        subprocess.run(command, input="\n".join(wanted), text=True, check=True)
        print(f"Wrote {file.relative_to(CHECKOUT)}")
    return 0


def as_numbers(version: str) -> tuple[int, ...]:
    """A version by which others can be compared."""
    return tuple(map(int, version.split(".")))


def pin(engine: Engine, family: Family) -> int:
    """Ask for the current digests of the upstream tags, and write them to ``images.toml``."""
    text = DATA.read_text("utf-8")
    for upstream in family.upstream.values():
        digest = engine.pull(upstream.tagged).digests[0].rpartition("@")[2]
        text = text.replace(upstream.digest, digest)
        print(f"{upstream.tagged} is {digest}")
    DATA.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
