"""The family of base images, as ``recipes/images.toml`` describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from scorehost import __version__
from scorehost.errors import UsageError
from scorehost.images.reference import is_reference
from scorehost.images.text import read_toml

RECIPES = Path(__file__).with_name("recipes")
DATA = RECIPES / "images.toml"

DEFAULT = "inference-cpu"
"""The base image of ``scorehost build`` unless another is named."""


@dataclass(frozen=True)
class Upstream:
    """Somebody else's image, on which ours are built or from which they copy.

    Parameters
    ----------
    name : the one that it has in the family.
    image, tag, digest : its own, at its registry.
    python : its Python, major and minor.
    instead : the reference of an image to use in its place; "" for none.
    """

    name: str
    image: str
    tag: str
    digest: str
    python: str
    instead: str = ""

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
    recipe : folder below ``recipes/``.
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
        return self.recipe == "inference"


@dataclass(frozen=True)
class Family:
    """All base images, parents before children.

    Parameters
    ----------
    namespace : what the names of images begin with.
    images : by their short names.
    upstream : somebody else's images, by the names that they have here.
    user, uid : the user that containers run as.
    """

    namespace: str
    images: Mapping[str, BaseImage]
    upstream: Mapping[str, Upstream]
    user: str
    uid: int

    @property
    def interpreters(self) -> Mapping[str, Upstream]:
        """The Pythons that a script can have, the oldest first, and where each is copied from."""
        prefix = "python"
        return {
            name.removeprefix(prefix): upstream
            for name, upstream in self.upstream.items()
            if name.startswith(prefix)
        }

    def reference(self, name: str) -> str:
        """The engine's name for an image: a short name is looked up, any other is returned."""
        return self.images[name].reference if name in self.images else name

    def with_python(self, name: str, base_id: str, python: str) -> str:
        """The engine's name for a base image with another Python for the script.

        Parameters
        ----------
        name : the base's short name, or any other reference.
        base_id : the base's id, of which the name has a part where the base is not of the family.
        python : major and minor version.
        """
        if name in self.images:
            return f"{self.images[name].reference}-python{python}"
        digest = base_id.rpartition(":")[2]
        return f"{self.namespace}/with-python{python}:{digest[:12]}"


def read_family(
    file: Path = DATA, namespace: str | None = None, upstream: Mapping[str, str] = {}
) -> Family:
    """Read ``images.toml``.

    Parameters
    ----------
    namespace : instead of the one in the file.
    upstream : references of images to use instead of those in the file, by their names there.

    Raises
    ------
    UsageError
        There is no upstream image of that name, or a reference is none.
    """
    data = read_toml(file)
    namespace = namespace or data["namespace"]
    known = {name: Upstream(name, **facts) for name, facts in data["upstream"].items()}
    for name, reference in upstream.items():
        if name not in known:
            raise UsageError(
                f"--upstream {name}={reference}: {name} is unknown. Use one of {', '.join(known)}."
            )
        if not is_reference(reference):
            raise UsageError(
                f"--upstream {name}={reference}: {reference!r} is not a valid image name."
            )
        known[name] = replace(known[name], instead=reference)
    images: dict[str, BaseImage] = {}
    for name, facts in data["image"].items():
        reference = f"{namespace}/{name}:{__version__}"
        parent = images.get(facts["from"])
        first = parent.upstream if parent else known[facts["from"]]
        described = facts["recipe"], facts["description"]
        images[name] = BaseImage(name, reference, parent, first, *described)
    return Family(namespace, images, known, data["user"]["name"], data["user"]["uid"])
