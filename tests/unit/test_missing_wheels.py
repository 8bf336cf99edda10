"""What is shown of the words of uv and pip, and how pip's settings become uv's.

That both really say and take this, ``test_packages.py`` tries.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from scorehost.images.build import explain_step, failure
from scorehost.images.build_log import Step
from scorehost.images.missing_wheels import advice_for, errors_of, not_fetched, version_of
from scorehost.images.pip_settings import for_uv, merged
from scorehost.images.resolver import for_resolving, in_plain_lines, one_index, target_options
from scorehost.images.wheels import Target, expanded

NEW_UV = """\
error: No solution found when resolving dependencies
  cause: Because all of:
             a<1
             a>=2,<3
          have no usable wheels, we can conclude that your requirements are unsatisfiable.

hint: Wheels are required for `a` because building from source is disabled (i.e., with `--no-build`)

hint: You require CPython 3.11 (`cp311`), but we only found wheels for `a` (v1)
"""
OLD_UV = """\
  × No solution found when resolving dependencies:
  ╰─▶ Because a==1 has no usable wheels and you require
      a==1, we can conclude that your requirements are unsatisfiable.

      hint: Wheels are required for `a` because building from source is
      disabled for all packages (i.e., with `--no-build`)

      hint: An index URL could not be queried
      due to a lack of authentication (401)
"""


def test_what_uv_says():
    """Without its marks, and without hints about options that only uv has."""
    assert list(in_plain_lines(NEW_UV)) == [
        "No solution found when resolving dependencies",
        "Because all of:",
        "a<1",
        "a>=2,<3",
        "have no usable wheels, we can conclude that your requirements are unsatisfiable.",
        "hint: You require CPython 3.11 (`cp311`), but we only found wheels for `a` (v1)",
    ]
    assert list(in_plain_lines(OLD_UV)) == [
        "No solution found when resolving dependencies:",
        "Because a==1 has no usable wheels and you require",
        "a==1, we can conclude that your requirements are unsatisfiable.",
        "hint: An index URL could not be queried due to a lack of authentication (401)",
    ]


def test_what_pip_says():
    """Its complaints, with the lines that are set in under them; else the end of it."""
    said = [
        "Collecting idna==3.10",
        "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. …",
        "    idna==3.10 from file:///w/idna-3.10-py3-none-any.whl:",
        "        Expected sha256 00",
        "",
        "    of no interest",
    ]

    assert errors_of(said) == [said[1].removeprefix("ERROR: "), *said[2:4]]
    assert errors_of(["something", "else"]) == ["something", "else"]


def test_never_a_page_of_it():
    message = not_fetched([f"line {number} {'x' * 200}" for number in range(500)])

    assert len(message.splitlines()) < 30
    assert all(len(line) <= 210 for line in message.splitlines())


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("invalid peer certificate: UnknownIssuer", "--ca-bundle FILE"),
        ("SSLError: certificate verify failed: self-signed", "--ca-bundle FILE"),
        ("dns error: failed to lookup address", "https_proxy"),
        ("tcp connect error: Connection refused", "https_proxy"),
        ("operation timed out", "https_proxy"),
    ],
)
def test_advice(said: str, advice: str):
    assert advice in advice_for(said)


def test_no_advice():
    """About anything else, the words of the program have to do."""
    assert advice_for("THESE PACKAGES DO NOT MATCH THE HASHES") == ""


@pytest.mark.parametrize(
    ("pin", "version"),
    [("1.5", "1.5"), ("1.5.*", "1.5"), ("1+cpu", "1+cpu"), (None, "None"), ("long ago", "None")],
)
def test_the_version_of_a_pin(pin: str | None, version: str):
    assert str(version_of(pin)) == version


# -- options --------------------------------------------------------------------------------


def test_settings():
    """Of pip's sections, the later one wins; those of other commands are nobody's business."""
    listed = [
        "global.index-url='https://a/simple'",
        "global.timeout='5'",
        "download.index-url='https://b/simple'",
        "install.index-url='https://c/simple'",
        ":env:.timeout='60'",
        ":env:.no-index=''",
    ]

    assert merged(listed) == {"index-url": "https://b/simple", "timeout": "60"}


def test_settings_for_uv(tmp_path: Path):
    """Each under the name that uv has for it."""
    bundle = tmp_path / "company.pem"
    bundle.touch()
    settings = {
        "index-url": "https://a/simple",
        "extra-index-url": "https://b\nhttps://c",
        "find-links": "/wheels",
        "trusted-host": "a b:80",
        "constraint": "c.txt",
        "pre": "true",
        "no-index": "off",
        "proxy": "http://proxy:3128",
        "timeout": "60",
        "keyring-provider": "subprocess",
        "uploaded-prior-to": "2026-01-01",
        "disable-pip-version-check": "1",
    }

    found = for_uv(settings, {"REQUESTS_CA_BUNDLE": str(bundle)})

    assert " ".join(found.options) == (
        "--extra-index-url https://b --extra-index-url https://c --find-links /wheels "
        "--allow-insecure-host a --allow-insecure-host b:80 --constraint c.txt "
        "--index-url https://a/simple --exclude-newer 2026-01-01 --prerelease allow "
        "--keyring-provider subprocess"
    )
    assert found.variables == {
        "HTTP_PROXY": "http://proxy:3128",
        "HTTPS_PROXY": "http://proxy:3128",
        "ALL_PROXY": "http://proxy:3128",
        "UV_HTTP_TIMEOUT": "60",
        "SSL_CERT_FILE": str(bundle),
    }
    assert for_uv({"cert": "own.pem"}, {"CURL_CA_BUNDLE": str(bundle)}).variables == {
        "SSL_CERT_FILE": "own.pem"
    }
    assert for_uv({}, {"REQUESTS_CA_BUNDLE": str(tmp_path)}).variables == {}


def test_options_of_a_requirements_file():
    """uv's names for them; the last of several indexes counts, and a switch is given once."""
    options = list(
        for_resolving(["--pre", "--prefer-binary", "--require-hashes", "--trusted-host", "a"])
    )

    assert options == ["--prerelease", "allow", "--allow-insecure-host", "a"]
    assert one_index(
        ["--index-url", "a", "--no-index", "--prerelease", "allow"],
        ["--index-url", "b", "--no-index", *options],
    ) == ["--index-url", "b", "--no-index", "--prerelease", "allow", "--allow-insecure-host", "a"]


def test_variables_in_options():
    """As pip has them in requirements files: those that are set, in capitals."""
    options = ["--index-url", "https://${USER_1}:${TOKEN}@a/$TOKEN/${token}"]

    assert expanded(options, {"USER_1": "me", "TOKEN": "x"}) == [
        "--index-url",
        "https://me:x@a/$TOKEN/${token}",
    ]


@pytest.mark.parametrize(
    ("target", "options"),
    [
        (Target("3.11", "x86_64", 36, "3.11.2"), "3.11.2 --python-platform x86_64-manylinux_2_36"),
        (Target("3.8", "aarch64", 30), "3.8 --python-platform aarch64-manylinux_2_28"),
        (Target("3.8", "x86_64", 99), "3.8 --python-platform x86_64-manylinux_2_40"),
        (Target("3.8", "ppc64le", 36), "3.8"),
    ],
)
def test_what_uv_is_told_of_the_image(target: Target, options: str):
    """The next older C library that uv has a name for."""
    assert " ".join(target_options(target)) == f"--only-binary :all: --python-version {options}"


# -- in a build -----------------------------------------------------------------------------


def test_a_certificate_in_a_step(tmp_path: Path):
    """A step of the user's own that does not know the company's certificates."""
    step = Step("RUN python get.py", ["[SSL: CERTIFICATE_VERIFY_FAILED]"])

    (reason,) = explain_step(step)

    assert "update-ca-certificates" in reason
    assert f"\n{reason}\nLog: {tmp_path}" in str(failure(step, tmp_path / "build.log"))
