"""Which wheels a build installs: those of ``scorehost.lock``, or those that uv chooses now."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from scorehost.errors import UsageError
from scorehost.images.display import Display
from scorehost.images.lock_file import Lock, lock_of
from scorehost.images.plan import Plan
from scorehost.images.requirement_lines import RequirementLines, name_of
from scorehost.images.wheelhouse import Wheelhouse, Wheels
from scorehost.images.wheels import Target


def packages_of(
    plan: Plan, house: Wheelhouse, display: Display, *, upgrade: bool
) -> tuple[Path, ...]:
    """The wheels for an image, with the debugger if it is to have one.

    Parameters
    ----------
    display : is told which lock file was used or written.
    upgrade : whether to choose again what is not pinned.

    Raises
    ------
    UsageError
        The wheels are not available, or the lock file must be used and does not fit.
    """
    lines = plan.environment.lines
    wheels = Wheels((), ())
    if lines.requirements:
        wheels = _of_environment(plan, house, display, upgrade=upgrade)
    if plan.debugger and plan.debugger not in map(name_of, wheels.pins):
        # By itself, since it depends on nothing: the lock file, and hashes, need not know of it.
        options = [word for word in lines.options if word != "--require-hashes"]
        debugger = RequirementLines([plan.debugger], options=options)
        return (*wheels.files, *house.resolved(debugger, anew=upgrade).files)
    return wheels.files


def _of_environment(plan: Plan, house: Wheelhouse, display: Display, *, upgrade: bool) -> Wheels:
    lines, lock, target = plan.environment.lines, plan.lock, house.facts.target
    if plan.locking == "write":
        preferred = lock.pins if lock is not None and not upgrade else ()
        wheels = house.resolved(lines, preferred=preferred, anew=True)
        display.say(write_lock(plan, target, wheels))
        return wheels
    if lock is None:
        return house.resolved(lines, anew=upgrade)
    why_stale = lock.why_stale(lines, target)
    if why_stale and plan.locking == "require":
        raise UsageError(
            f"{plan.lock_file} is stale: {why_stale}. Renew it: scorehost build --lock."
        )
    if why_stale:
        display.note(f"{plan.lock_file.name} is stale: {why_stale}; --lock renews it")
        return house.resolved(lines, preferred=lock.pins, anew=upgrade)
    if upgrade:
        display.note(f"{plan.lock_file.name} is not used; --upgrade --lock renews it")
        return house.resolved(lines, anew=True)
    display.note(f"the packages are those of {plan.lock_file.name}")
    return house.locked(lock.pins, lines.options)


def write_lock(plan: Plan, target: Target, wheels: Wheels) -> str:
    """Write the lock file; say what has changed."""
    environment = plan.environment
    new = lock_of(environment.source, target, environment.lines, wheels.pins)
    try:
        plan.lock_file.write_text(new.text(), "utf-8")
    except OSError as error:
        raise UsageError(f"{plan.lock_file} cannot be written: {error.strerror}.") from error
    changes = ", ".join(_changes(plan.lock, new))
    count = f"{len(new.pins)} package{'s' if len(new.pins) != 1 else ''}"
    return f"Wrote {plan.lock_file}: {count}{f'; {changes}' if changes else ''}"


def _changes(old: Lock | None, new: Lock) -> Iterator[str]:
    """How a lock file differs from the one before; nothing for the first."""
    if old is None:
        return
    before, after = (
        {name_of(pin): pin.partition(" --hash")[0] for pin in lock.pins} for lock in (old, new)
    )
    yield from (f"{pin} is new" for name, pin in after.items() if name not in before)
    yield from (f"{pin} is gone" for name, pin in before.items() if name not in after)
    for name, pin in after.items():
        if before.get(name, pin) != pin:
            yield f"{before[name]} is now {pin.removeprefix(name).lstrip('=')}"
