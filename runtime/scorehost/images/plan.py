"""What will be built: everything that can be known, and refused, before an engine is asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from scorehost import __version__
from scorehost.errors import UsageError
from scorehost.images.environment import Environment, accepts, find_environment
from scorehost.images.family import DEFAULT, Family
from scorehost.images.ignore import IGNORE_FILES, find_files
from scorehost.images.models import Model, read_models
from scorehost.images.reference import check_base_image, check_tag
from scorehost.images.requirement_lines import name_of
from scorehost.images.secret_files import find_secrets
from scorehost.images.steps import find_steps, read_steps
from scorehost.images.variables import read_variables
from scorehost.images.wheels import Sources
from scorehost.model_store import MODELS_FOLDER
from scorehost.names import nearest

USUAL_SCRIPTS = ("score.py", "main.py")

DEBUG_REQUIREMENTS = ("debugpy",)
DEBUG_VARIABLES = {"SCOREHOST_DEBUG": "1", "SCOREHOST_RELOAD": "1"}


@dataclass(frozen=True)
class Wishes:
    """What was typed, as values.

    Parameters
    ----------
    folder : holds the app.
    tag : the image's name.
    entry_script, environment, docker_file : files, when they are not the usual ones.
    models : ``NAME[:VERSION]=PATH`` each.
    base_image : one of the family by its short name, or any other.
    debug : add the extras for debugging, and switch them on.
    check, sample : whether the last step checks the script, and with which request.
    variables : ``NAME=VALUE`` each, for the image.
    allowed_secrets : files that may go into the image though they look like secrets.
    sources : where wheels come from.
    """

    folder: Path
    tag: str
    entry_script: str | None = None
    environment: Path | None = None
    docker_file: Path | None = None
    models: Sequence[str] = ()
    base_image: str = DEFAULT
    debug: bool = False
    check: bool = True
    sample: str | None = None
    variables: Sequence[str] = ()
    allowed_secrets: Sequence[str] = ()
    sources: Sources = field(default_factory=Sources)


@dataclass(frozen=True)
class Plan:
    """What will be built.

    Parameters
    ----------
    tag, entry_script, sample, check, debug : as wished, or as found.
    base : the engine's name of the base image.
    base_python : its Python, major and minor, when it is one of ours; else "".
    environment : packages.
    files : the app's, each with its place below the app root.
    model_files : likewise, for the layer below.
    steps : the user's own.
    variables, labels : of the image.
    notes : for the person to hear.
    """

    tag: str
    base: str
    base_python: str
    entry_script: str
    environment: Environment
    files: Sequence[tuple[Path, PurePosixPath]]
    model_files: Sequence[tuple[Path, PurePosixPath]]
    steps: str
    variables: Mapping[str, str]
    labels: Mapping[str, str]
    check: bool
    sample: str
    sources: Sources
    notes: Sequence[str]

    @property
    def is_of_family(self) -> bool:
        """Whether the base image is one of ours, which no registry has."""
        return bool(self.base_python)

    @property
    def size(self) -> int:
        """Bytes of the app and its models."""
        return sum(file.stat().st_size for file, _ in (*self.files, *self.model_files))


def make_plan(wishes: Wishes, family: Family) -> Plan:
    """Look at everything that was given.

    Raises
    ------
    UsageError
        Something cannot be used; the message says what to do.
    """
    folder = existing_folder(wishes.folder)
    check_tag(wishes.tag)
    check_base_image(wishes.base_image)
    entry_script = find_script(folder, wishes.entry_script)
    environment = find_environment(folder, wishes.environment)
    check_python(environment, wishes.base_image, family)
    if wishes.debug:
        add_debugging(environment)
    models = read_models(wishes.models, folder)
    found = find_files(folder)
    steps_file = find_steps(folder, wishes.docker_file)
    own = {*IGNORE_FILES, *([steps_file.name] if steps_file else [])}
    kept = [file for file in found.kept if str(file) not in own]
    check_secrets(folder, kept, wishes.allowed_secrets)
    check_kept(entry_script, kept, "The entry script")
    if wishes.sample is not None:
        check_kept(wishes.sample, kept, "The sample")
    app = [(folder / file, file) for file in kept]
    variables = read_variables(wishes.variables)
    extra = DEBUG_VARIABLES if wishes.debug else {}
    base, ours = family.reference(wishes.base_image), family.images.get(wishes.base_image)
    return Plan(
        tag=wishes.tag,
        base=base,
        base_python=ours.python if ours else "",
        entry_script=entry_script,
        environment=environment,
        files=[pair for pair in app if pair[1].parts[0] != MODELS_FOLDER],
        model_files=[*(pair for pair in app if pair[1].parts[0] == MODELS_FOLDER), *_files(models)],
        steps=read_steps(steps_file),
        variables={**environment.variables, **extra, **variables},
        labels=labels(folder, base),
        check=wishes.check,
        sample=wishes.sample or "",
        sources=wishes.sources,
        notes=[*environment.notes, *left_out(found.left_out)],
    )


def _files(models: Iterable[Model]) -> list[tuple[Path, PurePosixPath]]:
    return [pair for model in models for pair in model.files()]


def existing_folder(folder: Path) -> Path:
    """The folder, which is one."""
    if folder.is_file():
        raise UsageError(
            f"{folder} is a file. scorehost build takes the folder it lies in: "
            f"scorehost build {folder.parent} --entry-script {folder.name} -t NAME"
        )
    if not folder.is_dir():
        raise UsageError(f"The folder {folder} is not there.")
    return folder


def find_script(folder: Path, named: str | None) -> str:
    """The entry script, relative to the folder."""
    if named is not None:
        script = PurePosixPath(named)
        if script.is_absolute() or ".." in script.parts:
            raise UsageError(f"--entry-script {named} must lie in the folder, {folder}.")
        if not (folder / script).is_file():
            raise UsageError(f"{folder} has no {named}.{_scripts(folder, named)}")
        return str(script)
    for name in USUAL_SCRIPTS:
        if (folder / name).is_file():
            return name
    raise UsageError(f"{folder} has no score.py.{_scripts(folder, 'score.py')}")


def _scripts(folder: Path, wanted: str) -> str:
    names = sorted(str(file.relative_to(folder)) for file in folder.glob("*.py"))
    near = nearest(wanted, names, like=0.6)
    if near:
        return f" Did you mean --entry-script {near}?"
    if names:
        return f" It has {', '.join(names[:8])}: name one with --entry-script."
    return " It has no Python file at all; is it the right folder?"


def check_python(environment: Environment, base_image: str, family: Family) -> None:
    """Refuse a Python that the base image does not have; others' images are asked later."""
    image = family.images.get(base_image)
    if image is None or not environment.python or accepts(environment.python, image.python):
        return
    raise UsageError(no_such_python(environment, image.python, image.name, family))


def no_such_python(environment: Environment, python: str, base_image: str, family: Family) -> str:
    """What to say about a Python that the image does not have."""
    there = [f"{version} ({name})" for version, name in family.pythons().items()]
    return (
        f"{environment.source} asks for python{environment.python}, and {base_image} has {python}. "
        f"There are base images with Python {', '.join(there)}. Ask for one of these, or leave "
        "the version out; packages of that time may need newer versions too."
    )


def add_debugging(environment: Environment) -> None:
    """Have the debugger and the file watcher installed."""
    lines = environment.lines
    named = {name_of(line) for line in lines.requirements}
    missing = [name for name in DEBUG_REQUIREMENTS if name not in named]
    if missing and any(" --hash" in line for line in lines.requirements):
        # pip's hash-checking mode takes all or nothing.
        raise UsageError(
            f"{environment.source} has hashes, so pip takes nothing without one, and --debug adds "
            f"{' and '.join(missing)}. List them there with their hashes, or name a file for "
            "debugging that has none: --environment FILE."
        )
    lines.requirements += missing
    environment.source = environment.source or "--debug"
    environment.notes.append(
        "--debug: debugger and live reload are switched on in this image; never deploy it"
    )


def check_secrets(folder: Path, files: Iterable[PurePosixPath], allowed: Sequence[str]) -> None:
    """Refuse files that look like secrets, unless they are named."""
    known = {str(PurePosixPath(name)) for name in allowed}
    found = [pair for pair in find_secrets(folder, files) if pair[0] not in known]
    if not found:
        return
    listed = "\n".join(f"  {file}: {reason}" for file, reason in found)
    named = " ".join(f"--allow-secret {file}" for file, _ in found)
    raise UsageError(
        f"These look like secrets, and anyone who has the image could read them.\n{listed}\n"
        "Leave them out (a line each in .dockerignore) and hand them over when the container "
        f"starts; or, if they are not secrets: {named}"
    )


def check_kept(file: str, kept: Sequence[PurePosixPath], what: str) -> None:
    """Refuse when a file that the image needs is left out, or was never there."""
    if PurePosixPath(file) not in kept:
        raise UsageError(
            f"{what} {file} does not go into the image: it is not in the folder, or one of "
            f"{', '.join(IGNORE_FILES)} leaves it out."
        )


def labels(folder: Path, base: str) -> dict[str, str]:
    """What the image says of itself; nothing that changes from one build to the next."""
    return {
        "org.opencontainers.image.title": folder.resolve().name,
        "org.opencontainers.image.description": f"Served by scorehost {__version__}",
        "org.opencontainers.image.base.name": base,
    }


def left_out(counts: Mapping[str, int]) -> list[str]:
    """One line for each list that took something."""
    return [
        f"{name} leaves out {count} file{'s' if count != 1 else ''}"
        for name, count in counts.items()
    ]
