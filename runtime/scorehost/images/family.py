"""The family of base images, as ``images.toml`` describes it.

The file lies in ``base-images/`` of the repository, and beside this one in an installed package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scorehost import __version__
from scorehost.images.text import read_toml

DATA = Path(__file__).with_name("images.toml")

DEFAULT = "inference-cpu"
"""The base image of ``scorehost build`` unless another is named."""


@dataclass(frozen=True)
class Upstream:
    """Somebody else's image, on which ours are built."""

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
        """The reference with its digest; only the tag where no digest is known."""
        return f"{self.tagged}@{self.digest}" if self.digest else self.tagged


@dataclass(frozen=True)
class BaseImage:
    """One of our base images.

    Parameters
    ----------
    name : its short name in the family.
    reference : its name and tag for the engine.
    parent : the image it is built from; None for the first.
    upstream : somebody else's image, on which the first of the line is built.
    recipe : folder below ``base-images/``.
    """

    name: str
    reference: str
    parent: BaseImage | None
    upstream: Upstream
    recipe: str
    description: str

    @property
    def python(self) -> str:
        """The major and minor version of its Python."""
        return self.upstream.python

    @property
    def serves(self) -> bool:
        """Whether it has scorehost, so that ``scorehost build`` can build on it."""
        return self.name.startswith("inference")


@dataclass(frozen=True)
class Family:
    """All base images, parents before children."""

    images: Mapping[str, BaseImage]
    user: str
    uid: int

    def pythons(self) -> Mapping[str, str]:
        """The Python versions of the family, each with the first image that has it."""
        found: dict[str, str] = {}
        for image in self.images.values():
            if image.serves:
                found.setdefault(image.python, image.name)
        return found

    def reference(self, name: str) -> str:
        """The engine's name for an image: a short name is looked up, any other is returned."""
        return self.images[name].reference if name in self.images else name


def read_family(file: Path = DATA, namespace: str | None = None) -> Family:
    """Read ``images.toml``; a namespace replaces the one it names."""
    data = read_toml(file)
    namespace = namespace or data["namespace"]
    upstream = {name: Upstream(name, **facts) for name, facts in data["upstream"].items()}
    images: dict[str, BaseImage] = {}
    for name, facts in data["image"].items():
        reference = f"{namespace}/{name}:{__version__}"
        parent = images.get(facts["from"])
        first = parent.upstream if parent else upstream[facts["from"]]
        described = facts["recipe"], facts["description"]
        images[name] = BaseImage(name, reference, parent, first, *described)
    return Family(images, data["user"]["name"], data["user"]["uid"])
