"""``scorehost build``: from a plan to an image."""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scorehost.errors import BuildFailed, EngineError, UsageError
from scorehost.images.base_facts import BaseFacts, look_into
from scorehost.images.build_log import BuildLog, Step, name_for
from scorehost.images.context import OVERLAY, Context
from scorehost.images.display import Display
from scorehost.images.dockerfile import CHECK, Recipe, render
from scorehost.images.engine import Engine, Image
from scorehost.images.engine_problems import advice_for
from scorehost.images.environment import accepts
from scorehost.images.family import Family
from scorehost.images.missing_wheels import Index, not_reached, problem_told, problems_of
from scorehost.images.plan import Plan, no_such_python
from scorehost.images.wheelhouse import Wheelhouse, what_scorehost_needs
from scorehost.images.wheels import OLDEST_GLIBC, THIS_PYTHON, Target

STEP_LINES = 15
"""Lines of a failing step that are shown; of a failing check all, it is one report."""

KEPT_LOGS = 50


@dataclass(frozen=True)
class How:
    """How to build, which makes no difference to what comes out.

    Parameters
    ----------
    cache : folder for wheels, logs and what base images have said; see :func:`made_ready`.
    environ : of pip and the engine's command.
    fetch : "host", "build", or "auto" for whichever is right.
    upgrade : look for newer versions of what is not pinned.
    use_cache : whether the engine may take layers that it has.
    """

    cache: Path
    environ: Mapping[str, str]
    fetch: str = "auto"
    upgrade: bool = False
    use_cache: bool = True


def made_ready(cache: Path) -> Path:
    """The cache, each part of which can be written."""
    for part in ("bases", "builds", "wheels"):
        _check_writable(cache / part)
    return cache


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UsageError(
            f"{folder}, for what is kept between builds, cannot be written: {error.strerror}. Make "
            "it yours, or name another folder with XDG_CACHE_HOME."
        ) from error


class Builder:
    """Builds one image.

    Parameters
    ----------
    engine : builds.
    plan : what.
    how : how.
    display : shows what happens.
    """

    def __init__(self, engine: Engine, plan: Plan, how: How, display: Display) -> None:
        self.engine, self.plan, self.how, self.display = engine, plan, how, display
        moment = time.strftime("%Y%m%d-%H%M%S")
        self.log_file = how.cache / "builds" / f"{name_for(plan.tag)}-{moment}.log"

    def build(self, family: Family) -> Image:
        self.display.say(f"Building {self.plan.tag} on {self.plan.base}")
        for note in self.plan.notes:
            self.display.note(note)
        base = self._base()
        facts = look_into(self.engine, base, self.plan.base, self.how.cache)
        self._check_python(facts, family)
        before = self.engine.image(self.plan.tag)
        with tempfile.TemporaryDirectory(prefix="scorehost-") as folder:
            context = Context(Path(folder))
            with BuildLog(self.log_file, self._on_step) as log:
                self._fill(context, base, facts, log)
                self._run(context, facts, log)
        self._forget_old_logs()
        built = self.engine.image(self.plan.tag)
        if built is None:
            raise EngineError(
                f"The engine reported success, but {self.plan.tag} is not in its image list."
            )
        self._conclude(base, before, built)
        return built

    # -- What it begins with ----------------------------------------------------------------

    def _base(self) -> Image:
        here = self.engine.image(self.plan.base)
        if here is not None:
            return here
        if self.plan.is_of_family:
            raise EngineError(
                f"The base image {self.plan.base} is not here. 'make images' in a clone of "
                "scorehost's repository builds it; --base-image names another."
            )
        self.display.doing(f"pulling {self.plan.base}")
        try:
            return self.engine.pull(self.plan.base)
        except EngineError as error:
            raise EngineError(f"The base image {self.plan.base} cannot be had. {error}") from error

    def _check_python(self, facts: BaseFacts, family: Family) -> None:
        environment = self.plan.environment
        if environment.python and not accepts(environment.python, facts.python):
            raise UsageError(no_such_python(environment, facts.python, self.plan.base, family))

    # -- The context ------------------------------------------------------------------------

    def _fill(self, context: Context, base: Image, facts: BaseFacts, log: BuildLog) -> None:
        plan = self.plan
        on_host = self._fetches_on_host(facts)
        lines = plan.environment.lines
        if lines.requirements:
            context.add_packages(lines.requirements, self._constraints())
            if on_host:
                self.display.doing(f"fetching the packages of {plan.environment.source}")
                context.add_wheels(self._wheels(facts, log))
            elif plan.sources.ca_bundle is not None:
                context.add_ca_bundle(plan.sources.ca_bundle)
        context.add_files("models", plan.model_files)
        context.add_files("app", plan.files)
        context.add_for_steps(plan.steps, plan.files)
        context.add_dockerfile(render(recipe_of(plan, owner_of(base), on_host=on_host)))

    def _constraints(self) -> list[str]:
        return [*what_scorehost_needs(), *self.plan.environment.lines.constraints]

    def _fetches_on_host(self, facts: BaseFacts) -> bool:
        return fetches_on_host(self.how.fetch, self.plan, facts.target)

    def _wheels(self, facts: BaseFacts, log: BuildLog) -> Path:
        house = Wheelhouse(facts, self.plan.sources, self.how.cache, self.how.environ, log.line)
        return house.fetch(self.plan.environment.lines, anew=self.how.upgrade)

    # -- The build --------------------------------------------------------------------------

    def _run(self, context: Context, facts: BaseFacts, log: BuildLog) -> None:
        options = [] if self.how.use_cache and not self.how.upgrade else ["--no-cache"]
        status = self.engine.build(
            context.folder,
            dockerfile=context.dockerfile,
            tag=self.plan.tag,
            options=[*options, "--force-rm"],
            on_line=log.line,
        )
        if status:
            raise failure(log.step, log.path, self._missing(facts, log.step))

    def _missing(self, facts: BaseFacts, step: Step) -> list[str]:
        """The requirements that the build's own pip cannot have had; this machine's is asked."""
        if OVERLAY.name not in step.what or self._fetches_on_host(facts) or not_reached(step.said):
            return []
        plan, environ = self.plan, self.how.environ
        asked = Index(facts.target, plan.sources, plan.environment.lines.options, environ)
        return problems_of(plan.environment.lines.requirements, facts.target, asked.versions)

    def _on_step(self, at: int, of: int, what: str) -> None:
        self.display.doing(f"step {at}/{of}: {what}")

    def _forget_old_logs(self) -> None:
        logs = sorted(self.log_file.parent.glob("*.log"), key=lambda file: file.stat().st_mtime)
        for file in logs[:-KEPT_LOGS]:
            file.unlink(missing_ok=True)

    def _conclude(self, base: Image, before: Image | None, built: Image) -> None:
        self.display.close()
        for line in conclusion(self.plan, base, before, built):
            self.display.say(line)
        self.display.say(f"Log: {self.log_file}")


def fetches_on_host(fetch: str, plan: Plan, target: Target) -> bool:
    """Whether pip runs here: as wished, or where its answer is sure to be right for the image."""
    if fetch != "auto":
        return fetch == "host"
    return plan.sources.wheelhouse is not None or target.is_like_host()


def dry_run(plan: Plan, fetch: str, family: Family) -> str:
    """The Dockerfile, without an engine; of a base image not ours it supposes this Python."""
    target = Target(plan.base_python or THIS_PYTHON, platform.machine(), OLDEST_GLIBC)
    on_host = fetches_on_host(fetch, plan, target)
    return render(recipe_of(plan, f"{family.uid}:0", on_host=on_host))


def owner_of(base: Image) -> str:
    """Who owns the app's files: the base image's user, and group 0."""
    user = base.user.partition(":")[0] or "0"
    return f"{user}:0"


def recipe_of(plan: Plan, owner: str, *, on_host: bool) -> Recipe:
    """What the Dockerfile is made of."""
    lines = plan.environment.lines
    options = ["--constraint", "/tmp/packages/constraints.txt"]
    if not on_host:
        options += lines.options
        if plan.sources.index_url is not None:
            options += ["--index-url", plan.sources.index_url]
    elif "--pre" in lines.options:
        options.append("--pre")
    return Recipe(
        base=plan.base,
        owner=owner,
        entry_script=plan.entry_script,
        source=plan.environment.source,
        has_packages=bool(lines.requirements),
        has_models=bool(plan.model_files),
        pip_options=options,
        from_wheels=on_host,
        ca_bundle=not on_host and plan.sources.ca_bundle is not None,
        steps=plan.steps,
        variables=plan.variables,
        labels=plan.labels,
        check=plan.check,
        sample=plan.sample,
    )


def failure(step: Step, log: Path, missing: Sequence[str] = ()) -> BuildFailed:
    """What to say about a build that failed: the step, its last lines, and where the rest is."""
    is_check = " ".join(CHECK) in step.what.replace('", "', " ")
    said = step.last_words(STEP_LINES)
    if is_check:
        head = "The image was not made: scorehost check failed in it."
        said = [line for line in step.said if not line.startswith("The command ")]
    else:
        head = (
            f"The image was not made: this step failed.\n  {step.what or 'before the first step'}"
        )
    reasons = missing or list(explain_step(step))
    parts = [head, *(f"  {line}" for line in said), *reasons, f"Log: {log}"]
    return BuildFailed(
        "\n".join(parts), "\n".join(step.said), step="check" if is_check else step.what
    )


def explain_step(step: Step) -> Iterator[str]:
    """What we know about why a step failed."""
    text = "\n".join(step.said)
    advice = advice_for(text)
    if advice:
        yield advice
    if '"pip", "check"' in step.what:
        yield "The packages that were asked for do not go with those of the base image."
    if reason := not_reached(step.said):
        yield f"pip does not reach an index: {reason}"
    elif "CERTIFICATE_VERIFY_FAILED" in text:
        yield (
            "Behind a company's proxy, a step needs its certificates: COPY them to "
            "/usr/local/share/ca-certificates/ (as .crt), and RUN update-ca-certificates first."
        )
    elif problem := problem_told(step.said, "in the image"):
        yield problem


def conclusion(plan: Plan, base: Image, before: Image | None, built: Image) -> Iterator[str]:
    """What came out, and how to run it."""
    if before is not None and before.id == built.id:
        yield f"Nothing has changed: {plan.tag} is what it was, {short(built.id)}."
    else:
        added = (built.size - base.size) / 1e6
        yield (
            f"Built {plan.tag} ({short(built.id)}): {built.size / 1e6:.0f} MB, "
            f"{added:.1f} of them on top of {plan.base}."
        )
    yield f"Run it: docker run --rm -p 5001:5001 {plan.tag}"


def short(digest: str) -> str:
    """A digest as people read it."""
    return digest.removeprefix("sha256:")[:12]
