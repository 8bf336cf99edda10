"""Choosing and fetching an image's packages, by the real uv and pip, from an index on loopback."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scorehost.errors import UsageError
from scorehost.images.base_facts import BaseFacts
from scorehost.images.display import Display
from scorehost.images.missing_wheels import UNKNOWN
from scorehost.images.requirement_lines import RequirementLines
from scorehost.images.wheelhouse import Wheelhouse
from scorehost.images.wheels import Sources
from support.package_index import (
    PackageIndex,
    debian_12,
    digest,
    make_certificates,
    make_wheel,
)
from support.server import fill


@pytest.fixture
def fetch(tmp_path: Path, environ: dict[str, str]) -> Callable[..., list[str]]:
    """Fetch the wheels of some requirements; their names without the platform."""

    def fetched(*requirements: str, base: BaseFacts | None = None, **rest: Any) -> list[str]:
        """``rest`` are a requirements file's other lines, and the sources of wheels."""
        sources = rest.pop("sources", Sources())
        house = Wheelhouse(
            base or debian_12(), sources, tmp_path / "cache", environ, Display(sys.stdout), print
        )
        wheels = house.resolved(RequirementLines(list(requirements), **rest))
        return sorted("-".join(file.name.split("-")[:2]) for file in wheels.files)

    return fetched


Fetch = Callable[..., list[str]]


def refused(fetch: Fetch, *requirements: str, **rest: Any) -> str:
    """The message when wheels cannot be had."""
    with pytest.raises(UsageError) as error:
        fetch(*requirements, **rest)
    return str(error.value)


# -- for the image's Python -----------------------------------------------------------------


def test_markers_and_platforms_are_the_images(fetch: Fetch):
    """Whatever Python, C library and machine this is."""
    assert fetch("learn") == ["learn-1.0", "maths-1.26.4"]
    assert fetch("learn", base=debian_12("3.8.17")) == ["learn-1.0", "maths-1.18.5", "old_only-1.0"]
    assert fetch("maths") == ["maths-2.0.0"]
    assert fetch("thing; python_version < '3.11'", "early") == ["early-1.0"]
    assert "\n  maths: " in refused(fetch, "maths", base=debian_12(machine="aarch64"))


def test_packages_that_ask_for_a_patch_release(fetch: Fetch):
    """The image's, and not the first of its line."""
    assert fetch("patched") == ["patched-2.0"]
    assert fetch("patched", base=debian_12("3.11.9")) == ["patched-3.0"]


def test_what_the_base_has(fetch: Fetch):
    """It is kept where it fits, and its wheel is left out."""
    assert fetch("learn", base=debian_12(maths="1.23.2")) == ["learn-1.0"]
    assert fetch("learn", base=debian_12(maths="2.0.0")) == ["learn-1.0", "maths-1.26.4"]


def test_early_versions(fetch: Fetch):
    """Only where they are asked for, as with pip."""
    assert fetch("early") == ["early-1.0"]
    assert fetch("early==2.0b1") == ["early-2.0b1"]
    assert fetch("early", options=["--pre"]) == ["early-2.0b1"]


def test_constraints(fetch: Fetch):
    assert fetch("thing", constraints=["thing<2", "maths==1"]) == ["thing-1.0"]


def test_an_address(fetch: Fetch, index: PackageIndex):
    """A wheel by its address, with and without a name."""
    address = f"http://{index.address}/files/thing-1.0-py3-none-any.whl"

    assert fetch(f"thing @ {address}") == ["thing-1.0"]
    assert fetch(address, "needs-thing") == ["needs_thing-1.0", "thing-1.0"]


def test_the_same_again(fetch: Fetch, wheels: Path, tmp_path: Path):
    """A release in between changes nothing on this machine."""
    first = fetch("thing")
    late = make_wheel(wheels, "thing", "9.0")

    try:
        assert fetch("thing") == first
    finally:
        late.unlink()


# -- what cannot be had ---------------------------------------------------------------------


def test_pins_without_wheels(fetch: Fetch):
    """All at once, each with the nearest version; source code is nothing that could be had."""
    wanted = ["maths==1.15.4", "thing==3.0", "sources==1.0", "nowhere>1", "maths<1.20", "thing"]

    head, *lines = refused(fetch, *wanted).splitlines()

    assert head == "Some packages are not available for the image's Python 3.11."
    assert lines[:2] == [
        "  maths==1.15.4 has no wheel for Python 3.11. The nearest version that has one is 1.23.2: "
        "maths==1.23.2",
        "  thing==3.0 has no wheel for Python 3.11. The nearest version that has one is 2.0: "
        "thing==2.0",
    ]
    assert lines[2].startswith("  sources==1.0: no package of that name has a wheel for Python 3")
    assert lines[3].startswith("  nowhere>1: no package of that name has a wheel for Python 3.11.")
    assert lines[4] == (
        "  maths<1.20 has no wheel for Python 3.11. There are wheels for versions 1.23.2 to 2.0.0."
    )
    assert lines[5:] == UNKNOWN.splitlines()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("scikit-lern==1.5", " Did you mean scikit-learn?"),
        ("sklearn", " Did you mean scikit-learn?"),
        ("PIL", " Did you mean pillow?"),
        ("cudatoolkit", "part of CUDA. Remove the line, and use --base-image inference-gpu."),
        ("nothing-like-it", "no package of that name has a wheel for Python 3.11."),
    ],
)
def test_names_that_are_not_packages(fetch: Fetch, asked: str, said: str):
    """A slip, a module's name, and what only conda has, in a requirements file too."""
    assert refused(fetch, asked).splitlines()[1].endswith(said)


def test_a_version_for_one_machine_only(fetch: Fetch):
    """``+cpu`` is not on every index: the plain version is the nearest."""
    said = refused(fetch, "thing==1.0+cpu")

    assert "The nearest version that has one is 1.0: thing==1.0. Versions such as +cpu" in said
    assert "--extra-index-url" in said


def test_a_wildcard(fetch: Fetch):
    assert "1.23.2: maths[x,y]==1.23.2" in refused(fetch, "maths[y,x]==1.19.*")


def test_what_a_requirement_depends_on(fetch: Fetch):
    """It is named, since the person can only change the requirement."""
    said = refused(fetch, "thing", "needs-sources")

    assert said.startswith("needs-sources needs packages that are not available:\n")
    assert "sources" in said.partition("\n")[2]
    assert "--no-build" not in said


def test_packages_that_do_not_fit(fetch: Fetch):
    """A conflict is one only where everything could be had."""
    said = refused(fetch, "needs-thing", "thing==2.0")

    assert said.startswith("The packages conflict: no set of versions meets all requirements.\n")
    assert "needs-thing" in said
    assert "thing==2.0" in said


def test_pins_that_the_server_could_not_live_with(fetch: Fetch, wheels: Path):
    """The script's packages are its own: what the server needs does not count."""
    flask = make_wheel(wheels, "flask", "1.1.4")

    try:
        assert fetch("flask==1.1.4") == ["flask-1.1.4"]
    finally:
        flask.unlink()


# -- how an index is reached ----------------------------------------------------------------


def test_an_index_that_is_not_reached(fetch: Fetch, environ: dict[str, str]):
    """Nothing is said of packages then."""
    environ["PIP_INDEX_URL"] = "http://127.0.0.1:9/simple"

    said = refused(fetch, "thing")

    assert said.startswith("The packages cannot be fetched.\n")
    assert "127.0.0.1:9" in said
    assert "a proxy is set with https_proxy" in said
    assert "no package of that name" not in said


def test_an_address_that_is_typed(fetch: Fetch, index: PackageIndex, environ: dict[str, str]):
    """It wins over pip's own, and over the requirements file's."""
    environ["PIP_INDEX_URL"] = "http://127.0.0.1:9/simple"

    found = fetch(
        "thing", sources=Sources(index_url=index.url), options=["--index-url", "http://x"]
    )

    assert found == ["thing-2.0"]


def test_a_second_index(fetch: Fetch, index: PackageIndex, tmp_path: Path):
    """The best version of both, as with pip."""
    make_wheel(tmp_path / "more", "thing", "3.0")
    more = PackageIndex(tmp_path / "more")

    try:
        assert fetch("thing", "maths", options=["--extra-index-url", more.url]) == [
            "maths-2.0.0",
            "thing-3.0",
        ]
    finally:
        more.close()


def test_settings_of_pip(
    fetch: Fetch, index: PackageIndex, environ: dict[str, str], tmp_path: Path
):
    """A configuration file counts for uv too: here with an index and a constraint."""
    del environ["PIP_INDEX_URL"]
    fill(
        tmp_path,
        {
            "pip.conf": f"[global]\nindex-url = {index.url}\n[download]\n"
            f"constraint = {tmp_path}/capped.txt\n",
            "capped.txt": "thing<2\n",
        },
    )
    environ["PIP_CONFIG_FILE"] = str(tmp_path / "pip.conf")

    assert fetch("thing") == ["thing-1.0"]


def test_settings_of_pip_that_cannot_be_read(fetch: Fetch, environ: dict[str, str], tmp_path: Path):
    (tmp_path / "pip.conf").write_text("no section\n")
    environ["PIP_CONFIG_FILE"] = str(tmp_path / "pip.conf")

    assert "pip cannot read its settings.\n" in refused(fetch, "thing")


@pytest.mark.parametrize("setting", ["PIP_QUIET=2", "PIP_VERBOSE=2", "PIP_TIMEOUT=15.5"])
def test_settings_that_are_nothing_to_uv(fetch: Fetch, environ: dict[str, str], setting: str):
    """They hide nothing from it."""
    name, _, value = setting.partition("=")
    environ[name] = value

    assert fetch("thing") == ["thing-2.0"]


def test_settings_of_uv_do_not_count(fetch: Fetch, environ: dict[str, str]):
    """One program's settings hold for both."""
    environ |= {"UV_INDEX_URL": "http://127.0.0.1:9/simple", "UV_CONSTRAINT": "/nowhere"}

    assert fetch("thing") == ["thing-2.0"]


@pytest.fixture
def guarded(wheels: Path) -> Iterator[PackageIndex]:
    served = PackageIndex(wheels, password="me:secret")
    yield served
    served.close()


def test_a_password(fetch: Fetch, guarded: PackageIndex, environ: dict[str, str]):
    """In the address, where a variable may stand for it; it is never shown."""
    environ["TOKEN"] = "secret"
    options = ["--index-url", "http://me:${TOKEN}@" + f"{guarded.address}/simple"]

    assert fetch("thing", options=options) == ["thing-2.0"]
    assert "secret" not in refused(fetch, "thing==9", options=options)


def test_a_password_in_an_address_of_a_wheel(fetch: Fetch, index: PackageIndex):
    address = f"http://me:hunter2@{index.address}/files/nowhere-1.0-py3-none-any.whl"

    assert "hunter2" not in refused(fetch, f"nowhere @ {address}")


def test_a_password_that_is_missing(fetch: Fetch, guarded: PackageIndex, environ: dict[str, str]):
    """Nothing is said of wheels then, and of spelling."""
    environ["PIP_INDEX_URL"] = guarded.url

    said = refused(fetch, "thing")

    assert "401" in said
    assert "no package of that name" not in said
    assert "Check the spelling" not in said


def test_a_password_that_is_wrong_on_one_of_two(
    fetch: Fetch, guarded: PackageIndex, capsys: pytest.CaptureFixture[str]
):
    """The other index has the package: that the first did not count is said."""
    wrong = f"http://me:wrong@{guarded.address}/simple"

    assert fetch("thing", options=["--extra-index-url", wrong]) == ["thing-2.0"]

    note = f"  note: An index URL ({guarded.url}) could not be queried"
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith(note)]


def test_a_password_in_a_variable_that_is_not_set(fetch: Fetch, guarded: PackageIndex):
    options = ["--index-url", "http://me:${TOKEN_OF_NOBODY}@" + f"{guarded.address}/simple"]

    assert "the variable TOKEN_OF_NOBODY is not set" in refused(fetch, "thing", options=options)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """What is to be trusted, and what the index has."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def company(wheels: Path, certificates: tuple[Path, Path]) -> Iterator[PackageIndex]:
    """An index whose certificate nobody else knows."""
    served = PackageIndex(wheels, certificate=certificates[1])
    yield served
    served.close()


@pytest.mark.parametrize("how", ["option", "PIP_CERT", "REQUESTS_CA_BUNDLE", "trusted host"])
def test_certificates(
    fetch: Fetch,
    company: PackageIndex,
    certificates: tuple[Path, Path],
    environ: dict[str, str],
    how: str,
):
    """However pip is told about them, uv hears of it."""
    environ["PIP_INDEX_URL"] = company.url
    sources = Sources(ca_bundle=certificates[0] if how == "option" else None)
    if how == "trusted host":
        environ["PIP_TRUSTED_HOST"] = company.address
    elif how != "option":
        environ[how] = str(certificates[0])

    assert fetch("thing", sources=sources) == ["thing-2.0"]


def test_a_certificate_that_is_not_known(
    fetch: Fetch, company: PackageIndex, environ: dict[str, str]
):
    environ["PIP_INDEX_URL"] = company.url

    assert "--ca-bundle FILE" in refused(fetch, "thing")


def test_a_proxy(fetch: Fetch, index: PackageIndex, environ: dict[str, str]):
    """pip's setting becomes uv's."""
    environ |= {
        "PIP_INDEX_URL": "http://index.example/simple",
        "PIP_TRUSTED_HOST": "index.example",
        "PIP_PROXY": f"http://{index.address}",
    }

    assert fetch("thing") == ["thing-2.0"]
    assert "http://index.example/simple/thing/" in index.asked


def test_an_index_that_pip_does_not_trust(
    fetch: Fetch, index: PackageIndex, environ: dict[str, str]
):
    """It is reached, but pip ignores it: its warning says so."""
    environ |= {"PIP_INDEX_URL": "http://index.example/simple"}
    environ["PIP_PROXY"] = f"http://{index.address}"

    assert "index.example is not a trusted or secure host" in refused(fetch, "thing")


def test_a_folder_of_wheels(fetch: Fetch, wheels: Path, environ: dict[str, str], tmp_path: Path):
    """Nothing else is asked, and a file that is added there is found."""
    environ["PIP_INDEX_URL"] = "http://127.0.0.1:9/simple"
    sources = Sources(wheelhouse=tmp_path / "house")
    make_wheel(tmp_path / "house", "thing", "1.0")

    options = ["--index-url", "http://127.0.0.1:9/other"]
    assert fetch("thing", sources=sources, options=options) == ["thing-1.0"]
    make_wheel(tmp_path / "house", "thing", "1.5")
    assert fetch("thing", sources=sources) == ["thing-1.5"]
    assert "thing==2.0 has no wheel" in refused(fetch, "thing==2.0", sources=sources)


def test_a_wheel_that_was_built_again(tmp_path: Path, environ: dict[str, str]):
    """Under the same name, and as large as before: the new one counts."""
    file = make_wheel(tmp_path / "house", "thing", "1.0")
    sources = Sources(wheelhouse=tmp_path / "house")
    house = Wheelhouse(
        debian_12(), sources, tmp_path / "cache", environ, Display(sys.stdout), print
    )
    lines = RequirementLines(["thing"])
    (first,) = house.resolved(lines).pins
    content = file.read_bytes()
    file.write_bytes(content.replace(b"VERSION = '1.0'", b"VERSION = '9.9'"))
    os.utime(file, ns=(1, 1))

    (second,) = house.resolved(lines).pins

    assert first != second


# -- hashes ---------------------------------------------------------------------------------


def hashed(wheels: Path, name: str, sha: str = "") -> str:
    """A pin with the hash of its wheel."""
    (file,) = wheels.glob(f"{name.replace('==', '-')}-*.whl")
    return f"{name} --hash=sha256:{sha or digest(file)}"


def test_hashes(fetch: Fetch, wheels: Path):
    """They are checked, and a file with other contents is refused by its name."""
    assert fetch(hashed(wheels, "thing==1.0")) == ["thing-1.0"]

    said = refused(fetch, hashed(wheels, "thing==1.0", "0" * 64))

    assert "DO NOT MATCH THE HASHES" in said
    assert re.search(r"thing==1\.0 .*Expected sha256 0+\b", said, re.DOTALL)
    assert "requirements.txt (line" not in said


def test_hashes_for_all_or_for_none(fetch: Fetch, wheels: Path):
    """What others depend on must have one too."""
    said = refused(fetch, hashed(wheels, "needs-thing==1.0".replace("-", "_")))

    assert "every package must have one. These have none: thing==1.0." in said


def test_hashes_of_one_package_on_several_lines(fetch: Fetch, wheels: Path):
    """As other tools export them: the line that the image needs counts."""
    lines = ["thing==2.0; python_version >= '3.10'", "thing==1.0; python_version < '3.10'"]
    hashes = [hashed(wheels, f"thing=={version}").partition(" ")[2] for version in ("2.0", "1.0")]
    both = [f"{line} {each}" for line, each in zip(lines, hashes, strict=True)]

    assert fetch(*both) == fetch(*reversed(both)) == ["thing-2.0"]
    assert fetch(*both, base=debian_12("3.8.1")) == ["thing-1.0"]


def test_hashes_of_constraints(fetch: Fetch, wheels: Path):
    """They count as well."""
    assert fetch("thing", constraints=[hashed(wheels, "thing==1.0")]) == ["thing-1.0"]
    wrong = [hashed(wheels, "thing==1.0", "0" * 64)]
    assert "DO NOT MATCH THE HASHES" in refused(fetch, "thing", constraints=wrong)


def test_hashes_of_addresses(fetch: Fetch, index: PackageIndex, wheels: Path):
    """Behind the address or in it, with a name or without."""
    address = f"http://{index.address}/files/thing-1.0-py3-none-any.whl"
    right = digest(wheels / "thing-1.0-py3-none-any.whl")

    for line in (
        f"{address} --hash=sha256:{right}",
        f"thing @ {address} --hash=sha256:{right}",
        f"thing @ {address}#sha256={right}",
    ):
        assert fetch(line, hashed(wheels, "early==1.0")) == ["early-1.0", "thing-1.0"]
    assert "DO NOT MATCH" in refused(fetch, f"{address} --hash=sha256:{'0' * 64}")


def test_hashes_that_pip_demands(fetch: Fetch, wheels: Path, environ: dict[str, str]):
    environ["PIP_REQUIRE_HASHES"] = "1"

    assert fetch(hashed(wheels, "thing==1.0")) == ["thing-1.0"]
    assert "These have none: thing==2.0." in refused(fetch, "thing")
