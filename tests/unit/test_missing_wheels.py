"""Why wheels cannot be had. What pip says was recorded from 21.2.4, 23.2.1 and 26.3.

That old pips really lead to the same message, ``live/test_old_pip.py`` tries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from scorehost.images.build import explain_step, failure
from scorehost.images.build_log import Step
from scorehost.images.missing_wheels import (
    explain_failure,
    nearest_version,
    not_reached,
    problems_of,
    versions_in,
    versions_told,
)
from scorehost.images.wheels import Target
from support.server import fill

BOOKWORM = Target("3.11", "x86_64", 36)
INSTALLER = 'RUN ["python", "/tmp/packages/overlay.py", "/overlay"]'

REFUSED_21 = """\
ERROR: Could not find a version that satisfies the requirement numpy<0.dev0 \
(from versions: 1.23.2, 1.26.4, 2.0.0rc1, 2.0.0)
ERROR: No matching distribution found for numpy<0.dev0"""
REFUSED_26 = f"""\
ERROR: Ignored the following yanked versions: 2.4.0
ERROR: Ignored the following versions that require a different python version: 1.21.2 \
Requires-Python >=3.7,<3.11
{REFUSED_21}"""

CONFLICT_23 = """\
ERROR: Cannot install numpy==1.15.4 because these package versions have conflicting dependencies.

The conflict is caused by:
    The user requested numpy==1.15.4
    The user requested (constraint) numpy==2.4.0

To fix this you could try to:
1. loosen the range of package versions you've specified
2. remove package versions to allow pip attempt to solve the dependency conflict

ERROR: ResolutionImpossible: for help visit …"""
CONFLICT_26 = CONFLICT_23.replace(
    "\nTo fix",
    "\nAdditionally, some packages in these conflicts have no matching distributions available "
    "for your environment:\n    numpy\n\nTo fix",
)

RETRYING = (
    "WARNING: Retrying (Retry(total={}, connect=None, read=None, redirect=None, status=None))"
)
NO_CONNECTION_23 = (
    f"{RETRYING} after connection broken by 'NewConnectionError("
    "'<pip._vendor.urllib3.connection.HTTPConnection object at 0x7f98f3c75b10>: Failed to "
    "establish a new connection: [Errno 111] Connection refused')': /simple/idna/"
)
NO_CONNECTION_26 = (
    f"{RETRYING} after connection broken by 'NewConnectionError(\"HTTPConnection("
    "host='127.0.0.1', port=9): Failed to establish a new connection: [Errno 111] Connection "
    "refused\")': /simple/idna/"
)
NO_NAME = (
    f"{RETRYING} after connection broken by 'NameResolutionError(\"HTTPSConnection("
    "host='nowhere.invalid', port=443): Failed to resolve 'nowhere.invalid' ([Errno -2] Name or "
    "service not known)\")': /simple/idna/"
)
NO_CERTIFICATE = (
    f"{RETRYING} after connection broken by 'SSLError(SSLCertVerificationError(1, '[SSL: "
    "CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate "
    "(_ssl.c:1006)'))': /simple/idna/"
)
NOTHING = """\
ERROR: Could not find a version that satisfies the requirement idna (from versions: none)
ERROR: No matching distribution found for idna"""


def given_up(warning: str) -> list[str]:
    """All pip says when it tries an index again and again."""
    return [*(warning.format(left) for left in range(4, -1, -1)), *NOTHING.splitlines()]


# -- which requirement ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pin", "versions", "nearest"),
    [
        ("1.15.4", ["2.0", "1.26.4", "1.23.2"], "1.23.2"),
        ("9.9", ["2.0", "1.26.4"], "2.0"),
        ("1.5", ["2.0rc1", "1.6", "1.4"], "1.6"),
        ("1.5", ["1.6b1"], "1.6b1"),
        ("1.5.*", ["1.6.1", "1.4"], "1.6.1"),
    ],
)
def test_the_nearest_version(pin: str, versions: list[str], nearest: str):
    """The next after it; the last before it when there is none; early ones only in need."""
    assert nearest_version(pin, versions) == nearest


def test_packages_that_cannot_be_had():
    """All of them at once, each with what could be had."""
    there: Mapping[str, list[str]] = {"numpy": ["2.0.1", "1.26.4"], "nowhere": [], "a": ["1"]}
    wanted = ["numpy==1.15.4 --hash=sha256:aa", "numpy==1.26.*", "a", "Nowhere", "nowhere[x]>1"]

    numpy, *nowhere = problems_of(wanted, BOOKWORM, lambda name: there[name.lower()])

    assert numpy == (
        "numpy==1.15.4 has no wheel for Python 3.11. The nearest version that has one is 1.26.4: "
        "numpy==1.26.4"
    )
    assert [line.partition(": no package of that name")[0] for line in nowhere] == [
        "Nowhere",
        "nowhere[x]>1",
    ]


@pytest.mark.parametrize(
    ("requirement", "there"),
    [
        ("a==1.0", ["1"]),
        ("a==1.0", ["1.0+cpu"]),
        ("a~=1.1", ["1.9", "2.0"]),
        ("a==2.0rc1", ["2.0rc1"]),
        ("a>1.5", ["1.0", "2.0rc1"]),
        ("a==1.0", ["long ago", "1.0"]),
        ("a==9; python_version < '3'", []),
        ("a @ https://e.org/a-1-py3-none-any.whl", []),
        ("https://e.org/a-1-py3-none-any.whl", []),
        ("a==1.0", None),
    ],
)
def test_what_is_no_problem(requirement: str, there: list[str] | None):
    """A version that fits, an address, a marker that leaves it out; and not knowing."""
    assert problems_of([requirement], BOOKWORM, lambda _: there) == []


def test_a_range_without_a_wheel():
    """There is no nearest one then, but a range."""
    (problem,) = problems_of(["numpy<1.20"], BOOKWORM, lambda _: ["1.26.4", "1.23.2", "1.9a1x"])

    assert problem.startswith("numpy<1.20 has no wheel for Python 3.11.")
    assert problem.endswith(" There are wheels for versions 1.23.2 to 1.26.4.")


def test_a_folder_as_an_index(tmp_path: Path):
    fill(tmp_path, {"Py_Thing-1.9-py3-none-any.whl": "", "py_thing-1.10-py3-none-any.whl": ""})

    assert sorted(versions_in(tmp_path, "py-thing")) == ["1.10", "1.9"]
    assert versions_in(tmp_path, "other") == []


@pytest.mark.parametrize("said", [REFUSED_21, REFUSED_26])
def test_the_versions_that_pip_lists(said: str):
    assert versions_told(said.splitlines()) == ["1.23.2", "1.26.4", "2.0.0rc1", "2.0.0"]


def test_no_versions():
    """None that fits, or none that is known: what pip could not ask, it does not know."""
    assert versions_told(NOTHING.splitlines()) == []
    assert versions_told(given_up(NO_NAME)) is None
    assert versions_told(["no such option: --platform"]) is None


# -- what is said ---------------------------------------------------------------------------


@pytest.mark.parametrize("said", [CONFLICT_23, CONFLICT_26], ids=["pip 23", "pip 26"])
def test_versions_that_do_not_fit(said: str):
    """The conflict in pip's words, and only it."""
    assert explain_failure([], said.splitlines(), "3.11") == (
        "The packages conflict: no set of versions meets all requirements.\n"
        "  The user requested numpy==1.15.4\n"
        "  scorehost needs numpy==2.4.0"
    )


@pytest.mark.parametrize("said", [CONFLICT_23, CONFLICT_26, REFUSED_26])
def test_a_missing_wheel_comes_first(said: str):
    """Whatever pip makes of it: what cannot be had is no conflict."""
    assert explain_failure(["numpy==1.15.4 …"], said.splitlines(), "3.11") == (
        "Some packages are not available for the image's Python 3.11.\n  numpy==1.15.4 …"
    )


@pytest.mark.parametrize(
    ("warning", "explained"),
    [
        (NO_CONNECTION_23, "[Errno 111] Connection refused"),
        (NO_CONNECTION_26, "[Errno 111] Connection refused"),
        (NO_NAME, "Failed to resolve 'nowhere.invalid'"),
        (NO_NAME, "https_proxy"),
        (NO_CERTIFICATE, "--ca-bundle FILE"),
    ],
)
def test_an_index_that_is_not_reached(warning: str, explained: str):
    """No package is missed before an index has answered."""
    message = explain_failure(["x: no package of that name"], given_up(warning), "3.11")

    assert message.startswith("The packages cannot be fetched: an index cannot be reached.\n")
    assert explained in message
    assert "no package" not in message
    assert "object at 0x" not in message


def test_an_index_that_answers_late():
    """pip tried again, and was told."""
    assert not_reached([NO_NAME.format(4), *REFUSED_21.splitlines()]) == ""


@pytest.mark.parametrize(
    ("said", "explained"),
    [
        (["ERROR: THESE PACKAGES DO NOT MATCH THE HASHES"], "DO NOT MATCH THE HASHES"),
        (["/usr/bin/python3: No module named pip"], "ensurepip"),
        (["something else"], "something else"),
        ([f"ERROR: {'x' * 9999}"], "x" * 250),
    ],
)
def test_why_packages_cannot_be_fetched(said: Sequence[str], explained: str):
    """pip's own words, and what to do where we know it; never a page of them."""
    message = explain_failure([], said, "3.11")

    assert explained in message
    assert len(message) < 500


def test_what_an_error_means_stands_below_it():
    """The lines that are set in under it say which requirement it is."""
    said = [
        "Collecting idna==3.10",
        "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. …",
        "    idna==3.10 from file:///w/idna-3.10-py3-none-any.whl:",
        "        Expected sha256 00",
        "             Got        94",
        "",
        "    of no interest",
    ]

    message = explain_failure([], said, "3.11")

    assert message.splitlines()[1:] == [
        "  THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. …",
        *(f"  {line}" for line in said[2:5]),
    ]


def test_needless_words():
    """A list of hundreds of versions that were not even looked at says nothing."""
    message = explain_failure([], REFUSED_26.splitlines(), "3.11")

    assert "Ignored" not in message
    assert "numpy<0.dev0" in message


# -- in a build -----------------------------------------------------------------------------


def test_a_pin_that_fails_in_the_build():
    """pip's list of versions there becomes the nearest one."""
    said = [
        "ERROR: Could not find a version that satisfies the requirement numpy==1.15.4 "
        "(from versions: 1.21.2, 1.26.4)"
    ]

    (explained,) = explain_step(Step(INSTALLER, said))

    assert "1.21.2: numpy==1.21.2" in explained


def test_what_this_machine_knows_of_a_build(tmp_path: Path):
    """Asked about each requirement, it knows more than the pip that failed."""
    step = Step(INSTALLER, CONFLICT_26.splitlines())

    message = str(failure(step, tmp_path / "build.log", ["numpy==1.15.4 has no wheel"]))

    assert f"\nnumpy==1.15.4 has no wheel\nLog: {tmp_path}" in message


@pytest.mark.parametrize(
    ("what", "said", "explained"),
    [
        (INSTALLER, given_up(NO_CERTIFICATE), "--ca-bundle FILE"),
        (INSTALLER, given_up(NO_NAME), "nowhere.invalid"),
        ("RUN python get.py", ["[SSL: CERTIFICATE_VERIFY_FAILED]"], "update-ca-certificates"),
    ],
)
def test_no_connection_in_the_build(what: str, said: list[str], explained: str):
    (reason,) = explain_step(Step(what, said))

    assert explained in reason
