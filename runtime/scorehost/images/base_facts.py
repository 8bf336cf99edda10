"""What is in a base image, asked of the image itself: its Python, its platform, its packages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

from scorehost.errors import EngineError
from scorehost.images.engine import Engine, Image
from scorehost.images.wheels import Target

PROGRAM = """
import importlib.metadata, json, platform, sys
packages = {d.metadata["Name"]: d.version for d in importlib.metadata.distributions()}
print(json.dumps({
    "python": "%d.%d" % sys.version_info[:2],
    "release": platform.python_version(),
    "machine": platform.machine(),
    "glibc": int((platform.libc_ver()[1].split(".") + ["0"])[1] or 0),
    "packages": packages,
}))
"""


@dataclass(frozen=True)
class BaseFacts:
    """What is in a base image.

    Parameters
    ----------
    image : it, as the engine knows it.
    python, release : Python's version, in two and in three parts.
    machine, glibc : for which wheels must be.
    packages : of Python, with their versions.
    """

    image: str
    python: str
    release: str
    machine: str
    glibc: int
    packages: Mapping[str, str]

    @property
    def target(self) -> Target:
        return Target(self.python, self.machine, self.glibc)


def look_into(engine: Engine, image: Image, reference: str, cache: Path) -> BaseFacts:
    """Ask an image, or remember what it said: an image never changes."""
    remembered = cache / "bases" / f"{image.id.rpartition(':')[2]}.json"
    facts = recall(remembered)
    if facts is not None:
        return facts
    try:
        words = ("run", "--rm", "--network", "none", "--entrypoint", "python", image.id)
        said = engine.ask(*words, "-c", PROGRAM)
        facts = BaseFacts(image=image.id, **json.loads(said))
    except (EngineError, ValueError) as error:
        raise EngineError(f"Python does not run in {reference}: {error}") from error
    if "scorehost" not in facts.packages:
        raise EngineError(
            f"scorehost is not installed in {reference}. Start from an image of the family, or "
            "from one that is built on it."
        )
    remember(facts, remembered)
    return facts


def recall(file: Path) -> BaseFacts | None:
    """What was remembered; None when nothing was, or only a part of it."""
    try:
        return BaseFacts(**json.loads(file.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def remember(facts: BaseFacts, file: Path) -> None:
    """Keep it; whoever reads at the same time reads all or nothing."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("w", dir=file.parent, suffix=".new", delete=False) as stream:
        json.dump(asdict(facts), stream)
    Path(stream.name).replace(file)
