"""Base images: found on this machine, pulled, or made there and then from their recipes.

An image of the family is made once for each version of scorehost, after those that it is built
on. Its wheels are fetched on the host, with the settings of its pip, checked against the hashes of
the recipe's lock file, and installed without a network; so the result depends on the recipe, on
scorehost's own files, and on Debian's packages of that day.

A script's Python that is not the one of Debian or Ubuntu is one more layer on a base image, copied
from Python's official image. It has a name of its own, so that all apps with that Python share it.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from scorehost import __version__
from scorehost.errors import EngineError, UsageError
from scorehost.images.build_log import BuildLog, name_for
from scorehost.images.conda_packages import CondaPackage, CondaPackages, digest_of
from scorehost.images.display import Display
from scorehost.images.engine import Engine, Image
from scorehost.images.engine_problems import advice_for
from scorehost.images.family import RECIPES, BaseImage, Family, Upstream
from scorehost.images.locks import alone
from scorehost.images.own_wheel import write_own_wheel
from scorehost.images.wheels import Sources, Target, download, machine_of, that_apply

GLIBC = 36
"""The oldest C library of the family is 2.36, Debian 12's."""

SHARED = (Path(__file__).with_name("sbom.py"), RECIPES / "scorehost.pth")
"""Files that more than one recipe uses."""

PYTHON_RECIPE, CONDA_RECIPE = "python", "conda"
BUILT_ON = "io.scorehost.base.id"
"""The label that has the id of the image that one was built on: another base makes it stale."""

SHOWN_LINES = 25


@dataclass(frozen=True)
class Recipe:
    """One image to be built.

    Parameters
    ----------
    folder : below ``recipes/``.
    title, description : labels.
    tag : the image's name.
    base : the image that it is built on.
    base_name : the name of that image.
    python : the version that the wheels are for, major and minor.
    python_image : the image that an interpreter is copied from; "" for none.
    conda : writes the archive of an environment of conda's packages; None for no such environment.
    revision : the commit of its sources, if it is known.
    """

    folder: str
    title: str
    description: str
    tag: str
    base: Image
    base_name: str
    python: str
    python_image: str = ""
    conda: Callable[[Path], None] | None = None
    revision: str = ""


class Bases:
    """Finds and makes base images with one engine.

    Parameters
    ----------
    sources, environ : where wheels come from, and the environment of pip.
    cache : the folder for logs and locks.
    display : is told what is made.
    """

    def __init__(
        self,
        engine: Engine,
        family: Family,
        sources: Sources,
        cache: Path,
        environ: Mapping[str, str],
        display: Display,
    ) -> None:
        self.engine, self.family, self.sources = engine, family, sources
        self.cache, self.environ, self.display = cache, environ, display

    def ready(self, name: str) -> Image:
        """An image, by its short name in the family or by any other reference.

        Raises
        ------
        EngineError
            It cannot be pulled or made.
        UsageError
            The wheels that it needs cannot be fetched.
        """
        ours = self.family.images.get(name)
        if ours is not None:
            with alone(self.cache, "bases"):
                return self.engine.image(ours.reference) or self._make_line(ours)
        here = self.engine.image(name)
        if here is not None:
            return here
        self.display.doing(f"pulling {name}")
        try:
            return self.engine.pull(name)
        except EngineError as error:
            raise EngineError(f"The base image {name} cannot be pulled. {error}") from error

    def with_python(self, name: str, base: Image, python: str) -> tuple[str, Image]:
        """A base image with another Python for the script.

        Parameters
        ----------
        name : the base's short name in the family, or any other reference.
        python : major and minor version, one of the family's interpreters.

        Returns
        -------
        reference : the name of the image that has both.
        image : the image.
        """
        reference = self.family.with_python(name, base.id, python)
        with alone(self.cache, "bases"):
            there = self.engine.image(reference)
            if there is not None and there.labels.get(BUILT_ON) == base.id:
                return reference, there
            upstream = self.family.interpreters[python]
            self.display.doing(f"making {reference}")
            recipe = self._for_script(
                name, base, f"Python {python}", PYTHON_RECIPE, reference, python
            )
            recipe = replace(recipe, python_image=self.upstream(upstream))
            return reference, self.build(recipe)

    def with_conda(
        self, name: str, base: Image, packages: Sequence[CondaPackage], source: CondaPackages
    ) -> tuple[str, Image]:
        """A base image with an environment of conda's packages for the script.

        Parameters
        ----------
        name : the base's short name in the family, or any other reference.
        packages : those of the environment, Python among them.
        source : installs them.
        """
        digest = hashlib.sha256(f"{base.id} {digest_of(packages)}".encode()).hexdigest()
        reference = f"{self.family.namespace}/conda:{digest[:12]}"
        with alone(self.cache, "bases"):
            there = self.engine.image(reference)
            if there is not None:
                return reference, there
            self.display.doing(f"making {reference}: {len(packages)} packages of conda's")
            versions = {package.name: package.version for package in packages}
            python = ".".join(versions["python"].split(".")[:2])
            recipe = self._for_script(
                name, base, "conda's packages", CONDA_RECIPE, reference, python
            )
            recipe = replace(recipe, conda=lambda archive: source.install(packages, archive))
            return reference, self.build(recipe)

    def _for_script(
        self, name: str, base: Image, what: str, folder: str, tag: str, python: str
    ) -> Recipe:
        """The recipe for a base image with something more for the script."""
        base_name = self.family.reference(name)
        return Recipe(
            folder=folder,
            title=f"{name} with {what}",
            description=f"{base_name} with {what} for the script",
            tag=tag,
            base=base,
            base_name=base_name,
            python=python,
        )

    def _make_line(self, image: BaseImage) -> Image:
        """Make an image of the family, and before it those that it is built on."""
        if image.parent is not None:
            parent = self.engine.image(image.parent.reference) or self._make_line(image.parent)
            return self.make(image, parent)
        return self.make(image, None)

    def make(self, image: BaseImage, parent: Image | None, *, revision: str = "") -> Image:
        """Make an image of the family on its parent, or on somebody else's if it has none."""
        if parent is None or image.parent is None:
            base_name = self.upstream(image.upstream)
            parent = self.engine.image(base_name) or self.engine.pull(base_name)
            python = image.python
        else:
            base_name = image.parent.reference
            python = self._python_in(base_name)
        self.display.doing(f"making {image.reference}: {image.description}")
        recipe = Recipe(
            folder=image.recipe,
            title=image.name,
            description=image.description,
            tag=image.reference,
            base=parent,
            base_name=base_name,
            python=python,
            revision=revision,
        )
        return self.build(recipe)

    def _python_in(self, image: str) -> str:
        """The version of the distribution's own Python in an image."""
        program = "import sys; print('%d.%d' % sys.version_info[:2])"
        words = ("run", "--rm", "--network", "none", image, "/usr/bin/python3", "-c", program)
        return self.engine.ask(*words)

    def upstream(self, upstream: Upstream) -> str:
        """The reference of somebody else's image that is on this machine, or was pulled.

        An image without a registry's digest was imported or built on this machine, as is necessary
        where no registry can be reached; it is taken for the pinned one.

        Raises
        ------
        EngineError
            It is not here and cannot be pulled.
        """
        wanted = upstream.instead or upstream.pinned
        if self.engine.image(wanted):
            return wanted
        here = None if upstream.instead else self.engine.image(upstream.tagged)
        if here and not here.digests:
            self.display.note(f"using {upstream.tagged} made on this machine, not the pinned image")
            return upstream.tagged
        self.display.doing(f"pulling {wanted}")
        try:
            self.engine.pull(wanted)
        except EngineError as error:
            raise EngineError(
                f"{wanted} cannot be pulled. {error}\n"
                f"Name another place to take it from: --upstream {upstream.name}=IMAGE."
            ) from error
        return wanted

    # -- One build --------------------------------------------------------------------------

    def build(self, recipe: Recipe) -> Image:
        """Build one image."""
        target = Target(recipe.python, machine_of(recipe.base.architecture), GLIBC)
        log_file = self.cache / "builds" / f"{name_for(recipe.tag)}.log"
        with tempfile.TemporaryDirectory(prefix="scorehost-") as folder:
            context = Path(folder)
            with BuildLog(log_file, lambda *_: None) as log:
                self._fill(context, recipe, target, log.line)
                status = self.engine.build(
                    context,
                    dockerfile=context / "Dockerfile",
                    tag=recipe.tag,
                    options=[*self._options(recipe), "--force-rm"],
                    on_line=log.line,
                )
        built = self.engine.image(recipe.tag)
        if status or built is None:
            text = "\n".join(log.step.said)
            lines = [
                f"The base image {recipe.tag} cannot be made: this step failed.",
                *(f"  {line}" for line in [log.step.what, *log.step.said[-SHOWN_LINES:]]),
                *filter(None, [advice_for(text)]),
                f"Log: {log_file}",
            ]
            raise EngineError("\n".join(lines))
        added = (built.size - recipe.base.size) / 1e6
        self.display.say(f"  made {recipe.tag}: {added:.0f} MB more than {recipe.base_name}")
        return built

    def _options(self, recipe: Recipe) -> list[str]:
        """The engine's options for the arguments that the recipe declares."""
        own_user = recipe.base.user if recipe.folder in {PYTHON_RECIPE, CONDA_RECIPE} else ""
        values = {
            "APP_UID": own_user or str(self.family.uid),
            "APP_USER": self.family.user,
            "BASE": recipe.base_name,
            "BASE_NAME": recipe.base_name,
            "DESCRIPTION": recipe.description,
            "PYTHON": recipe.python,
            "PYTHON_IMAGE": recipe.python_image,
            "REVISION": recipe.revision,
            "TITLE": recipe.title,
            "VERSION": __version__,
        }
        text = (RECIPES / recipe.folder / "Dockerfile").read_text("utf-8")
        declared = set(re.findall(r"^ARG (\w+)", text, re.MULTILINE))
        options = [f"{name}={value}" for name, value in values.items() if name in declared]
        words = [word for option in options for word in ("--build-arg", option)]
        return [*words, "--label", f"{BUILT_ON}={recipe.base.id}"]

    def _fill(
        self, context: Path, recipe: Recipe, target: Target, on_line: Callable[[str], None]
    ) -> None:
        """Put the recipe's files and the wheels into a build's folder."""
        files = (file for file in (RECIPES / recipe.folder).iterdir() if file.is_file())
        for file in (*files, *SHARED):
            shutil.copy(file, context)
        if recipe.conda is not None:
            recipe.conda(context / "environment.tar")
        wheels = context / "wheels"
        wheels.mkdir()
        locked = context / "requirements.lock"
        locked.write_text(that_apply(locked.read_text("utf-8"), target), "utf-8")
        options = ["--require-hashes", *self.sources.pip_options()]
        said = download(
            locked, wheels, target, options=options, environ=self.environ, on_line=on_line
        )
        if said:
            listed = "\n".join(f"  {line}" for line in said[-SHOWN_LINES:])
            raise UsageError(f"The packages of {recipe.tag} cannot be fetched:\n{listed}")
        if recipe.folder == "inference":
            own = write_own_wheel(wheels)
            digest = hashlib.sha256(own.read_bytes()).hexdigest()
            with locked.open("a", encoding="utf-8") as stream:
                stream.write(f"scorehost=={__version__} --hash=sha256:{digest}\n")
        for path in context.rglob("*"):  # whatever this machine's umask is
            path.chmod(0o755 if path.is_dir() else 0o644)
