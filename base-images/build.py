"""Build the family of base images, in order.

    python base-images/build.py                    the images without CUDA (as `make images` does)
    python base-images/build.py inference-gpu      one image, and those that it is built on
    python base-images/build.py lock               choose the newest versions of all packages
    python base-images/build.py pin                ask the registry for the upstream images' digests

Wheels are fetched on the host, checked against the hashes of the lock files, and installed in the
build without a network. Except for Debian's packages, the result depends on the checkout alone.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from scorehost import __version__
from scorehost.errors import EngineError, UsageError
from scorehost.images.engine import Engine, find_engine
from scorehost.images.family import BaseImage, Family, Upstream, read_family
from scorehost.images.wheels import Target, download, machine_of, that_apply

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent
TOOLS = ("overlay.py", "sbom.py")
"""Files of the runtime that are also used by themselves, inside images."""

GLIBC = 36
"""The oldest C library of the family is 2.36, Debian 12's."""

NO_DATE = "315532800"  # 1980, the first year that a zip file can hold
"""A wheel's bytes then depend only on its files, and an unchanged one is found in the cache."""

OWN_SOURCES = ("LICENSE", "MANIFEST.in", "README.md", "pyproject.toml", "runtime", "tools")


def main() -> int:
    """Run the command line; return the exit status."""
    arguments = parse(read_family())
    family = read_family(namespace=arguments.namespace)
    try:
        if arguments.names == ["lock"]:
            return lock()
        engine = find_engine(arguments.engine, os.environ)
        engine.check()
        if arguments.names == ["pin"]:
            return pin(engine, family)
        bases = dict(pair.split("=", 1) for pair in arguments.base)
        build_all(engine, family, arguments.names or ["inference-cpu"], bases)
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
        "--base",
        action="append",
        default=[],
        metavar="UPSTREAM=IMAGE",
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


# -- Building -------------------------------------------------------------------------------


def build_all(engine: Engine, family: Family, names: list[str], bases: dict[str, str]) -> None:
    """Build some images, each after those that it is built on."""
    order: list[BaseImage] = []
    for name in names:
        line: list[BaseImage] = []
        image: BaseImage | None = family.images[name]
        while image is not None:
            line.insert(0, image)
            image = image.parent
        order += [each for each in line if each not in order]
    for each in order:
        build(engine, family, each, bases)


def build(engine: Engine, family: Family, image: BaseImage, bases: dict[str, str]) -> None:
    """Build one image."""
    if image.parent is not None:
        base = image.parent.reference
    else:
        base = bases.get(image.upstream.name) or upstream_image(engine, image.upstream)
    facts = engine.image(base) or engine.pull(base)
    print(f"{image.reference}: {image.description}, on {base}")
    python = image.python if image.parent is None else python_in(engine, base)
    target = Target(python, machine_of(facts.architecture), GLIBC)
    with tempfile.TemporaryDirectory(prefix="scorehost-") as folder:
        context = Path(folder)
        fill(context, image, target)
        lines: list[str] = []
        status = engine.build(
            context,
            dockerfile=context / "Dockerfile",
            tag=image.reference,
            options=options(family, image, base),
            on_line=lines.append,
        )
    if status:
        raise EngineError("\n".join(["The build failed:", *lines[-40:]]))
    built = engine.image(image.reference)
    assert built is not None
    added = (built.size - facts.size) / 1e6
    print(f"  {built.id[:19]}, {built.size / 1e6:.0f} MB, {added:.0f} MB more than {base}")


def python_in(engine: Engine, image: str) -> str:
    """The major and minor version of an image's Python."""
    program = "import sys; print('%d.%d' % sys.version_info[:2])"
    return engine.ask("run", "--rm", "--network", "none", image, "python", "-c", program)


def upstream_image(engine: Engine, upstream: Upstream) -> str:
    """The pinned image, or one of that name that was put on this machine on purpose.

    An image without a registry's digest was imported or built on this machine, as is necessary
    where no registry can be reached.
    """
    if engine.image(upstream.pinned):
        return upstream.pinned
    here = engine.image(upstream.tagged)
    if here and not here.digests:
        print(f"note: using {upstream.tagged} made on this machine, not the pinned image")
        return upstream.tagged
    try:
        engine.pull(upstream.pinned)
    except EngineError as error:
        raise EngineError(
            f"{upstream.pinned} cannot be pulled. {error}\n"
            f"Build on another image with '--base {upstream.name}=IMAGE', or see 'Without a "
            "registry' in base-images/README.md."
        ) from error
    return upstream.pinned


def options(family: Family, image: BaseImage, base: str) -> list[str]:
    """The engine's options for the arguments that the recipe declares."""
    values = {
        "APP_UID": str(family.uid),
        "APP_USER": family.user,
        "BASE": base,
        "BASE_NAME": base,
        "DESCRIPTION": image.description,
        "REVISION": revision(image),
        "TITLE": image.name,
        "VERSION": __version__,
    }
    declared = set(re.findall(r"^ARG (\w+)", recipe(image).read_text("utf-8"), re.MULTILINE))
    chosen = {name: value for name, value in values.items() if name in declared}
    return [word for pair in chosen.items() for word in ("--build-arg", "=".join(pair))]


def recipe(image: BaseImage) -> Path:
    """An image's Dockerfile."""
    return HERE / image.recipe / "Dockerfile"


def revision(image: BaseImage) -> str:
    """The last commit that changed the image's sources; "" if they have uncommitted changes.

    It is not simply the last commit, because a label that changes with every commit would rebuild
    every layer on top of the image.
    """
    tools = [f"runtime/scorehost/images/{name}" for name in TOOLS]
    parts = ["base-images/images.toml", f"base-images/{image.recipe}", *tools]
    parts += OWN_SOURCES if image.serves else ()
    last = ["git", "-C", str(CHECKOUT), "log", "-1", "--format=%H", "--", *parts]
    changed = ["git", "-C", str(CHECKOUT), "status", "--porcelain", "--", *parts]
    if shutil.which("git") is None or _output(changed):
        return ""
    return _output(last)


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


# -- The context of a build -----------------------------------------------------------------


def fill(context: Path, image: BaseImage, target: Target) -> None:
    """Put the recipe, tools, lock file and wheels into a build's folder."""
    for file in (HERE / image.recipe).iterdir():
        if file.is_file():
            shutil.copy(file, context / file.name)
    (context / "tools").mkdir()
    for name in TOOLS:
        shutil.copy(CHECKOUT / "runtime" / "scorehost" / "images" / name, context / "tools")
    wheels = context / "wheels"
    wheels.mkdir()
    locked = context / "requirements.lock"
    locked.write_text(that_apply(locked.read_text("utf-8"), target), "utf-8")
    fetch(locked, wheels, target)
    if image.serves:
        own = own_wheel(wheels)
        digest = hashlib.sha256(own.read_bytes()).hexdigest()
        with locked.open("a", encoding="utf-8") as file:
            file.write(f"scorehost=={__version__} --hash=sha256:{digest}\n")
    for path in context.rglob("*"):  # whatever this machine's umask is
        path.chmod(0o755 if path.is_dir() else 0o644)


def fetch(locked: Path, folder: Path, target: Target) -> None:
    """Fetch the wheels of a lock file and check their hashes."""
    failed = download(locked, folder, target, options=["--require-hashes"], environ=os.environ)
    if failed:
        raise UsageError(
            "\n".join([f"The wheels of {locked.name} cannot be fetched:", *failed[-10:]])
        )


def own_wheel(folder: Path) -> Path:
    """Build scorehost's wheel, from a copy, because setuptools leaves files behind."""
    with tempfile.TemporaryDirectory(prefix="scorehost-wheel-") as place:
        for name in OWN_SOURCES:
            source = CHECKOUT / name
            if source.is_dir():
                leave = shutil.ignore_patterns("__pycache__", "*.egg-info")
                shutil.copytree(source, Path(place, name), ignore=leave)
            else:
                shutil.copy(source, place)
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
        command += ["--no-build-isolation", "--wheel-dir", str(folder), place]
        environ = {**os.environ, "SOURCE_DATE_EPOCH": NO_DATE}
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UsageError(f"scorehost's own wheel cannot be built:\n{done.stderr[-3000:]}")
    (wheel,) = folder.glob("scorehost-*.whl")
    return wheel


# -- Choosing versions ----------------------------------------------------------------------


def lock() -> int:
    """Rewrite the lock files with the newest versions that fit, for every architecture."""
    for folder, wanted in (("foundation", ["pip"]), ("inference-cpu", core_requirements())):
        file = HERE / folder / "requirements.lock"
        oldest = min(tuple(map(int, i.python.split("."))) for i in read_family().images.values())
        command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal"]
        command += ["--python-version", ".".join(map(str, oldest)), "--generate-hashes"]
        command += ["--no-header", "--no-annotate", "--upgrade", "--output-file", str(file), "-"]
        subprocess.run(command, input="\n".join(wanted), text=True, check=True)
        print(f"Wrote {file.relative_to(CHECKOUT)}")
    return 0


def core_requirements() -> list[str]:
    """The requirements of the runtime, without extras."""
    from importlib.metadata import requires

    return [line for line in requires("scorehost") or () if "extra ==" not in line]


def pin(engine: Engine, family: Family) -> int:
    """Ask for the current digests of the upstream tags, and write them to ``images.toml``."""
    data = HERE / "images.toml"
    text = data.read_text("utf-8")
    for upstream in {
        image.upstream.name: image.upstream for image in family.images.values()
    }.values():
        digest = engine.pull(upstream.tagged).digests[0].rpartition("@")[2]
        text = text.replace(upstream.digest, digest)
        print(f"{upstream.tagged} is {digest}")
    data.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
