"""Every option of the commands for images stands in the document about them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scorehost.commands import build, sbom
from scorehost.commands.arguments import Parser

DOCS = Path(__file__).parents[2] / "docs"


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
