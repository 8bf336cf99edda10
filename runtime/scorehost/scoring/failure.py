"""From an exception to a :class:`Failure`: what the client sees, what the log gets.

Used only when something has failed, so nothing here slows down a request that works.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from scorehost.errors import (
    ResultNotEncodable,
    RunFailed,
    UnusableBody,
    UnusableParameter,
    WrongContentType,
)
from scorehost.scoring.interrupted import Interrupted
from scorehost.scoring.shapes import shape_of
from scorehost.wire.messages import RUN_FAILED_MESSAGE, Failure

if TYPE_CHECKING:
    from scorehost.diagnosis.report import Report

_LONGEST_MESSAGE: Final = 2000


def failure_of(
    error: BaseException,
    stage: str,
    app_root: Path,
    arguments: Mapping[str, Any] | None = None,
    run_ns: int | None = None,
    *,
    explained_for: Path | None = None,
) -> Failure:
    """Turn whatever ended a request into the value that the front answers with.

    An exception may be made so that nothing can be learned of it; that is a failure too.

    Parameters
    ----------
    error : what was raised: ours, or the script's.
    stage : where the request was: "decode", "run" or "encode".
    app_root : for short paths.
    arguments : what ``run()`` was called with, as far as that was known.
    run_ns : what ``run()`` took, when it returned.
    explained_for : in debug mode the entry script; the detail then has a hint and every frame.
    """
    try:
        return _described(error, stage, app_root, arguments, run_ns, explained_for)
    except Interrupted:
        raise
    except BaseException:
        log = "an exception that cannot be described: reading its type or its message failed"
        return Failure(500, stage, RUN_FAILED_MESSAGE, log)


def _described(
    error: BaseException,
    stage: str,
    app_root: Path,
    arguments: Mapping[str, Any] | None,
    run_ns: int | None,
    explained_for: Path | None,
) -> Failure:
    if isinstance(error, RunFailed) and error.__cause__ is not None:
        error, stage, run_ns = error.__cause__, "run", None
    if isinstance(error, (UnusableBody, WrongContentType)) and stage in ("decode", "run"):
        stage = "validate" if isinstance(error, UnusableParameter) else "decode"
        status, run_ns, message = error.status, None, str(error)
        log = message
        if error.__cause__ is not None:  # inference-schema's, or a parameter type of the script's
            log += "\n" + _log(error.__cause__, app_root)
    else:
        status, message, log = 500, RUN_FAILED_MESSAGE, _log(error, app_root)
    detail = _detail(error, stage, app_root, arguments)
    if explained_for is not None:
        from scorehost.scoring.explanation import explain

        detail.update(explain(error, stage, explained_for, app_root))
    return Failure(status, stage, message, log, type(error).__name__, run_ns, detail)


def report_of(failure: Failure, script: Path, *, unfit: str = "") -> Report:
    """Make the report on a sample that got no answer.

    Parameters
    ----------
    failure : what came instead.
    script : the entry script.
    unfit : the hint when the sample itself was refused.
    """
    from scorehost.diagnosis.frames import Frame
    from scorehost.diagnosis.report import Report

    detail = failure.detail
    frames = [
        Frame(item["file"], item["line"], item["function"], ((item["line"], item["code"]),))
        for item in detail.get("frames", ())
    ]
    return Report(
        stage=failure.stage,
        error_type=detail.get("type", ""),
        message=detail.get("message", failure.log),
        frames=frames,
        hint=unfit if failure.stage in {"decode", "validate"} else _hint_of(detail),
        script=str(script),
    )


def _hint_of(detail: dict[str, Any]) -> str:
    """Return the hint that a rule has found, if one has, and what ``run()`` got."""
    from scorehost.scoring.explanation import GENERAL

    found = detail.get("hint", "")
    particular = "" if found in GENERAL else found
    return "\n".join(filter(None, [particular, called_with(detail)]))


def called_with(detail: dict[str, Any]) -> str:
    """Say what ``run()`` got, by type and shape."""
    shapes = detail.get("input", {})
    got = ", ".join(f"{name} = {shape}" for name, shape in shapes.items())
    return f"run() was called with {got}.".replace("'", "") if got else ""


def _log(error: BaseException, app_root: Path) -> str:
    from scorehost.diagnosis.report import format_exception

    if isinstance(error, ResultNotEncodable):
        log = f"{type(error).__name__}: {error}"
        cause = error.__cause__
        return log if cause is None else f"{log}\n{format_exception(cause, app_root)}"
    return format_exception(error, app_root)


def _detail(
    error: BaseException, stage: str, app_root: Path, arguments: Mapping[str, Any] | None
) -> dict[str, Any]:
    from scorehost.diagnosis.report import message_of, type_name

    return {
        "stage": stage,
        "type": type_name(error),
        "message": message_of(error)[:_LONGEST_MESSAGE],
        "frames": _frames(error, app_root),
        "input": {} if arguments is None else {
            name: shape_of(value) for name, value in arguments.items()
        },
    }  # fmt: skip


def _frames(error: BaseException, app_root: Path) -> list[dict[str, Any]]:
    from scorehost.diagnosis.frames import user_frames

    return [
        {
            "file": frame.file,
            "line": frame.line,
            "function": frame.function,
            "code": dict(frame.source).get(frame.line, "").strip(),
        }
        for frame in user_frames(error, app_root)
        if frame.file
    ]
