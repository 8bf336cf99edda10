"""The plan of a build: all that can be found out, and refused, before an engine is asked."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from scorehost import __version__
from scorehost.errors import UsageError
from scorehost.images.conda_choice import CondaWish, conda_for
from scorehost.images.conda_packages import CondaPackage
from scorehost.images.environment import find_environment
from scorehost.images.family import DEFAULT, Family
from scorehost.images.ignore import IGNORE_FILES, find_files
from scorehost.images.lock_file import NAME, LockUse, read_lock
from scorehost.images.models import read_models
from scorehost.images.reference import check_base_image, check_tag
from scorehost.images.requirement_lines import Environment
from scorehost.images.script_python import Wish, wish_of
from scorehost.images.secret_files import find_secrets
from scorehost.images.steps import find_steps, read_steps
from scorehost.images.variables import read_variables
from scorehost.images.wheels import Sources
from scorehost.model_store import MODELS_FOLDER
from scorehost.names import nearest

USUAL_SCRIPTS = ("score.py", "main.py")

DEBUGGER = "debugpy"
DEBUG_VARIABLES = {
    "SCOREHOST_DEBUG": "1",
    "SCOREHOST_DEBUG_HOST": "0.0.0.0",  # noqa: S104 - a published port leads to no other address
    "SCOREHOST_RELOAD": "1",
}
DEBUG_NOTE = (
    "--debug: the debugger and live reload are enabled in this image, and other machines can "
    "connect to the debugger where its port is reachable; never deploy it"
)


@dataclass(frozen=True)
class Wishes:
    """The arguments of ``scorehost build``, as values.

    Parameters
    ----------
    folder : holds the app.
    tag : the image's name.
    entry_script, environment, docker_file : files, when they are not the usual ones.
    models : each ``NAME[:VERSION]=PATH``.
    base_image : one of the family by its short name, or any other image.
    python : the script's Python, major and minor; None for what the folder asks for.
    strict : refuse a Python that cannot be had, rather than take the nearest.
    conda : whether the packages of a conda file are conda's own; None for only where they must be.
    mirrors : addresses to use instead of conda's channels, by the channels' names.
    debug : install the debugging tools and enable them.
    check, sample : whether the last step checks the script, and with which request.
    variables : those of the image, each ``NAME=VALUE``.
    allowed_secrets : files that may go into the image although they look like secrets.
    sources : where wheels come from.
    locking : "write" for a new ``scorehost.lock``, "require" to refuse a stale one, "" to use one
        that fits.
    """

    folder: Path
    tag: str
    entry_script: str | None = None
    environment: Path | None = None
    docker_file: Path | None = None
    models: Sequence[str] = ()
    base_image: str = DEFAULT
    python: str | None = None
    strict: bool = False
    conda: bool | None = None
    mirrors: Mapping[str, str] = field(default_factory=dict)
    debug: bool = False
    check: bool = True
    sample: str | None = None
    variables: Sequence[str] = ()
    allowed_secrets: Sequence[str] = ()
    sources: Sources = field(default_factory=Sources)
    locking: str = ""


@dataclass(frozen=True)
class Plan:
    """What will be built.

    Parameters
    ----------
    tag, entry_script, sample, check : as wished, or as found; "" for no sample.
    base_image : as wished.
    base : the engine's name for the image that the app is built on: the base image, or that one
        with another Python for the script.
    python_wish : which Python the script is to have.
    python : that Python, major and minor; "" if the base image, which is not of the family, has to
        be asked first.
    environment : the packages that pip installs.
    conda : the environment of conda's packages, below those; None for none.
    conda_packages : its packages, once they are chosen.
    mirrors : as wished.
    debugger : the debugger's package, "" when the image is to have none.
    locking : what is done with ``scorehost.lock``.
    files : those of the app, each with its place below the app root.
    model_files : likewise, for the layer below.
    steps : the user's own; "" for none.
    variables, labels : those of the image.
    notes : messages for the user.
    """

    tag: str
    base_image: str
    base: str
    python_wish: Wish
    python: str
    entry_script: str
    environment: Environment
    conda: CondaWish | None
    mirrors: Mapping[str, str]
    debugger: str
    locking: LockUse
    files: Sequence[tuple[Path, PurePosixPath]]
    model_files: Sequence[tuple[Path, PurePosixPath]]
    steps: str
    variables: Mapping[str, str]
    labels: Mapping[str, str]
    check: bool
    sample: str
    sources: Sources
    notes: Sequence[str]
    conda_packages: Sequence[CondaPackage] = ()

    @property
    def has_packages(self) -> bool:
        """Whether packages are installed besides those of the base image."""
        return bool(self.environment.lines.requirements or self.debugger)


def make_plan(wishes: Wishes, family: Family) -> Plan:
    """Make a plan from the arguments and the app's folder.

    Raises
    ------
    UsageError
        An argument or a file cannot be used; the message says what to do.
    """
    folder = existing_folder(wishes.folder)
    check_tag(wishes.tag)
    check_base_image(wishes.base_image)
    entry_script = find_script(folder, wishes.entry_script)
    environment = find_environment(folder, wishes.environment)
    conda = conda_for(environment, wishes.conda)
    wish, python_notes = wish_of(
        folder, environment.python, environment.source, wishes.python, strict=wishes.strict
    )
    base, python = family.reference(wishes.base_image), ""
    ours = family.images.get(wishes.base_image)
    if ours is not None:
        python, more = wish.choose(ours.python, list(family.interpreters))
        python_notes += more
        if python != ours.python and conda is None:
            base = family.with_python(ours.name, "", python)
    locking, lock_notes = find_lock(wishes, environment, conda)
    models = read_models(wishes.models, folder)
    found = find_files(folder)
    steps_file = find_steps(folder, wishes.docker_file)
    own = {*IGNORE_FILES, *([steps_file.name] if steps_file else [])}
    lock = locking.file.resolve()
    kept = [
        file for file in found.kept if str(file) not in own and (folder / file).resolve() != lock
    ]
    check_secrets(folder, kept, wishes.allowed_secrets)
    check_kept(entry_script, kept, "The entry script")
    if wishes.sample is not None:
        check_kept(wishes.sample, kept, "The sample")
    app = [(folder / file, file) for file in kept]
    in_folder = [pair for pair in app if pair[1].parts[0] == MODELS_FOLDER]
    debugging = DEBUG_VARIABLES if wishes.debug else {}
    left_out = found.left_out.items()
    excluded = [f"{name} excludes {n} file{'s' if n != 1 else ''}" for name, n in left_out]
    return Plan(
        tag=wishes.tag,
        base_image=wishes.base_image,
        base=base,
        python_wish=wish,
        python=python,
        entry_script=entry_script,
        environment=environment,
        conda=conda,
        mirrors=wishes.mirrors,
        debugger=DEBUGGER if wishes.debug else "",
        locking=locking,
        files=[pair for pair in app if pair[1].parts[0] != MODELS_FOLDER],
        model_files=[*in_folder, *(pair for model in models for pair in model.files())],
        steps=read_steps(steps_file),
        variables={**environment.variables, **debugging, **read_variables(wishes.variables)},
        labels=labels(folder),
        check=wishes.check,
        sample=wishes.sample or "",
        sources=wishes.sources,
        notes=[*environment.notes, *python_notes, *lock_notes, *excluded],
    )


def existing_folder(folder: Path) -> Path:
    """The folder, if there is one; otherwise a :class:`UsageError` says what to do."""
    if folder.is_file():
        raise UsageError(
            f"{folder} is a file. scorehost build takes the folder that contains it: "
            f"scorehost build {folder.parent} --entry-script {folder.name} -t NAME"
        )
    if not folder.is_dir():
        raise UsageError(f"The folder {folder} does not exist.")
    return folder


def find_script(folder: Path, named: str | None) -> str:
    """The entry script, relative to the folder."""
    if named is None:
        usual = (name for name in USUAL_SCRIPTS if (folder / name).is_file())
        named = next(usual, USUAL_SCRIPTS[0])
    script = PurePosixPath(named)
    if script.is_absolute() or ".." in script.parts:
        raise UsageError(f"--entry-script {named} must be in the folder {folder}.")
    if not (folder / script).is_file():
        raise UsageError(f"{folder} has no {named}.{_scripts(folder, named)}")
    return str(script)


def _scripts(folder: Path, wanted: str) -> str:
    names = sorted(str(file.relative_to(folder)) for file in folder.glob("*.py"))
    if near := nearest(wanted, names, like=0.6):
        return f" Did you mean --entry-script {near}?"
    if names:
        return f" It has {', '.join(names[:8])}: choose one with --entry-script."
    return " It has no Python files; is it the right folder?"


def find_lock(
    wishes: Wishes, environment: Environment, conda: CondaWish | None
) -> tuple[LockUse, list[str]]:
    """The lock file beside the environment file, and what there is to say about it.

    Raises
    ------
    UsageError
        There is nothing to lock; the lock that must be used is missing; or one that would be used
        was edited.
    """
    mode, file = wishes.locking, (environment.file or wishes.folder / NAME).with_name(NAME)
    words = ["scorehost", "build", str(wishes.folder), "--lock"]
    if wishes.environment is not None:
        words += ["--environment", str(wishes.environment)]
    if wishes.base_image != DEFAULT:
        words += ["--base-image", wishes.base_image]
    if wishes.python is not None:
        words += ["--python", wishes.python]
    if wishes.conda is not None:
        words.append("--conda" if wishes.conda else "--no-conda")
    renew = shlex.join(words)
    if mode and not environment.lines.requirements and conda is None:
        raise UsageError(
            f"There is nothing to lock: {environment.source or 'the folder'} lists no packages."
        )
    notes = []
    try:
        lock = read_lock(file)
    except UsageError as error:
        if mode != "write":
            raise UsageError(f"{error} Make it anew: {renew}") from error
        notes.append(f"{error} It is made anew")
        lock = None
    if mode == "require" and lock is None:
        raise UsageError(
            f"--locked needs {file}, which does not exist. Make and commit it: {renew}"
        )
    return LockUse(file, lock, mode, renew), notes


def check_secrets(folder: Path, files: Iterable[PurePosixPath], allowed: Sequence[str]) -> None:
    """Refuse files that look like secrets, unless they are named."""
    known = {str(PurePosixPath(name)) for name in allowed}
    found = [pair for pair in find_secrets(folder, files) if pair[0] not in known]
    if not found:
        return
    listed = "\n".join(f"  {file}: {reason}" for file, reason in found)
    named = " ".join(f"--allow-secret {file}" for file, _ in found)
    raise UsageError(
        f"These files look like secrets, and anyone who has the image could read them.\n{listed}\n"
        "Exclude them (one line each in .dockerignore) and provide them when the container "
        f"starts; or, if they are not secrets, allow them: {named}"
    )


def check_kept(file: str, kept: Sequence[PurePosixPath], what: str) -> None:
    """Refuse a file that the image needs but that is excluded or missing."""
    if PurePosixPath(file) not in kept:
        raise UsageError(
            f"{what} {file} would be missing from the image: it is not in the folder, or one of "
            f"{', '.join(IGNORE_FILES)} excludes it."
        )


def labels(folder: Path) -> dict[str, str]:
    """The app's labels, none of which changes from one build to the next."""
    return {
        "org.opencontainers.image.title": folder.resolve().name,
        "org.opencontainers.image.description": f"Served by scorehost {__version__}",
    }
