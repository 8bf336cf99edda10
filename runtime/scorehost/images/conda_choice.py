"""Whether an image's packages are pip's or conda's.

pip's are smaller and quicker to install, and every package that has a name there is taken from
there. An environment file that lists what only conda has gets conda's own packages, all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from scorehost.errors import UsageError
from scorehost.images.requirement_lines import Environment
from scorehost.images.script_python import accepts

ADVICE = (
    "To have conda's own packages in the image, install what chooses them, and build again: "
    "pip install 'scorehost[conda]'"
)


@dataclass(frozen=True)
class CondaWish:
    """The environment of conda's packages that an image is to have.

    Parameters
    ----------
    listed : the specifications in the environment file, but for Python.
    python : those for Python, and what they come to for pip: "==3.8.13".
    channels : the most important first.
    """

    listed: tuple[str, ...]
    python: tuple[str, ...]
    constraint: str
    channels: tuple[str, ...]

    def specs(self, python: str) -> list[str]:
        """All specifications, for a version of Python, major and minor.

        pip is always among them: it installs the packages that are listed below ``pip:``, and those
        of steps of the user's own.
        """
        fits = not self.constraint or accepts(self.constraint, python)
        own = self.python if fits else ()
        return [*self.listed, *own, f"python {python}.*", "pip"]


def conda_for(environment: Environment, wished: bool | None) -> CondaWish | None:
    """Whether conda's packages are wanted or needed; the environment is left with pip's part then.

    Parameters
    ----------
    wished : by ``--conda`` or ``--no-conda``; None if neither was typed.

    Raises
    ------
    UsageError
        The environment file is not conda's, or lists what pip cannot install.
    """
    conda = environment.conda
    if conda is None:
        if wished:
            found = environment.source or "the folder, which has no environment file"
            raise UsageError(f"--conda needs a conda file such as myenv.yml, and found {found}.")
        return None
    if wished is None and conda.refused:
        wished = find_spec("rattler") is not None
        names = ", ".join(line.partition(":")[0] for line in conda.refused)
        conda.lines.notes.insert(0, f"the packages are conda's, since pip cannot install {names}")
    if not wished:
        if conda.refused:
            listed = "\n".join(f"  {line}" for line in conda.refused)
            advice = "" if wished is False and find_spec("rattler") else f"\n{ADVICE}"
            raise UsageError(
                f"{environment.file} lists what only conda can install.\n{listed}{advice}"
            )
        return None
    environment.lines, environment.notes = conda.lines, [*conda.lines.notes]
    return CondaWish(
        tuple(conda.specs), tuple(conda.python), environment.python, tuple(conda.channels)
    )
