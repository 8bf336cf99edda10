"""``scorehost.lock``: written, used, and refused when it is stale."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scorehost.errors import UsageError
from scorehost.images.base_facts import BaseFacts
from scorehost.images.display import Display
from scorehost.images.lock_file import read_lock
from scorehost.images.packages import packages_of
from scorehost.images.plan import Plan, Wishes, make_plan
from scorehost.images.wheelhouse import Wheelhouse
from scorehost.images.wheels import Sources
from support.containers import FAMILY
from support.package_index import PackageIndex, debian_12, digest, make_wheel
from support.server import fill


class Noted(Display):
    """A display that keeps what is said."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__(sys.stdout)
        self.lines = lines

    def say(self, text: str) -> None:
        self.lines.append(text.removeprefix("  note: "))

    def doing(self, text: str) -> None:
        print(text)


class App:
    """A folder with an environment file, and the wheels that a build would install."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self.folder, self.environ, self.notes = folder, environ, list[str]()
        fill(folder, {"score.py": "def run(data): return data"})

    def asks(self, text: str) -> None:
        (self.folder / "requirements.txt").write_text(text)

    def plan(self, locking: str = "", **rest: Any) -> Plan:
        return make_plan(Wishes(self.folder, "app:1", locking=locking, **rest), FAMILY)

    def build(
        self, locking: str = "", *, cache: str = "", upgrade: bool = False, **rest: Any
    ) -> list[str]:
        """The wheels, by name and version; ``cache`` is another machine's."""
        base = rest.pop("base", debian_12())
        place = self.folder.parent / f"cache{cache}"
        house = Wheelhouse(base, Sources(), place, self.environ, Noted(self.notes), print)
        self.notes.clear()
        plan = self.plan(locking, **rest)
        wheels = packages_of(plan, house, upgrade=upgrade)
        return sorted("-".join(file.name.split("-")[:2]) for file in wheels)

    @property
    def lock(self) -> Path:
        return self.folder / "scorehost.lock"


@pytest.fixture
def app(tmp_path: Path, environ: dict[str, str]) -> App:
    return App(tmp_path / "app", environ)


@pytest.fixture
def late(wheels: Path) -> Iterator[Path]:
    """A release that comes after the lock was made."""
    file = make_wheel(wheels, "thing", "9.0")
    file.rename(wheels / f"{file.name}.later")
    yield wheels / file.name
    (wheels / file.name).unlink(missing_ok=True)
    (wheels / f"{file.name}.later").unlink(missing_ok=True)


def release(late: Path) -> None:
    late.with_name(f"{late.name}.later").rename(late)


def test_a_lock_is_the_same_everywhere(app: App, late: Path, wheels: Path):
    """To every wheel's hash, on another machine, a release later."""
    app.asks("thing\nlearn\n")
    first = app.build("write")
    assert first == ["learn-1.0", "maths-1.26.4", "thing-2.0"]
    assert "3 packages" in app.notes[0]
    release(late)

    assert app.build(cache="-of-another") == first
    assert app.build("require", cache="-of-a-third") == first
    assert "the packages are those of scorehost.lock" in app.notes
    assert app.build(upgrade=True) == ["learn-1.0", "maths-1.26.4", "thing-9.0"]

    lock = read_lock(app.lock)
    assert lock is not None
    assert f"thing==2.0 --hash=sha256:{digest(wheels / 'thing-2.0-py3-none-any.whl')}" in lock.pins


def test_pip_takes_a_lock(app: App, environ: dict[str, str], tmp_path: Path):
    """It is a requirements file like any other."""
    app.asks("thing\nneeds-thing\n")
    app.build("write")
    command = [sys.executable, "-m", "pip", "download", "--require-hashes", "--quiet"]

    subprocess.run(
        [*command, "--dest", str(tmp_path / "by-pip"), "--requirement", str(app.lock)],
        env=environ,
        check=True,
    )

    assert sorted(file.name for file in (tmp_path / "by-pip").iterdir()) == [
        "needs_thing-1.0-py3-none-any.whl",
        "thing-1.0-py3-none-any.whl",
    ]


def test_contents_that_have_changed(app: App, wheels: Path):
    """A wheel of the same name with other contents is refused."""
    app.asks("patched\n")
    app.build("write")
    lock = read_lock(app.lock)
    assert lock is not None
    pins = tuple(re.sub("sha256:.*", f"sha256:{'0' * 64}", pin) for pin in lock.pins)
    app.lock.write_text(replace(lock, pins=pins).text())

    with pytest.raises(UsageError, match="DO NOT MATCH THE HASHES"):
        app.build("require", cache="-of-another")


def test_a_stale_lock(app: App, late: Path):
    """It is refused on demand; otherwise what still fits of it is kept, and that it is said."""
    app.asks("thing\n")
    app.build("write")
    release(late)
    app.asks("thing\nearly\n")

    with pytest.raises(UsageError, match=r"is stale: requirements\.txt has early now\. Renew it: "):
        app.build("require")
    assert app.build() == ["early-1.0", "thing-2.0"]
    stale, new = app.notes
    assert stale == (
        "scorehost.lock is stale: requirements.txt has early now. Its versions are kept where they "
        "still fit; --lock renews it"
    )
    assert new == "early==1.0 is new"
    app.asks("thing<3\n")
    assert app.build() == ["thing-2.0"]
    assert "stale: requirements.txt has thing<3 now, and had thing. " in app.notes[0]
    app.asks("early\n")
    assert app.build() == ["early-1.0"]
    assert "has early now; requirements.txt no longer has thing. " in app.notes[0]
    app.asks("thing\nearly\n")
    app.build("write")
    assert app.notes[1:] == ["  early==1.0 is new"]
    assert app.build("require") == ["early-1.0", "thing-2.0"]
    app.build("write", upgrade=True)
    assert app.notes[0].endswith("scorehost.lock: 2 packages")
    assert app.notes[1:] == ["  thing==2.0 is now 9.0"]


@pytest.mark.parametrize(
    ("base", "reason"),
    [
        (debian_12("3.12.3"), "it is for Python 3.11, and the image has 3.12"),
        (debian_12(machine="aarch64"), "it is for x86_64, and the image is for aarch64"),
        (
            replace(debian_12(), glibc=31),
            "it is for glibc 2.36, and the image",
        ),
    ],
)
def test_a_lock_for_another_image(app: App, base: BaseFacts, reason: str):
    app.asks("thing\n")
    app.build("write")

    with pytest.raises(UsageError, match=reason):
        app.build("require", base=base)
    assert app.build(base=base) == ["thing-2.0"]
    assert reason in app.notes[0]


def test_no_lock(app: App):
    """Where there is none, or nothing to lock, it is said how to get one."""
    with pytest.raises(UsageError, match="There is nothing to lock: the folder lists no packages"):
        app.plan("write")
    app.asks("thing\n")
    with pytest.raises(UsageError, match=r"which does not exist. Make and commit it: "):
        app.plan("require")


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda text: text.replace("thing==2.0", "thing==1.0"), "it was edited or merged"),
        (lambda text: text.partition("thing==")[0], "it was edited or merged"),
        (lambda text: text.replace("thing==", "<<<<<<< HEAD\nthing=="), "edited or merged"),
        (lambda text: text.partition("# ///\n")[2], "was not written by 'scorehost build --lock'"),
        (lambda _: "", "was not written by 'scorehost build --lock'"),
    ],
)
def test_a_lock_that_was_edited(app: App, edit: Callable[[str], str], said: str):
    """It is refused, with what to do; ``--lock`` makes it anew whatever it looks like."""
    app.asks("thing\n")
    app.build("write")
    written = app.lock.read_text()
    app.lock.write_text(edit(written))

    with pytest.raises(UsageError, match=said) as refused:
        app.plan()
    assert str(refused.value).endswith(f" Make it anew: scorehost build {app.folder} --lock")
    app.build("write")
    assert app.lock.read_text() == written


def test_a_lock_with_other_line_ends(app: App):
    """git may write them so on other systems."""
    app.asks("thing\n")
    app.build("write")
    app.lock.write_bytes(app.lock.read_bytes().replace(b"\n", b"\r\n"))

    assert app.build("require") == ["thing-2.0"]


def test_nothing_new(app: App):
    app.asks("thing\n")
    app.build("write")
    app.build("write")

    assert app.notes == [f"{app.lock} is unchanged: 1 package"]


def test_the_command_that_renews_a_lock(app: App):
    """It has what decides about the lock: folder, file and base image."""
    fill(app.folder, {"envs/more.txt": "thing\n"})
    file = app.folder / "envs" / "more.txt"

    plan = app.plan(environment=file, base_image="other:1")

    assert plan.locking.file == file.with_name("scorehost.lock")
    assert plan.locking.renew == (
        f"scorehost build {app.folder} --lock --environment {file} --base-image other:1"
    )


def test_a_lock_of_another_file(app: App):
    app.asks("thing\n")
    app.build("write")
    fill(app.folder, {"other.txt": "early\n"})

    with pytest.raises(UsageError, match=r"made from requirements\.txt, and this build uses other"):
        app.build("require", environment=app.folder / "other.txt")


def test_a_lock_and_the_debugger(app: App):
    """The debugger comes on top, and the lock stays valid; one that is listed stays as listed."""
    app.asks("thing\n")
    app.build("write", debug=True)

    assert app.build("require", debug=True) == ["debugpy-1.8.0", "thing-2.0"]
    assert "debugpy" not in app.lock.read_text()
    app.asks("debugpy<2\n")
    assert app.build(debug=True) == ["debugpy-1.8.0"]


def test_a_lock_stays_out_of_the_image(app: App, monkeypatch: pytest.MonkeyPatch):
    """The image has its list of packages; a new lock would change a layer for nothing."""
    app.asks("thing\n")
    app.build("write")

    assert "scorehost.lock" not in [str(place) for _, place in app.plan().files]

    monkeypatch.chdir(app.folder)
    (app.folder / "sub").mkdir()
    for folder, environment in ((".", app.folder), ("sub/..", "."), (app.folder, ".")):
        plan = make_plan(
            Wishes(Path(folder), "app:1", environment=Path(environment, "requirements.txt")), FAMILY
        )
        assert "scorehost.lock" not in [str(place) for _, place in plan.files]


def test_what_a_lock_says(app: App):
    """Its block is TOML, whatever the requirements hold."""
    app.asks('thing ; python_version > "3"\n-c more.txt\n--pre\n')
    (app.folder / "more.txt").write_text("thing<2\n")
    app.build("write")

    lock = read_lock(app.lock)

    assert lock is not None
    assert (lock.source, lock.python, lock.machine, lock.glibc) == (
        *("requirements.txt", "3.11", "x86_64"),
        36,
    )
    assert lock.asked == ("--constraint thing<2", "--pre", 'thing; python_version > "3"')
    assert json.dumps(lock.asked[2]) in app.lock.read_text()


def test_a_kept_folder_is_whole_or_not_there(app: App, index: PackageIndex):
    """A build that was killed while it fetched leaves nothing that counts."""
    app.asks("thing\n")
    app.build()
    (folder,) = (app.folder.parent / "cache" / "wheels").iterdir()
    (folder / "requirements.lock").unlink()
    shutil.copy(folder / "thing-2.0-py3-none-any.whl", folder / "half-1.0-py3-none-any.whl")

    assert app.build() == ["thing-2.0"]


def test_the_same_in_another_spelling(app: App):
    """Neither order nor spaces nor capitals make a lock stale."""
    app.asks("thing>=1,<3\nneeds_thing\n")
    app.build("write")
    app.asks("# two packages\nNeeds-Thing\nthing <3, >=1.0\n".replace("1.0", "1"))

    assert app.build("require") == ["needs_thing-1.0", "thing-1.0"]


def test_packages_that_only_other_pythons_need(app: App):
    """Then there is nothing to fetch."""
    app.asks("thing; python_version < '3.0'\n")

    assert app.build("write") == []
    assert app.build("require") == []


def test_two_builds_at_once(app: App):
    """They make the same folder, and both have all of it."""
    app.asks("thing\nlearn\n")

    with ThreadPoolExecutor() as pool:
        first, second = pool.map(lambda _: app.build(), range(2))

    assert first == second == ["learn-1.0", "maths-1.26.4", "thing-2.0"]
    kept = [each.name for each in (app.folder.parent / "cache" / "wheels").iterdir()]
    assert not [name for name in kept if name.startswith("fetching-")]
