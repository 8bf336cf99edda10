"""README, docs and examples do what they say: their blocks are typed and compared."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from support.documents import ROOT, Reader, blocks

DOCUMENTS = sorted(
    [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").glob("*/README.md")]
)
RUN = [file for file in DOCUMENTS if "```console" in file.read_text("utf-8")]


@pytest.mark.parametrize("file", RUN, ids=lambda file: str(file.relative_to(ROOT)))
def test_document(file: Path, tmp_path: Path):
    """Typed from top to bottom in a folder of its own, it shows what it says it shows."""
    folder = tmp_path / "reader"
    if file.parent.parent.name == "examples":
        without_models = shutil.ignore_patterns("azureml-models", "__pycache__")
        shutil.copytree(file.parent, folder, ignore=without_models)
    else:
        folder.mkdir()
    reader = Reader(folder)
    try:
        typed = reader.follow(file.read_text("utf-8"))
    finally:
        reader.leave()
    assert typed > 0


def test_first_screen():
    """README's first screen: a four-line score.py, one command, one curl with its answer."""
    script, serve, ask, *_ = blocks((ROOT / "README.md").read_text("utf-8"))

    assert script.title == "score.py"
    assert len(script.body.splitlines()) == 4
    assert serve.body == "$ scorehost serve score.py\n"
    assert re.fullmatch(r"\$ curl .*/score\n\{.*\}\n", ask.body)
