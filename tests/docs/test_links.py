"""Every page can be found from the index, and every link between pages leads somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.documents import FENCE, ROOT

FOLDERS = ("docs", "examples", "benchmarks", "base-images")
PAGES = [*ROOT.glob("*.md"), *(page for name in FOLDERS for page in (ROOT / name).rglob("*.md"))]
PAGES = sorted(page for page in PAGES if "/." not in str(page.relative_to(ROOT)))
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
OUTSIDE = re.compile(r"[a-z]+:")


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return FENCE.sub("", page.read_text("utf-8"))


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """The links to other pages, each with the heading it names."""
    for target in LINK.findall(prose(page)):
        if not OUTSIDE.match(target):
            path, _, heading = target.partition("#")
            yield (page.parent / path if path else page).resolve(), heading


def anchors(page: Path) -> set[str]:
    """The names of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ +(.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links(page: Path):
    """No link leads to a file or a heading that is not there."""
    broken = [
        f"{target}#{heading}"
        for target, heading in links(page)
        if not target.exists() or (heading and heading not in anchors(target))
    ]
    assert broken == []


def test_index_is_complete():
    """Every page in docs/ can be reached from the index."""
    index = ROOT / "docs" / "README.md"
    reached, new = set(), {index}
    while new:
        page = new.pop()
        reached.add(page)
        found = {target for target, _ in links(page) if target.suffix == ".md"}
        new |= {target for target in found if ROOT / "docs" in target.parents} - reached
    assert set((ROOT / "docs").rglob("*.md")) == reached


def test_index_of_examples_is_complete():
    """Every example is listed, and has what an example has."""
    folders = {page.parent for page in (ROOT / "examples").glob("*/train.py")}
    listed = {target.parent for target, _ in links(ROOT / "examples" / "README.md")}

    assert folders == listed
    for folder in folders:
        names = {file.name for file in folder.iterdir()}
        assert {"README.md", "score.py", "train.py", "requirements.txt"} <= names
        assert names & {"request.json", "request.png"}
