"""The family of base images, as ``images.toml`` has it: which there are, and what they hold.

The file lies in ``base-images/`` of the repository, and beside this one in an installed package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scorehost import __version__
from scorehost.images import toml

DATA = Path(__file__).with_name("images.toml")

DEFAULT = "inference-cpu"
"""What ``scorehost build`` starts from unless told otherwise."""


@dataclass(frozen=True)
class Upstream:
    """An image of somebody else's, where ours begin."""

    name: str
    image: str
    tag: str
    digest: str
    python: str

    @property
    def tagged(self) -> str:
        return f"{self.image}:{self.tag}"

    @property
    def pinned(self) -> str:
        """Exactly this one; where no digest is known, whatever has the tag."""
        return f"{self.tagged}@{self.digest}" if self.digest else self.tagged


@dataclass(frozen=True)
class BaseImage:
    """One of ours.

    Parameters
    ----------
    name : what the family calls it.
    reference : its name and tag for the engine.
    parent : the one it is built from, None for the first.
    upstream : where its line begins.
    recipe : folder below ``base-images/``.
    description : in a few words.
    """

    name: str
    reference: str
    parent: BaseImage | None
    upstream: Upstream
    recipe: str
    description: str

    @property
    def python(self) -> str:
        """Its Python, major and minor."""
        return self.upstream.python

    @property
    def serves(self) -> bool:
        return self.name.startswith("inference")


@dataclass(frozen=True)
class Family:
    """All of them, parents before children."""

    images: Mapping[str, BaseImage]
    user: str
    uid: int

    def pythons(self) -> Mapping[str, str]:
        """Each Python there is, with the image that has it."""
        found: dict[str, str] = {}
        for image in self.serving():
            found.setdefault(image.python, image.name)
        return found

    def serving(self) -> list[BaseImage]:
        """Those that ``scorehost build`` can start from, the usual one first."""
        return [image for image in self.images.values() if image.serves]

    def reference(self, name: str) -> str:
        """What the engine calls an image: the family's by their short names, others as given."""
        return self.images[name].reference if name in self.images else name


def read_family(file: Path = DATA, namespace: str | None = None) -> Family:
    """Read the data; the images are called as it says, or by another namespace."""
    data = toml.loads(file.read_text("utf-8"))
    namespace = namespace or data["namespace"]
    upstream = {name: Upstream(name, **facts) for name, facts in data["upstream"].items()}
    images: dict[str, BaseImage] = {}
    for name, facts in data["image"].items():
        reference = f"{namespace}/{name}:{__version__}"
        images[name] = _base_image(name, reference, facts, upstream, images)
    return Family(images, data["user"]["name"], data["user"]["uid"])


def _base_image(
    name: str,
    reference: str,
    facts: Mapping[str, Any],
    upstream: Mapping[str, Upstream],
    images: Mapping[str, BaseImage],
) -> BaseImage:
    parent = images.get(facts["from"])
    return BaseImage(
        name,
        reference,
        parent,
        parent.upstream if parent else upstream[facts["from"]],
        facts["recipe"],
        facts["description"],
    )
