"""``scorehost build``: from a plan to an image."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from scorehost.errors import BuildFailed, EngineError, UsageError
from scorehost.images.base_facts import BaseFacts, look_into
from scorehost.images.bases import Bases
from scorehost.images.build_log import BuildLog, Step, name_for
from scorehost.images.conda_choice import CondaWish
from scorehost.images.conda_packages import CondaPackages
from scorehost.images.context import OVERLAY, Context
from scorehost.images.display import Display
from scorehost.images.dockerfile import CHECK, render
from scorehost.images.engine import Engine, Image
from scorehost.images.engine_problems import advice_for
from scorehost.images.family import Family
from scorehost.images.packages import check_lock, conda_packages_of, packages_of
from scorehost.images.plan import DEBUG_NOTE, Plan
from scorehost.images.wheelhouse import Wheelhouse

STEP_LINES = 15
"""How many lines of a failing step are shown. Of a failing check, all are: they are one report."""

KEPT_LOGS = 50

INSTALLERS = {"pip", "setuptools", "wheel"}
"""What every environment has, and no script asked for."""


@dataclass(frozen=True)
class How:
    """How to build, which makes no difference to the result.

    Parameters
    ----------
    cache : folder for wheels, logs and the facts about base images; see :func:`made_ready`.
    environ : the environment of uv, pip and the engine's command.
    upgrade : look for newer versions of what is not pinned.
    use_cache : whether the engine may reuse layers.
    """

    cache: Path
    environ: Mapping[str, str]
    upgrade: bool = False
    use_cache: bool = True


def made_ready(cache: Path) -> Path:
    """Make the folders of the cache; a :class:`UsageError` says if one cannot be written."""
    folder = cache
    try:
        for folder in (cache / "bases", cache / "builds", cache / "uv", cache / "wheels"):
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UsageError(
            f"{folder}, a part of scorehost's cache, cannot be written: {error.strerror}. Make it "
            "writable, or choose another place for the cache with XDG_CACHE_HOME."
        ) from error
    return cache


class Builder:
    """Builds one image."""

    def __init__(self, engine: Engine, plan: Plan, how: How, display: Display) -> None:
        self.engine, self.plan, self.how, self.display = engine, plan, how, display
        moment = time.strftime("%Y%m%d-%H%M%S")
        self.log_file = how.cache / "builds" / f"{name_for(plan.tag)}-{moment}.log"
        self._installs = ""

    def build(self, family: Family) -> Image:
        """Build the image.

        Raises
        ------
        EngineError
            The engine refuses, or a step of the build fails.
        UsageError
            The base image does not suit the plan, or packages are not available.
        """
        self.display.say(f"Building {self.plan.tag} on {self.plan.base}")
        if self.plan.debugger:
            self.display.note(DEBUG_NOTE)
        base, facts = self._begin(family)
        before = self.engine.image(self.plan.tag)
        with tempfile.TemporaryDirectory(prefix="scorehost-") as folder:
            context = Context(Path(folder))
            with BuildLog(self.log_file, self._on_step) as log:
                self._fill(context, base, facts, log)
                self._run(context, log)
        self._forget_old_logs()
        built = self.engine.image(self.plan.tag)
        if built is None:
            raise EngineError(
                f"The engine reported success, but {self.plan.tag} is not in its image list."
            )
        self.display.close()
        for line in conclusion(self.plan, base, before, built):
            self.display.say(line)
        self.display.say(f"Log: {self.log_file}")
        return built

    def lock(self, family: Family) -> None:
        """Only write ``scorehost.lock``; raises what :meth:`build` raises."""
        self.display.say(f"Locking {self.plan.environment.source} for {self.plan.base}")
        _, facts = self._begin(family)
        with BuildLog(self.log_file, self._on_step) as log:
            self._packages(facts, log)
        self._forget_old_logs()

    def check_lock(self, family: Family) -> None:
        """Only check that ``scorehost.lock`` fits; raises what :meth:`build` raises."""
        _, facts = self._begin(family)
        check_lock(self.plan, facts.target)
        self.display.say(f"{self.plan.locking.file} is up to date.")

    # -- The base image ---------------------------------------------------------------------

    def _begin(self, family: Family) -> tuple[Image, BaseFacts]:
        """Tell what is notable about the plan, and look at the image to build on."""
        for note in self.plan.notes:
            self.display.note(note)
        plan, how = self.plan, self.how
        bases = Bases(self.engine, family, plan.sources, how.cache, how.environ, self.display)
        image = bases.ready(plan.base_image)
        facts = look_into(self.engine, image, plan.base_image, how.cache)
        python = plan.python
        if not python:
            python, notes = plan.python_wish.choose(facts.python, list(family.interpreters))
            for note in notes:
                self.display.note(note)
        if plan.conda is not None:
            image, facts = self._with_conda(bases, plan.conda, python, image, facts)
        elif python != facts.python:
            lost = sorted(set(facts.packages) - INSTALLERS)
            if lost:
                self.display.note(
                    f"the packages of {plan.base_image} are for Python {facts.python}, and not in "
                    f"this image, which has Python {python}: {', '.join(lost)}"
                )
            base, image = bases.with_python(plan.base_image, image, python)
            self.plan = replace(plan, base=base)
            facts = look_into(self.engine, image, base, how.cache)
        return image, facts

    def _with_conda(
        self,
        bases: Bases,
        wish: CondaWish,
        python: str,
        image: Image,
        facts: BaseFacts,
    ) -> tuple[Image, BaseFacts]:
        """Choose conda's packages, and look at the image that has them."""
        plan, how = self.plan, self.how
        environ = {**how.environ, **plan.sources.uv_variables()}
        source = CondaPackages(
            wish.channels,
            plan.mirrors,
            facts.target,
            facts.cuda,
            how.cache / "conda",
            environ,
        )
        self.display.doing("choosing conda's packages")
        packages = conda_packages_of(plan, wish, python, source, upgrade=how.upgrade)
        base, image = bases.with_conda(plan.base_image, image, packages, source)
        self.plan = replace(plan, base=base, conda_packages=packages)
        return image, look_into(self.engine, image, base, how.cache)

    # -- The context ------------------------------------------------------------------------

    def _fill(self, context: Context, base: Image, facts: BaseFacts, log: BuildLog) -> None:
        plan = self.plan
        wheels = self._packages(facts, log)
        if plan.has_packages:
            size = sum(wheel.stat().st_size for wheel in wheels) / 1e6
            packages = f"{len(wheels)} package{'s' if len(wheels) != 1 else ''}"
            self._installs = f"installing {packages}, {size:.0f} MB"
            context.add_packages(wheels)
        context.add_files("models", plan.model_files)
        context.add_files("app", plan.files)
        context.add_for_steps(plan.steps, plan.files)
        owner = f"{base.user.partition(':')[0] or '0'}:0"
        context.add_dockerfile(render(plan, owner))

    def _packages(self, facts: BaseFacts, log: BuildLog) -> tuple[Path, ...]:
        plan, how = self.plan, self.how
        house = Wheelhouse(facts, plan.sources, how.cache, how.environ, self.display, log.line)
        return packages_of(plan, house, upgrade=how.upgrade)

    # -- The build --------------------------------------------------------------------------

    def _run(self, context: Context, log: BuildLog) -> None:
        options = [] if self.how.use_cache and not self.how.upgrade else ["--no-cache"]
        status = self.engine.build(
            context.folder,
            dockerfile=context.dockerfile,
            tag=self.plan.tag,
            options=[*options, "--force-rm"],
            on_line=log.line,
        )
        if status:
            raise failure(log.step, log.path)

    def _on_step(self, at: int, of: int, what: str) -> None:
        if OVERLAY.name in what:
            what = self._installs
        self.display.doing(f"step {at}/{of}: {what}")

    def _forget_old_logs(self) -> None:
        logs = sorted(self.log_file.parent.glob("*.log"), key=lambda file: file.stat().st_mtime)
        for file in logs[:-KEPT_LOGS]:
            file.unlink(missing_ok=True)


def dry_run(plan: Plan, family: Family) -> str:
    """The Dockerfile, without an engine."""
    head = "# conda's packages are added to the base image first.\n" if plan.conda else ""
    return head + render(plan, f"{family.uid}:0")


def failure(step: Step, log: Path) -> BuildFailed:
    """The error for a failed build: the step, its last lines, the reasons, and the log."""
    is_check = " ".join(CHECK) in step.what.replace('", "', " ")
    said = step.said[-STEP_LINES:]
    if is_check:
        head = "The image was not built: scorehost check failed in it."
        said = [line for line in step.said if not line.startswith("The command ")]
    elif step.what:
        head = f"The image was not built: this step failed.\n  {step.what}"
    else:
        head = "The image was not built: the build failed before its first step."
    parts = [head, *(f"  {line}" for line in said), *explain_step(step), f"Log: {log}"]
    return BuildFailed(
        "\n".join(parts), "\n".join(step.said), step="check" if is_check else step.what
    )


def explain_step(step: Step) -> Iterator[str]:
    """The known reasons for the failure of a step, with what to do."""
    text = "\n".join(step.said)
    if advice := advice_for(text):
        yield advice
    if '"pip", "check"' in step.what:
        yield "The requested packages conflict with those of the base image."
    if "certificate verify failed" in text.lower().replace("_", " "):
        yield (
            "Behind a company proxy, a step needs the proxy's certificates: COPY them to "
            "/usr/local/share/ca-certificates/ (as .crt), and RUN update-ca-certificates before it."
        )


def conclusion(plan: Plan, base: Image, before: Image | None, built: Image) -> Iterator[str]:
    """The result, and how to run it."""
    if before is not None and before.id == built.id:
        yield f"Nothing has changed: {plan.tag} is still {short(built.id)}."
    else:
        added = (built.size - base.size) / 1e6
        yield (
            f"Built {plan.tag} ({short(built.id)}): {built.size / 1e6:.0f} MB, "
            f"{added:.1f} MB more than {plan.base}."
        )
    yield f"Run it: docker run --rm -p 5001:5001 {plan.tag}"


def short(digest: str) -> str:
    """A digest in the short form that engines show."""
    return digest.removeprefix("sha256:")[:12]
