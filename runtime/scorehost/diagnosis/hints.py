"""What is probably wrong, and what to do: one hint for one failure.

Each rule looks at a failure and answers with a hint or with nothing. The error itself is asked
first, then the errors that led to it; the first answer counts. The rules stand from the
particular to the general.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from scorehost.diagnosis import (
    missing_modules,
    model_files,
    native_libraries,
    newer_python,
    pickles,
    python_errors,
    signatures,
    source_text,
    surroundings,
)
from scorehost.diagnosis.case import Case

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

Rule: TypeAlias = "Callable[[Case], str]"

RULES: Final[tuple[Rule, ...]] = (
    # the script
    source_text.unreadable_script,
    source_text.unreadable_text,
    newer_python.newer_python,
    source_text.bad_syntax,
    source_text.notebook_as_script,
    signatures.missing_function,
    signatures.bad_signature,
    python_errors.script_exits,
    # models
    model_files.model_not_found,
    model_files.no_model_dir,
    pickles.inconsistent_version,
    pickles.missing_while_unpickling,
    pickles.missing_class_while_unpickling,
    pickles.changed_layout,
    pickles.other_formats,
    pickles.unreadable_pickle,
    # packages
    native_libraries.missing_library,
    native_libraries.numpy_mismatch,
    missing_modules.relative_import,
    missing_modules.missing_module,
    missing_modules.missing_name,
    missing_modules.circular_attribute,
    python_errors.numpy_names,
    python_errors.dropped_attribute,
    # machine and container
    surroundings.no_gpu,
    surroundings.out_of_memory,
    surroundings.cache_folder,
    surroundings.no_space,
    surroundings.read_only,
    surroundings.denied,
    model_files.folder_not_file,
    model_files.file_not_found,
    python_errors.bad_json,
    surroundings.no_network,
    # Python
    python_errors.missing_variable,
    python_errors.none_joined,
    python_errors.warning_as_error,
    python_errors.recursion,
    python_errors.undefined_name,
    python_errors.running_loop,
)

_BY_STAGE: Final[dict[str, str]] = {
    "read": "Open the file in an editor at the marked line.",
    "import": "The marked line raised this while the script was imported, before init().",
    "init()": "The marked line raised this in init().",
}


_IN_IMAGES = "/opt/env"
"""Where an image has the script's environment (docs/base-images.md)."""

_PIP_INSTALL = re.compile(r"\n    pip install '?([^'\n]*)'?")


def hint_for(case: Case) -> str:
    """Find the hint for a failure; never raises."""
    if hint := known_hint(case):
        return hint
    repeat = f"To reproduce it without serving:\n    scorehost check {case.script.name}"
    return f"{_BY_STAGE.get(case.stage, '')} {repeat}".strip()


def known_hint(case: Case) -> str:
    """Find the hint of the first rule that recognises a failure; "" when none does."""
    for link in case.chain():
        for rule in RULES:
            if hint := _asked(rule, link):
                return _with_the_pip_that_counts(hint)
    return ""


def _with_the_pip_that_counts(hint: str) -> str:
    """Name the interpreter, where it is the script's own: the shell's pip may be another's.

    What is installed in a container is gone with it, so in an image the environment file counts.
    """
    if not os.environ.get("SCOREHOST_PYTHON"):
        return hint
    if sys.prefix == _IN_IMAGES:
        return _PIP_INSTALL.sub(
            "\nAdd it to the environment file that the image was built from, and build again:"
            r"\n    \1",
            hint,
        )
    return hint.replace(
        "\n    pip install ", f"\n    {shlex.quote(sys.executable)} -m pip install "
    )


def _asked(rule: Rule, case: Case) -> str:
    """Ask one rule. One that raises has no hint: it must never replace the error itself."""
    with contextlib.suppress(Exception):
        return rule(case)
    return ""
