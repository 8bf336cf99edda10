"""Which wheels a build installs: those of ``scorehost.lock``, or those that uv chooses now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from scorehost.errors import UsageError
from scorehost.images.conda_choice import CondaWish
from scorehost.images.conda_packages import CondaPackage, CondaPackages
from scorehost.images.lock_file import asked_for, lock_of
from scorehost.images.plan import Plan
from scorehost.images.requirement_lines import RequirementLines, name_of, without_hashes
from scorehost.images.wheelhouse import Wheelhouse, Wheels
from scorehost.images.wheels import Target


def packages_of(plan: Plan, house: Wheelhouse, *, upgrade: bool) -> tuple[Path, ...]:
    """The wheels for an image, with the debugger if it is to have one.

    Parameters
    ----------
    upgrade : whether to choose again what is not pinned.

    Raises
    ------
    UsageError
        The wheels are not available, or the lock file must be used and does not fit.
    """
    lines = plan.environment.lines
    wheels = Wheels((), ())
    if lines.requirements or plan.conda is not None:
        wheels = _of_environment(plan, house, upgrade=upgrade)
    if plan.debugger and plan.debugger not in map(name_of, wheels.pins):
        # By itself, since it depends on nothing: the lock file, and hashes, need not know of it.
        options = [word for word in lines.options if word != "--require-hashes"]
        debugger = RequirementLines([plan.debugger], options=options)
        return (*wheels.files, *house.resolved(debugger, anew=upgrade).files)
    return wheels.files


def _of_environment(plan: Plan, house: Wheelhouse, *, upgrade: bool) -> Wheels:
    lines, use, display = plan.environment.lines, plan.locking, house.display
    lock = None if upgrade else use.lock
    if use.mode == "write":
        wheels = house.resolved(lines, preferred=lock.pins if lock else (), anew=True)
        for line in write_lock(plan, house.facts.target, wheels):
            display.say(line)
        return wheels
    if use.lock is None:
        return house.resolved(lines, anew=upgrade)
    if lock is None:
        display.note(f"{use.file.name} is not used with --upgrade; add --lock to renew it")
        return house.resolved(lines, anew=True)
    if why_stale := check_lock(plan, house.facts.target):
        display.note(
            f"{use.file.name} is stale: {why_stale}. Its versions are kept where they still fit; "
            "--lock renews it"
        )
        wheels = house.resolved(lines, preferred=lock.pins)
        for line in _changes(lock.pins, wheels.pins):
            display.note(line)
        return wheels
    display.note(f"the packages are those of {use.file.name}")
    return house.locked(lock.pins, lines.options)


def conda_packages_of(
    plan: Plan, wish: CondaWish, python: str, source: CondaPackages, *, upgrade: bool
) -> list[CondaPackage]:
    """The packages of conda's for an image: those of the lock file, or those that are chosen now.

    Parameters
    ----------
    wish : what the environment file asks of conda.
    python : the version that the image is to have, major and minor.
    source : chooses.
    upgrade : whether to choose again what is not pinned.

    Raises
    ------
    UsageError
        There is no such set of packages, or the lock file must be used and does not fit.
    """
    use, specs = plan.locking, wish.specs(python)
    if use.lock is None or upgrade:
        return source.choose(specs, anew=upgrade or use.mode == "write")
    target = replace(source.target, python=python)
    check_lock(plan, target)
    locked = [CondaPackage.of(line) for line in use.lock.conda]
    if use.mode != "write" and use.lock.fits_conda(wish, target):
        return locked
    return source.choose(specs, preferred=locked, anew=True)


def check_lock(plan: Plan, target: Target) -> str:
    """Why a lock file is stale, "" when it is not; an error when it must be used and is."""
    use, environment = plan.locking, plan.environment
    if use.lock is None:
        return ""
    asked = asked_for(environment.lines, plan.conda)
    why_stale = use.lock.why_stale(environment.source, asked, target)
    if why_stale and use.mode == "require":
        raise UsageError(f"{use.file} is stale: {why_stale}. Renew it: {use.renew}")
    return why_stale


def write_lock(plan: Plan, target: Target, wheels: Wheels) -> list[str]:
    """Write the lock file; say what has changed, one line for each package."""
    environment, use = plan.environment, plan.locking
    asked = asked_for(environment.lines, plan.conda)
    conda = [package.line for package in plan.conda_packages]
    new = lock_of(environment.source, target, asked, wheels.pins, conda)
    number = len(new.pins) + len(new.conda)
    count = f"{number} package{'s' if number != 1 else ''}"
    if new == use.lock:
        return [f"{use.file} is unchanged: {count}"]
    try:
        use.file.write_text(new.text(), "utf-8")
    except OSError as error:
        raise UsageError(f"{use.file} cannot be written: {error.strerror}.") from error
    changes = _changes(use.lock.all, new.all) if use.lock else ()
    return [f"Wrote {use.file}: {count}", *(f"  {line}" for line in changes)]


def _changes(old: Iterable[str], new: Iterable[str]) -> Iterator[str]:
    """How the pins of one lock differ from those of another."""
    before, after = ({name_of(pin): without_hashes(pin) for pin in pins} for pins in (old, new))
    yield from (f"{pin} is new" for name, pin in after.items() if name not in before)
    yield from (f"{pin} is gone" for name, pin in before.items() if name not in after)
    for name, pin in after.items():
        if before.get(name, pin) != pin:
            yield f"{before[name]} is now {pin.removeprefix(name).lstrip('=')}"
