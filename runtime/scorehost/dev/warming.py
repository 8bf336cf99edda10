"""The warm-up of a reload: a new worker scores the script's own sample before it gets requests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from scorehost.scoring.failure import report_of
from scorehost.scoring.pipeline import Pipeline
from scorehost.scoring.samples import sample_request, sample_text
from scorehost.wire.messages import Failure, Stream

if TYPE_CHECKING:
    from scorehost.diagnosis.report import Report

_UNFIT: Final = (
    "run() does not accept the sample in its decorators. After a reload, new workers score this "
    "sample before they get requests. Correct the sample or run()."
)


def warm_up(pipeline: Pipeline, sample: Any, script: Path) -> Report | None:
    """Score the sample in the decorators; returns a report when that failed.

    Parameters
    ----------
    pipeline : that of the script which was just loaded.
    sample : the value from the decorators.
    script : the entry script, for the report.
    """
    outcome = pipeline.score(sample_request(sample_text(sample).encode()))
    if isinstance(outcome, Stream):
        next(iter(outcome.chunks), None)
        close = getattr(outcome.chunks, "close", None)
        if close is not None:
            close()
    return report_of(outcome, script, unfit=_UNFIT) if isinstance(outcome, Failure) else None
