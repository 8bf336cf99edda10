"""What stands beside the plan: wheels, the engine's words, build logs, the list of packages."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path

import pytest

from scorehost import cli
from scorehost.errors import EngineError, UsageError
from scorehost.images import overlay, sbom
from scorehost.images.base_facts import look_into
from scorehost.images.build import failure
from scorehost.images.build_log import BuildLog, Step, name_for
from scorehost.images.display import Display, make_display
from scorehost.images.engine import Engine, Image, find_engine, lines_of
from scorehost.images.engine_problems import explain
from scorehost.images.wheels import Target, name_and_version, that_apply
from support.server import fill

BOOKWORM = Target("3.11", "x86_64", 36)


# -- wheels ---------------------------------------------------------------------------------


def test_platforms():
    """From the image's own C library down to the oldest, with the old names."""
    tags = list(BOOKWORM.platform_tags())

    assert tags[0] == "manylinux_2_36_x86_64"
    assert "manylinux_2_17_x86_64" in tags
    assert "manylinux2014_x86_64" in tags
    assert "manylinux_2_37_x86_64" not in tags
    assert "manylinux2014_x86_64" not in list(Target("3.11", "x86_64", 12).platform_tags())


def test_a_lock_file_for_one_image():
    """Entries for other Pythons and machines are dropped, markers with them."""
    lock = (
        "# made by hand\n"
        "a==1 ; python_full_version < '3.12' \\\n    --hash=sha256:aa \\\n    --hash=sha256:ab\n"
        "a==2 ; python_full_version >= '3.12' \\\n    --hash=sha256:ba\n"
        "b==1 ; sys_platform == 'win32' \\\n    --hash=sha256:ca\n"
        "c[x]==3 \\\n    --hash=sha256:da  # via a\n"
    )

    assert that_apply(lock, BOOKWORM) == (
        "a==1 --hash=sha256:aa --hash=sha256:ab\nc[x]==3 --hash=sha256:da\n"
    )
    assert "a==2" in that_apply(lock, Target("3.12", "aarch64", 39))


def test_names_of_wheels():
    wheel = Path("scikit_learn-1.5.0-cp311-cp311-manylinux_2_17_x86_64.whl")

    assert name_and_version(wheel) == ("scikit-learn", "1.5.0")


# -- installing, and only that --------------------------------------------------------------


def test_only_what_changed(tmp_path: Path):
    """New and different files are set aside; what is gone is listed, whole folders as one."""
    fill(
        tmp_path, {"same.py": "1", "old/a.py": "1", "old/b.py": "1", "half/a.py": "1", "half/b": ""}
    )
    before = overlay.snapshot(tmp_path)
    fill(tmp_path, {"new/c.py": "2"})
    (tmp_path / "same.py").write_text("22")
    for name in ("old/a.py", "old/b.py", "half/b"):
        (tmp_path / name).unlink()
    (tmp_path / "old").rmdir()
    after = overlay.snapshot(tmp_path)

    assert overlay.changed(before, after) == [tmp_path / "new/c.py", tmp_path / "same.py"]
    assert overlay.gone(before, after) == [tmp_path / "half/b", tmp_path / "old"]


def test_installing_replaces(tmp_path: Path):
    """A newer wheel of a package: its files are set aside, the old version's are listed."""
    place = tmp_path / "venv"
    venv.create(place, with_pip=False, symlinks=True)
    (site,) = place.glob("lib/python*/site-packages")
    pip = Path(metadata.distribution("pip").locate_file("pip"))
    (site / "pip").symlink_to(pip)
    for version in ("1", "2"):
        make_wheel(tmp_path / "wheels", version)
    tool = [str(place / "bin" / "python"), str(Path(overlay.__file__))]
    options = ["--quiet", "--no-index", "--find-links", str(tmp_path / "wheels")]

    for version, folder in (("1", "first"), ("2", "second")):
        command = [*tool, str(tmp_path / folder), *options, f"thing=={version}"]
        subprocess.run(command, check=True, timeout=60)
        # As the next stage does.
        shutil.copytree(tmp_path / folder / site.relative_to("/"), site, dirs_exist_ok=True)

    second = tmp_path / "second"
    inside = second / site.relative_to("/")
    assert (inside / "thing.py").read_text() == "version = 2\n"
    assert list((inside / "__pycache__").glob("thing.*.pyc"))
    assert {file.name for file in inside.iterdir()} == {
        "thing.py",
        "__pycache__",
        "thing-2.dist-info",
    }
    assert (second / overlay.REPLACED).read_text() == f"{site / 'thing-1.dist-info'}\n"


def make_wheel(folder: Path, version: str) -> None:
    """The smallest wheel there can be."""
    import zipfile

    folder.mkdir(exist_ok=True)
    info = f"thing-{version}.dist-info"
    files = {
        "thing.py": f"version = {version}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: thing\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"thing-{version}-py3-none-any.whl", "w") as wheel:
        for name, text in {**files, f"{info}/RECORD": record}.items():
            wheel.writestr(name, text)


# -- the engine's words ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "advice"),
    [
        (
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. "
            "Is the docker daemon running?",
            "Start it with 'sudo systemctl start docker'",
        ),
        (
            "Got permission denied while trying to connect to the Docker daemon socket at "
            "unix:///var/run/docker.sock",
            "sudo usermod -aG docker $USER",
        ),
        (
            "permission denied while trying to connect to the docker API at unix:///var/run/x",
            "sudo usermod -aG docker $USER",
        ),
        ("write /x: no space left on device", "'docker system prune' removes"),
        (
            "docker: Error response from daemon: driver failed programming external connectivity "
            "on endpoint x: Bind for 0.0.0.0:8000 failed: port is already allocated.",
            "The port 8000 is already in use",
        ),
        (
            "listen tcp4 0.0.0.0:8000: bind: address already in use.",
            "The port 8000 is already in use",
        ),
        (
            'Conflict. The container name "/debug" is already in use by container "abc".',
            "'docker rm -f debug'",
        ),
        ("pull access denied for x, repository does not exist", "check the tag"),
        ("manifest for debian:nope not found: manifest unknown", "check the tag"),
        ("Error: No such image: x:1", "check the tag"),
        (
            'Get "https://registry.example/v2/": dial tcp: lookup registry.example: no such host',
            "cannot reach the registry",
        ),
        ("toomanyrequests: You have reached your pull rate limit", "with 'docker login'"),
        ("unauthorized: authentication required", "'docker login REGISTRY'"),
        ("invalid reference format: repository name must be lowercase", "not a valid image name"),
        ("something new\nSee 'docker run --help'.", "docker failed: something new"),
    ],
)  # fmt: skip
def test_what_engines_refuse(output: str, advice: str):
    """Each with what to do, and with its own last words."""
    message = explain(output, "docker")

    assert advice in message
    assert output.splitlines()[0][-30:] in message
    assert "{" not in message


def fake(folder: Path, body: str) -> str:
    """A command that answers as an engine would."""
    command = folder / "engine"
    command.write_text(f"#!/bin/sh\n{body}\n")
    command.chmod(0o755)
    return str(command)


def test_an_engine_that_refuses(tmp_path: Path):
    engine = find_engine(fake(tmp_path, "echo 'no space left on device' >&2; exit 1"), {})

    with pytest.raises(EngineError, match="The engine's disk is full"):
        engine.check()
    with pytest.raises(EngineError, match="The engine's disk is full"):
        engine.image("x")


def test_an_image_that_is_not_here(tmp_path: Path):
    engine = find_engine(fake(tmp_path, "echo 'Error: No such image: x' >&2; exit 1"), {})

    assert engine.image("x") is None


FACTS = {
    "serves": True,
    "python": "3.11",
    "release": "3.11.2",
    "machine": "x86_64",
    "glibc": 36,
    "cuda": "",
    "packages": {"pip": "26.0"},
}


def test_what_a_base_image_said_is_remembered(tmp_path: Path):
    """It is asked once; an image never changes."""
    asked = fake(tmp_path, f"echo >> {tmp_path}/asked; echo '{json.dumps(FACTS)}'")
    image = Image("sha256:abc", "")

    first = look_into(find_engine(asked, {}), image, "base:1", tmp_path)
    again = look_into(find_engine(asked, {}), image, "base:1", tmp_path)

    assert first == again
    assert first.python == "3.11"
    assert (tmp_path / "asked").read_text() == "\n"
    assert [file.name for file in (tmp_path / "bases").iterdir()] == ["abc.json"]


@pytest.mark.parametrize("kept", ['{"image": "sha256:abc", "pyth', "{}", "[]", ""])
def test_facts_that_are_cut_off(tmp_path: Path, kept: str):
    """What a full disk or a killed build left is as if nothing was: the image is asked again."""
    fill(tmp_path, {"bases/abc.json": kept})
    engine = find_engine(fake(tmp_path, f"echo '{json.dumps(FACTS)}'"), {})

    facts = look_into(engine, Image("sha256:abc", ""), "base:1", tmp_path)

    assert facts.release == "3.11.2"
    assert json.loads((tmp_path / "bases" / "abc.json").read_text())["release"] == "3.11.2"


def test_an_engine_that_is_not_installed(tmp_path: Path):
    with pytest.raises(EngineError, match=r"^The command nerdctl is not installed\. "):
        find_engine("nerdctl", {"PATH": str(tmp_path)})


def test_podman_is_found(tmp_path: Path):
    """Where there is no docker; its builds keep the health check."""
    (tmp_path / "podman").symlink_to(fake(tmp_path, 'echo "$@"; test "$1" != version'))

    engine = find_engine(None, {"PATH": str(tmp_path)})
    said: list[str] = []
    engine.build(tmp_path, dockerfile=tmp_path / "D", tag="a:1", on_line=said.append)

    assert engine.is_podman
    assert said == [f"build --tag a:1 --file {tmp_path}/D --format docker {tmp_path}"]


def test_proxies_reach_the_build(tmp_path: Path):
    """By name, so that no password stands in the list of processes."""
    environ = {"https_proxy": "http://user:secret@proxy:1", "NO_PROXY": "localhost"}
    engine = Engine([fake(tmp_path, 'echo "$@"')], environ)
    said: list[str] = []

    status = engine.build(tmp_path, dockerfile=tmp_path / "D", tag="a:1", on_line=said.append)

    assert status == 0
    assert "--build-arg https_proxy --build-arg NO_PROXY" in said[0]
    assert "secret" not in said[0]


def test_lines():
    stream = io.BytesIO("one\rtwo  \r\nthree\n\xff".encode("latin-1"))

    assert list(lines_of(stream)) == ["one", "two", "three", "�"]


# -- build logs -----------------------------------------------------------------------------

CLASSIC = """\
Sending build context to Docker daemon  3.584kB
Step 1/3 : FROM base:1
 ---> 0123456789ab
Step 2/3 : RUN true
 ---> Using cache
 ---> 1123456789ab
Step 3/3 : RUN apt-get install nothing
 ---> Running in 2123456789ab
Reading package lists...
E: Unable to locate package nothing
Removing intermediate container 2123456789ab
The command '/bin/sh -c apt-get install nothing' returned a non-zero code: 100
"""
BUILDKIT = """\
#1 [internal] load build definition from Dockerfile
#1 DONE 0.0s
#4 [packages 1/2] FROM base:1
#4 DONE 0.0s
#5 [packages 2/2] RUN python install
#6 [stage-1 2/3] RUN apt-get install nothing
#5 0.500 installing
#6 0.512 Reading package lists...
#6 0.600 E: Unable to locate package nothing
#5 0.700 still installing
#6 ERROR: process "/bin/sh -c apt-get install nothing" did not complete successfully: exit code: 100
#5 CANCELED
------
 > [stage-1 2/3] RUN apt-get install nothing:
"""
PODMAN = """\
STEP 1/2: FROM base:1
STEP 2/2: RUN apt-get install nothing
E: Unable to locate package nothing
Error: building at STEP "RUN apt-get install nothing": while running runtime: exit status 100
"""


@pytest.mark.parametrize("text", [CLASSIC, BUILDKIT, PODMAN], ids=["classic", "buildkit", "podman"])
def test_a_failing_step(tmp_path: Path, text: str):
    """The step that failed is found, with what it said; the file has everything."""
    steps: list[str] = []
    with BuildLog(tmp_path / "logs" / "a.log", lambda *step: steps.append(step[2])) as log:
        for line in text.splitlines():
            log.line(line)

    assert log.step.what == "RUN apt-get install nothing"
    assert "E: Unable to locate package nothing" in log.step.said
    assert not any("---> Running" in line or "still installing" in line for line in log.step.said)
    assert "FROM base:1" in steps
    assert log.path.read_text() == text


def test_colours(tmp_path: Path):
    """They are the classic builder's; neither log nor message has them."""
    with BuildLog(tmp_path / "a.log", lambda *_: None) as log:
        log.line("Step 1/1 : RUN false")
        log.line("\x1b[91mE: no\x1b[0m")
        log.line("\x1b[0mRemoving intermediate container 85d43dae315b")

    assert log.step.said == ["E: no"]
    assert "\x1b" not in log.path.read_text()


def test_a_step_that_says_much(tmp_path: Path):
    """The end of it is kept."""
    with BuildLog(tmp_path / "a.log", lambda *_: None) as log:
        log.line("Step 1/1 : RUN yes")
        for number in range(2000):
            log.line(f"line {number}")

    assert len(log.step.said) < 1000
    assert log.step.said[-1] == "line 1999"


def test_what_a_failure_says(tmp_path: Path):
    """The step, its last lines, what to do, and where the rest is."""
    step = Step("RUN apt-get install big", [f"line {n}" for n in range(30)])
    step.said.append("write error: No space left on device")

    message = str(failure(step, tmp_path / "build.log"))

    assert message.startswith(
        "The image was not built: this step failed.\n  RUN apt-get install big"
    )
    assert "  line 29\n" in message
    assert "  line 10\n" not in message
    assert "The engine's disk is full" in message
    assert message.endswith(f"Log: {tmp_path}/build.log")


def test_a_check_that_fails(tmp_path: Path):
    """The whole report, however long: that is what the check is for."""
    words = 'RUN ["env", "PYTHONDONTWRITEBYTECODE=1", "scorehost", "check"]'
    step = Step(words, [f"report {n}" for n in range(60)])

    error = failure(step, tmp_path / "build.log")

    assert error.step == "check"
    assert "  report 0\n" in str(error)


@pytest.mark.parametrize(
    ("tag", "name"), [("a:1", "a-1"), ("host:5000/team/a:1", "host-5000-team-a-1"), ("::", "image")]
)
def test_names_of_logs(tag: str, name: str):
    assert name_for(tag) == name


# -- what is seen ---------------------------------------------------------------------------


def test_plain_lines():
    """In a pipe or a log file: one line for each thing, none that moves."""
    stream = io.StringIO()
    display = make_display(stream)

    display.say("Building")
    display.note("careful")
    display.doing("step 1/2")
    display.close()

    assert type(display) is Display
    assert stream.getvalue() == "Building\n  note: careful\n  step 1/2\n"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_on_a_terminal(monkeypatch: pytest.MonkeyPatch):
    """What is done stays above the line that moves; marks in it mean nothing."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    stream = Terminal()
    display = make_display(stream)

    display.doing("step 1/2: RUN [bold]x[/bold]")
    display.say("[red]done[/red]")
    display.doing("step 2/2: " + "y" * 300)
    display.close()
    display.close()

    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())
    assert "RUN [bold]x[/bold]" in shown
    assert "[red]done[/red]" in shown
    assert "y" * 100 not in shown


# -- the list of packages -------------------------------------------------------------------

STATUS = """\
Package: libc6
Status: install ok installed
Architecture: amd64
Maintainer: Some One <some@one.example>
Version: 2.36-9+deb12u14
Description: GNU C Library
 with more lines

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1.0

Package: libstdc++6
Status: install ok installed
Architecture: amd64
Version: 1:12.2.0-14
"""
RELEASE = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n'


def test_debian_packages(tmp_path: Path):
    """Those that are installed, as package URLs that other tools understand."""
    fill(tmp_path, {"var/lib/dpkg/status": STATUS, "etc/os-release": RELEASE})

    system, libc, libstdc = sbom.document(tmp_path, [])["components"]

    assert system["bom-ref"] == "os:debian@12"
    assert libc["purl"] == "pkg:deb/debian/libc6@2.36-9%2Bdeb12u14?arch=amd64&distro=debian-12"
    assert libc["supplier"] == {"name": "Some One <some@one.example>"}
    assert libstdc["purl"].startswith("pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14?")


def test_python_packages(tmp_path: Path):
    """Each that Python would import, once, with its licence."""
    fill(
        tmp_path,
        {
            "first/Py_Thing-2.dist-info/METADATA": (
                "Metadata-Version: 2.1\nName: Py_Thing\nVersion: 2\nLicense-Expression: MIT\n"
            ),
            "second/py.thing-1.dist-info/METADATA": (
                "Metadata-Version: 2.1\nName: py.thing\nVersion: 1\n"
            ),
            "second/other-1.dist-info/METADATA": (
                "Metadata-Version: 2.1\nName: other\nVersion: 1\n"
                "Classifier: License :: OSI Approved :: BSD License\n"
            ),
            "second/left-1.dist-info/RECORD": "",
        },
    )
    paths = [str(tmp_path / "first"), str(tmp_path / "second")]

    components = list(sbom.python_components(metadata.distributions(path=paths)))

    assert {each["purl"] for each in components} == {"pkg:pypi/py-thing@2", "pkg:pypi/other@1"}
    licences = {each["name"]: each["licenses"] for each in components}
    assert licences == {
        "py-thing": [{"expression": "MIT"}],
        "other": [{"license": {"name": "BSD License"}}],
    }


def test_the_document_is_valid(tmp_path: Path):
    """Against CycloneDX's own schema, and the same bytes each time."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    fill(tmp_path, {"var/lib/dpkg/status": STATUS, "etc/os-release": RELEASE})

    text = sbom.as_text(sbom.document(tmp_path, [metadata.distributions()]))

    assert JsonStrictValidator(SchemaVersion.V1_5).validate_str(text) is None
    assert text == sbom.as_text(sbom.document(tmp_path, [metadata.distributions()]))


def test_the_command(tmp_path: Path):
    """Here, without an engine: every distribution of this Python is listed."""
    file = tmp_path / "sbom.json"
    command = [sys.executable, "-m", "scorehost", "sbom", "--output", str(file)]
    subprocess.run(command, check=True, timeout=60)

    listed = {each["name"] for each in json.loads(file.read_text())["components"]}
    installed = {sbom.canonical(each.metadata["Name"]) for each in metadata.distributions()}
    assert installed <= listed


@pytest.mark.parametrize("image", [[], ["app:1", "--engine", "/bin/true"]])
def test_a_file_that_cannot_be_written(tmp_path: Path, image: list[str]):
    """It is told as what was typed wrongly, in one line."""
    file = tmp_path / "nowhere" / "sbom.json"

    with pytest.raises(UsageError, match=r"Cannot write --output .*sbom\.json: No such file"):
        cli.run(["sbom", *image, "--output", str(file)], {"PATH": ""})
