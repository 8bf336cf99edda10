"""The Dockerfile of an app, from top to bottom.

What changes seldom comes first: packages, the user's own steps, models, then the app. Written for
every builder: no mounts, no heredocs, and no ``# syntax`` line, which would be fetched.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from scorehost import __version__

APP_ROOT = "/var/azureml-app"
TOOLS = "/opt/scorehost"
PLACE = ".scorehost"
"""The folder in a build's context that holds what scorehost adds to the user's files."""

CHECK = ("scorehost", "check")


@dataclass(frozen=True)
class Recipe:
    """What a Dockerfile is made of.

    Parameters
    ----------
    base : the image it begins with.
    owner : user and group of the app's files; containers run as the user.
    source : the file that names the packages.
    entry_script : relative to the app root.
    has_packages, has_models : whether there are any.
    pip_options : for the installation, besides the list of requirements.
    from_wheels : whether wheels lie in the context; otherwise pip fetches them in the build.
    ca_bundle : whether a certificate bundle lies in the context, for that.
    steps : the user's own, as they are; "" for none.
    variables : environment of the image.
    labels : of the image.
    check : whether the script is checked, and with which sample ("" for none).
    """

    base: str
    owner: str
    entry_script: str
    source: str = ""
    has_packages: bool = False
    has_models: bool = False
    pip_options: Sequence[str] = ()
    from_wheels: bool = True
    ca_bundle: bool = False
    steps: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    check: bool = True
    sample: str = ""


def render(recipe: Recipe) -> str:
    """Write the Dockerfile."""
    parts = [_head(recipe)]
    if recipe.has_packages:
        parts.append("\n".join(_packages_stage(recipe)))
    parts.append("\n".join(_final_stage(recipe)))
    return "\n\n".join(parts) + "\n"


def _head(recipe: Recipe) -> str:
    made = f"# Made by scorehost {__version__} build"
    return made + (f" from {recipe.source}." if recipe.source else ".")


def _packages_stage(recipe: Recipe) -> Iterator[str]:
    yield "# Packages are installed in a stage that is thrown away; only what is new goes on."
    yield f"FROM {recipe.base} AS packages"
    yield "USER root"
    yield f"COPY {PLACE}/packages/ /tmp/packages/"
    if recipe.from_wheels:
        yield f"COPY {PLACE}/wheels/ /tmp/wheels/"
    if recipe.ca_bundle:
        yield f"COPY {PLACE}/ca-bundle.pem /tmp/ca-bundle.pem"
    words = ["python", "/tmp/packages/overlay.py", "/overlay", *_pip_words(recipe)]
    yield f"RUN {_exec(words)}"


def _pip_words(recipe: Recipe) -> Iterator[str]:
    if recipe.from_wheels:
        yield from ("--no-index", "--find-links", "/tmp/wheels")
    else:
        yield from ("--only-binary=:all:", "--progress-bar", "off")
        if recipe.ca_bundle:
            yield from ("--cert", "/tmp/ca-bundle.pem")
    yield from recipe.pip_options
    yield from ("--requirement", "/tmp/packages/requirements.txt")


def _final_stage(recipe: Recipe) -> Iterator[str]:
    yield f"FROM {recipe.base}"
    yield "USER root"
    if recipe.has_packages:
        yield f"\n# {recipe.source}, a layer of its own: a new script leaves it as it is."
        yield "COPY --from=packages /overlay/ /"
        yield f"RUN {_forget_replaced()}"
        yield f"RUN {_exec(['python', '-m', 'pip', 'check'])}"
    if recipe.steps:
        yield f"\n# Dockerfile.steps, as they are.\n{recipe.steps.strip()}\nUSER root"
    yield "\n# What is in here now."
    yield f"RUN {_exec(['python', f'{TOOLS}/sbom.py', f'{TOOLS}/sbom.cdx.json'])}"
    yield "\n# How it runs."
    yield _pairs("ENV", {"AZUREML_ENTRY_SCRIPT": recipe.entry_script, **recipe.variables})
    yield f"WORKDIR {APP_ROOT}"
    yield f"USER {recipe.owner.partition(':')[0]}"
    yield "\n# What changes most comes last."
    if recipe.has_models:
        yield f"COPY --chown={recipe.owner} {PLACE}/models/ {APP_ROOT}/"
    yield f"COPY --chown={recipe.owner} {PLACE}/app/ {APP_ROOT}/"
    if recipe.check:
        yield "\n# Does it load, find its models and start?"
        words = [*CHECK, *(["--sample", recipe.sample] if recipe.sample else [])]
        yield f"RUN {_exec(['env', 'PYTHONDONTWRITEBYTECODE=1', *words])}"
    if recipe.labels:  # after the layers: the same app in another folder is the same layers
        yield "\n" + _pairs("LABEL", recipe.labels)


def _forget_replaced() -> str:
    """Remove the files of versions that were replaced, which COPY alone would leave."""
    listing = f"{TOOLS}/replaced"
    return f"xargs --arg-file={listing} --delimiter='\\n' --no-run-if-empty rm -rf"


def _pairs(instruction: str, values: Mapping[str, str]) -> str:
    lines = [f"{name}={_quoted(value)}" for name, value in values.items()]
    return f"{instruction} " + " \\\n    ".join(lines)


def _quoted(value: str) -> str:
    """A value in which the builder replaces nothing."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'"{escaped}"'


def _exec(words: Sequence[str]) -> str:
    return json.dumps(list(words))
