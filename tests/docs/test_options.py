"""Every option of the commands for images stands in the document about them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from scorehost.commands import build, sbom
from scorehost.commands.arguments import Parser

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@pytest.mark.parametrize(
    ("parser", "document"),
    [(build.make_parser(), "building-images.md"), (sbom.make_parser(), "base-images.md")],
    ids=["build", "sbom"],
)
def test_every_option_is_told(parser: Parser, document: str):
    """By one of its names."""
    text = (DOCS / document).read_text("utf-8")
    told = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", text))

    options = [set(action.option_strings) for action in parser._actions if action.option_strings]
    options.remove({"-h", "--help"})

    assert len(options) > 1
    assert [names for names in options if not names & told] == []


def test_every_extra_that_is_told_exists():
    """pip only warns about one that does not."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    pages = [ROOT / "README.md", *DOCS.rglob("*.md")]
    told = re.findall(r"(?:scorehost|'\.)\[([a-z,]+)\]", "".join(map(Path.read_text, pages)))

    assert len(told) > 2
    assert set(",".join(told).split(",")) <= set(extras["optional-dependencies"])
