"""The Dockerfile of an app, from top to bottom.

What changes least comes first: packages, the user's own steps, models, then the app. Every builder
understands it: there are no mounts, no heredocs, and no ``# syntax`` line, which would be fetched.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from scorehost import __version__
from scorehost.images.base_facts import SERVER
from scorehost.images.plan import Plan

APP_ROOT = "/var/azureml-app"
PLACE = ".scorehost"
"""The folder of a build's context that holds what scorehost adds to the user's files."""

CHECK = ("scorehost", "check")

PIP_OPTIONS = (
    *("--no-index", "--find-links", "/tmp/packages", "--no-deps"),
    *("--require-hashes", "--requirement", "/tmp/packages/requirements.lock"),
)
"""How pip installs exactly the wheels of the context."""

BASE_NAME = "org.opencontainers.image.base.name"


def render(plan: Plan, owner: str) -> str:
    """Write the Dockerfile.

    Parameters
    ----------
    plan : what the image holds.
    owner : user and group of the app's files; containers run as the user.
    """
    source = plan.environment.source
    parts = [f"# Made by scorehost {__version__}{f' from {source}' if source else ''}."]
    if plan.has_packages:
        parts.append("\n".join(_packages_stage(plan)))
    parts.append("\n".join(_final_stage(plan, owner)))
    return "\n\n".join(parts) + "\n"


def _packages_stage(plan: Plan) -> Iterator[str]:
    yield "# Packages are installed in a stage that is discarded; only their files are kept."
    yield f"FROM {plan.base} AS packages"
    yield "USER root"
    yield f"COPY {PLACE}/packages/ /tmp/packages/"
    words = ["python", "/tmp/packages/overlay.py", "/overlay", *PIP_OPTIONS]
    yield f"RUN {_exec(*words)}"


def _final_stage(plan: Plan, owner: str) -> Iterator[str]:
    yield f"FROM {plan.base}"
    yield "USER root"
    if plan.has_packages:
        source = plan.environment.source or "--debug"
        yield f"\n# The packages of {source}; a new script leaves this layer unchanged."
        # First without the files of versions that are replaced, which COPY alone would leave; what
        # was a file may be a folder now.
        yield f"COPY --from=packages /overlay{SERVER}/replaced {SERVER}/"
        replaced = f"--arg-file={SERVER}/replaced --delimiter='\\n' --no-run-if-empty"
        yield f"RUN xargs {replaced} rm -rf"
        yield "COPY --from=packages /overlay/ /"
        yield f"RUN {_exec('python', '-m', 'pip', 'check')}"
    if plan.steps:
        yield f"\n# Dockerfile.steps, unchanged.\n{plan.steps.strip()}\nUSER root"
    yield "\n# The list of the installed packages."
    words = [f"{SERVER}/bin/python", f"{SERVER}/sbom.py", f"{SERVER}/sbom.cdx.json"]
    yield f"RUN {_exec(*words)}"
    yield "\n# How the container runs."
    yield _pairs("ENV", {"AZUREML_ENTRY_SCRIPT": plan.entry_script, **plan.variables})
    yield f"WORKDIR {APP_ROOT}"
    yield f"USER {owner.partition(':')[0]}"
    yield "\n# What changes most often comes last."
    if plan.model_files:
        yield f"COPY --chown={owner} {PLACE}/models/ {APP_ROOT}/"
    yield f"COPY --chown={owner} {PLACE}/app/ {APP_ROOT}/"
    if plan.check:
        yield "\n# Check that the script loads, finds its models and starts."
        words = [*CHECK, *(["--sample", plan.sample] if plan.sample else [])]
        yield f"RUN {_exec('env', 'PYTHONDONTWRITEBYTECODE=1', *words)}"
    # After the layers, so that the same app in another folder has the same layers.
    yield "\n" + _pairs("LABEL", {**plan.labels, BASE_NAME: plan.base})


def _pairs(instruction: str, values: Mapping[str, str]) -> str:
    lines = [f"{name}={_quoted(value)}" for name, value in values.items()]
    return f"{instruction} " + " \\\n    ".join(lines)


def _quoted(value: str) -> str:
    """A value in quotes, in which the builder replaces nothing."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'"{escaped}"'


def _exec(*words: str) -> str:
    return json.dumps(words)
