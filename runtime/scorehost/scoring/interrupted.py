"""What the worker raises in user code when a request's time is up."""

from __future__ import annotations


class Interrupted(BaseException):
    """The request's time is up. ``except Exception`` does not catch it, nor does our own code."""


def was_interrupted(error: BaseException) -> bool:
    """Tell whether an error came from an interrupt: a library or the script may wrap it.

    It may be in a group too: asyncio's ``TaskGroup`` makes one of what its tasks raise.
    """
    from scorehost.diagnosis.case import members_of

    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        item = left.pop()
        if isinstance(item, Interrupted):
            return True
        if item is not None and id(item) not in seen:
            seen.add(id(item))
            left += [_led_to(item), *members_of(item)]
    return False


def _led_to(error: BaseException) -> BaseException | None:
    try:
        return error.__cause__ or error.__context__
    except Interrupted:
        raise
    except BaseException:  # a property of the script's
        return None
