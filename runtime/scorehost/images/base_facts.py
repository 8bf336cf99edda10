"""The script's Python in a base image, its platform and packages, as the image reports them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

from scorehost.errors import EngineError
from scorehost.images.engine import Engine, Image
from scorehost.images.wheels import Target

SERVER = "/opt/scorehost"
"""Where an image has the server, apart from what the script has."""

ADVICE = "Use inference-cpu, inference-gpu, or an image that is built on one of them."

PROGRAM = f"""
import importlib.metadata, json, os, platform, sys
packages = {{d.metadata["Name"]: d.version for d in importlib.metadata.distributions()
            if d.metadata["Name"]}}  # without a name: what a removal left behind
print(json.dumps({{
    "serves": os.path.exists("{SERVER}/bin/scorehost"),
    "python": "%d.%d" % sys.version_info[:2],
    "release": platform.python_version(),
    "machine": platform.machine(),
    "cuda": os.environ.get("CUDA_VERSION", ""),
    "glibc": int((platform.libc_ver()[1].split(".") + ["0"])[1] or 0),
    "packages": packages,
}}))
"""


@dataclass(frozen=True)
class BaseFacts:
    """The script's Python in a base image, its platform and packages.

    Parameters
    ----------
    image : its id.
    serves : whether it has the server.
    python, release : the version of the script's Python, in two and in three parts.
    machine, glibc : the platform, as in :class:`Target`.
    cuda : the version of CUDA; "" for none.
    packages : the script's packages, with their versions.
    """

    image: str
    serves: bool
    python: str
    release: str
    machine: str
    glibc: int
    cuda: str
    packages: Mapping[str, str]

    @property
    def target(self) -> Target:
        return Target(self.python, self.machine, self.glibc, self.release)


def look_into(engine: Engine, image: Image, reference: str, cache: Path) -> BaseFacts:
    """The facts about an image, from the cache if it was asked before: an image never changes.

    Raises
    ------
    EngineError
        The image runs no Python, or has no scorehost.
    """
    remembered = cache / "bases" / f"{image.id.rpartition(':')[2]}.json"
    try:
        return BaseFacts(**json.loads(remembered.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        pass  # it was never asked, or only a part of its answer was kept
    try:
        words = ("run", "--rm", "--network", "none", "--entrypoint", "python", image.id)
        facts = BaseFacts(image=image.id, **json.loads(engine.ask(*words, "-c", PROGRAM)))
    except (EngineError, ValueError) as error:
        raise EngineError(f"Python cannot be run in {reference}. {ADVICE}\n  {error}") from error
    if not facts.serves:
        raise EngineError(f"{reference} has no scorehost in {SERVER}. {ADVICE}")
    remembered.parent.mkdir(parents=True, exist_ok=True)
    # Replaced in one step, so that a build that reads the file meanwhile gets all or nothing.
    with NamedTemporaryFile("w", dir=remembered.parent, suffix=".new", delete=False) as stream:
        json.dump(asdict(facts), stream)
    Path(stream.name).replace(remembered)
    return facts
