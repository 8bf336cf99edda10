"""Old import names that still work: ``azureml.core.model`` and a few more.

The file ``scorehost-stand-ins.pth`` (made in ``tools/scorehost_build.py``) is one line that adds
a finder when Python starts, after all others, so that a real package of the same name is found
first. The line imports nothing: it costs every interpreter of the environment some
microseconds. This package is imported when such a name is asked for and nobody else has it.
Scoring processes in an environment without scorehost add the finder themselves.
"""

from azureml_stand_ins.modules import find_spec

__all__ = ["ScorehostStandIns", "find_spec"]


class ScorehostStandIns:
    """The finder, as the line adds it."""

    find_spec = staticmethod(find_spec)
