"""``scorehost build``: what becomes of a folder, and what does not have to be done twice."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.containers import (
    NAMES,
    ROOT,
    BuildImage,
    Container,
    StartContainer,
    docker,
    exists,
    inspect,
    layers,
    scorehost_build,
)
from support.package_index import make_wheel
from support.server import fill

SCRIPT = """\
import importlib.util
def init(): pass
def run(data):
    names = [name for name in ("debugpy", "absent") if importlib.util.find_spec(name)]
    return {"numpy": numpy_version(), "extras": names}
def numpy_version():
    try:
        import numpy
    except ImportError:
        return None
    return numpy.__version__
"""
ECHO = "def init(): pass\ndef run(data): return data\n"


@pytest.fixture
def tag(request: pytest.FixtureRequest) -> str:
    """A name for one test's image."""
    return f"{NAMES}/{re.sub(r'[^a-z0-9]+', '-', request.node.name.lower()).strip('-')}:1"


def logs(cache: Path) -> list[Path]:
    return list((cache / "scorehost" / "builds").glob("*.log"))


# -- the example, from end to end -----------------------------------------------------------


def test_an_example(diabetes: str, start: StartContainer):
    """Built with one command, started with another, it answers."""
    container = start(diabetes)
    request = json.loads((ROOT / "examples" / "diabetes" / "request.json").read_text())

    assert container.score(request) == {"progression": [pytest.approx(210.4, abs=5)]}
    assert container.stop() == 0


def test_twice_is_nothing(inference: str, tmp_path: Path, tag: str):
    """Unchanged: the same image, and it says so. A new script: only the layer of the app."""
    fill(tmp_path / "app", {"score.py": ECHO, "requirements.txt": "idna"})
    scorehost_build(tmp_path / "app", tag)
    before, id_ = layers(tag), inspect("image", tag)["Id"]

    again = scorehost_build(tmp_path / "app", tag)

    assert f"Nothing has changed: {tag} is still" in again.out
    assert inspect("image", tag)["Id"] == id_

    fill(tmp_path / "app", {"score.py": ECHO + "# new\n"})
    scorehost_build(tmp_path / "app", tag)

    assert len(layers(tag)) == len(before)
    different = [
        i for i, pair in enumerate(zip(before, layers(tag), strict=True)) if len({*pair}) > 1
    ]
    changed = docker("history", "--no-trunc", "--format", "{{.Size}}\t{{.CreatedBy}}", tag).out
    app = [line for line in changed.splitlines() if "/var/azureml-app" in line and "COPY" in line]
    assert len(app) == 1
    assert min(different) >= len(before) - 2  # the app, and what the check left: nothing


def test_where_it_is_built_makes_no_difference(inference: str, tmp_path: Path, tag: str):
    """Another folder, other modes, other times: the same layers."""
    fill(tmp_path / "here", {"score.py": ECHO, "lib/a.py": ""})
    fill(tmp_path / "there", {"lib/a.py": "", "score.py": ECHO})
    (tmp_path / "there" / "score.py").chmod(0o600)
    os.utime(tmp_path / "there" / "lib" / "a.py", (1, 1))

    scorehost_build(tmp_path / "here", tag)
    first = layers(tag)
    scorehost_build(tmp_path / "there", tag)

    assert layers(tag) == first


# -- packages -------------------------------------------------------------------------------


def test_other_versions_than_the_base(
    build_image: BuildImage, tmp_path: Path, tag: str, start: StartContainer
):
    """A pin wins over what the base image has; nothing of the replaced version is left."""
    base = build_image({"score.py": ECHO, "requirements.txt": "numpy==2.0.2"}, name="has-numpy")
    fill(tmp_path, {"score.py": SCRIPT, "myenv.yml": "dependencies: ['numpy=1.26.4']"})

    scorehost_build(tmp_path, tag, "--base-image", base)

    container = start(tag)
    assert container.score(None)["numpy"] == "1.26.4"
    infos = container.exec("sh", "-c", "ls -d /opt/env/lib/python*/site-packages/numpy-*").out
    assert infos.split() == ["/opt/env/lib/python3.11/site-packages/numpy-1.26.4.dist-info"]
    assert container.exec("python", "-m", "pip", "check").status == 0
    listed = json.loads(container.exec("cat", "/opt/scorehost/sbom.cdx.json").out)["components"]
    assert [each["version"] for each in listed if each["name"] == "numpy"] == ["1.26.4"]


def test_folders_of_ones_own_are_the_scripts(
    inference: str, tmp_path: Path, tag: str, start: StartContainer
):
    """PYTHONPATH leads the script to them, and does not mislead the server."""
    script = "import gunicorn\ndef init(): pass\ndef run(data): return gunicorn.GREETING\n"
    mine = dict.fromkeys(("gunicorn.py", "httptools.py", "yaml.py"), "GREETING = 'mine'\n")
    fill(tmp_path, {"score.py": script})
    fill(tmp_path / "libs", mine)

    scorehost_build(tmp_path, tag, "--env", "PYTHONPATH=/var/azureml-app/libs")

    assert start(tag).score(None) == "mine"


def test_a_file_that_became_a_folder(inference: str, tmp_path: Path, tag: str):
    """And the other way round, from one version of a package to the next."""
    for version, files in (
        ("1.0", ["stuff/data", "stuff/res/a.txt"]),
        ("2.0", ["stuff/data/inner.py", "stuff/res"]),
    ):
        make_wheel(tmp_path / "wheels", "thing", version, files=files)
    script = "def init(): pass\ndef run(data): return data\n"
    old, new = tmp_path / "old", tmp_path / "new"
    fill(old, {"score.py": script, "requirements.txt": "thing==1.0"})
    fill(new, {"score.py": f"import stuff.data.inner\n{script}", "requirements.txt": "thing==2.0"})
    wheels = ("--wheelhouse", str(tmp_path / "wheels"))

    scorehost_build(old, f"{NAMES}/old-thing:1", *wheels)
    scorehost_build(new, tag, "--base-image", f"{NAMES}/old-thing:1", *wheels)

    place = "/opt/env/lib/python3.11/site-packages/stuff"
    assert docker("run", "--rm", tag, "ls", f"{place}/res", f"{place}/data/inner.py").status == 0


def test_a_lock(inference: str, tmp_path: Path, tag: str):
    """Written without an image; then the image has exactly its packages, and is the same again."""
    fill(tmp_path, {"score.py": ECHO, "requirements.txt": "idna<3.10\n"})
    command = [sys.executable, "-m", "scorehost", "build", str(tmp_path)]
    locked = subprocess.run([*command, "--lock"], capture_output=True, text=True, timeout=300)
    assert locked.returncode == 0, locked.stdout + locked.stderr
    assert "scorehost.lock: 1 package\n" in locked.stdout
    version = re.search(r"^idna==(\S+)", (tmp_path / "scorehost.lock").read_text(), re.MULTILINE)
    assert version is not None

    scorehost_build(tmp_path, tag, "--locked")
    again = scorehost_build(tmp_path, tag, "--locked")
    fill(tmp_path, {"requirements.txt": "idna\n"})
    stale = scorehost_build(tmp_path, tag, "--locked", check=False)

    shown = docker("run", "--rm", tag, "sh", "-c", "pip list; ls").out
    assert re.search(rf"^idna +{re.escape(version[1])}$", shown, re.MULTILINE)
    assert "scorehost.lock" not in shown
    assert "Nothing has changed" in again.out
    assert stale.status == 2
    assert "scorehost.lock is stale" in stale.err


def test_a_wheelhouse(inference: str, tmp_path: Path, tag: str):
    """Wheels from a folder, and no index is asked: not even one that is there."""
    wheels = tmp_path / "wheels"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(wheels), "idna"]
    subprocess.run(command, check=True, timeout=120)
    fill(tmp_path / "app", {"score.py": ECHO, "requirements.txt": "idna"})

    scorehost_build(
        tmp_path / "app", tag, "--wheelhouse", str(wheels), PIP_INDEX_URL="http://127.0.0.1:9/"
    )

    assert "idna" in docker("run", "--rm", tag, "pip", "list").out


def test_debug(inference: str, tmp_path: Path, tag: str, start: StartContainer):
    """The debugger is in the image, both switches are on, and a published port leads to it."""
    fill(tmp_path, {"score.py": SCRIPT})

    said = scorehost_build(tmp_path, tag, "--debug").out

    assert "never deploy it" in said
    environment = inspect("image", tag)["Config"]["Env"]
    switches = {"SCOREHOST_DEBUG=1", "SCOREHOST_RELOAD=1", "SCOREHOST_DEBUG_HOST=0.0.0.0"}
    assert switches <= set(environment)
    assert start(tag).score(None)["extras"] == ["debugpy"]


# -- what else goes in ----------------------------------------------------------------------


def test_models(inference: str, tmp_path: Path, tag: str, start: StartContainer):
    """``--model`` lays them out as the contract has it; get_model_path finds them."""
    script = (
        "from azureml.core.model import Model\n"
        "def init(): pass\n"
        "def run(data): return [Model.get_model_path(name) for name in ('one', 'net', 'own')]\n"
    )
    fill(tmp_path, {"one.pkl": "1", "saved/a.bin": "2", "app/score.py": script})
    fill(tmp_path / "app", {"azureml-models/own/4/own.pkl": "3"})
    models = ["--model", f"one:7={tmp_path}/one.pkl", "--model", f"net={tmp_path}/saved"]

    scorehost_build(tmp_path / "app", tag, *models)

    root = "/var/azureml-app/azureml-models"
    found = start(tag).score(None)
    assert found == [f"{root}/one/7/one.pkl", f"{root}/net/1/saved", f"{root}/own/4/own.pkl"]


def test_steps(inference: str, tmp_path: Path, tag: str):
    """They run as root, as they are, before the app is there; its own COPY finds the folder's
    files, and the container is an ordinary user's nevertheless.
    """
    steps = (
        "RUN id -un > /who && ls -A /var/azureml-app > /app\n"
        "COPY settings.ini /etc/settings.ini\n"
        "ENV FROM_STEPS=yes\nUSER nobody\n"
    )
    fill(tmp_path, {"score.py": ECHO, "settings.ini": "a=1", "my.steps": steps})

    scorehost_build(tmp_path, tag, "--docker-file", "my.steps")

    shown = docker("run", "--rm", tag, "sh", "-c", "cat /who /app /etc/settings.ini; id -u").out
    assert shown == "root\na=110001\n"
    assert "FROM_STEPS=yes" in inspect("image", tag)["Config"]["Env"]
    kept = docker("run", "--rm", tag, "ls").out.split()
    assert kept == ["score.py", "settings.ini"]


def test_variables_and_ignored_files(
    inference: str, tmp_path: Path, tag: str, start: StartContainer
):
    """Settings are baked in, with every character; what an ignore list names stays out."""
    files = {
        "app.py": "import os\ndef init(): pass\n"
        "def run(data): return [os.environ['ODD'], sorted(os.listdir('.'))]\n",
        ".dockerignore": "*.csv\n.dockerignore",
        "big.csv": "1",
        "keep.txt": "2",
    }
    fill(tmp_path, files)
    odd = """a "b" $HOME \\ 'c' #d"""

    scorehost_build(tmp_path, tag, "--entry-script", "app.py", "--env", f"ODD={odd}")

    assert start(tag).score(None) == [odd, ["app.py", "keep.txt"]]


def test_an_image_for_a_base(
    build_image: BuildImage, tmp_path: Path, tag: str, start: StartContainer
):
    """An app can begin with any image that has scorehost in it, and has the packages of that."""
    base = build_image({"score.py": ECHO, "requirements.txt": "numpy==2.0.2"}, name="has-numpy")
    fill(tmp_path, {"score.py": SCRIPT})

    scorehost_build(tmp_path, tag, "--base-image", base)

    assert start(tag).score(None)["numpy"] == "2.0.2"


def test_hashes(inference: str, tmp_path: Path, tag: str):
    """They are checked: other contents are refused, by name, before anything is built."""
    wheels = tmp_path / "wheels"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(wheels)]
    subprocess.run([*command, "idna==3.10"], check=True, timeout=120)
    (wheel,) = wheels.glob("idna-*.whl")
    line = "idna==3.10 --hash=sha256:" + hashlib.sha256(wheel.read_bytes()).hexdigest()
    fill(tmp_path / "app", {"score.py": ECHO, "requirements.txt": line})
    fill(tmp_path / "other", {"score.py": ECHO, "requirements.txt": line[:-64] + "0" * 64})

    scorehost_build(tmp_path / "app", tag)
    refused = scorehost_build(tmp_path / "other", tag, check=False)

    assert re.search(r"^idna +3\.10$", docker("run", "--rm", tag, "pip", "list").out, re.MULTILINE)
    assert refused.status == 2
    assert "DO NOT MATCH THE HASHES" in refused.err
    assert re.search(r"idna==3\.10 .*Expected sha256 0+\b", refused.err, re.DOTALL)


# -- what is seen ---------------------------------------------------------------------------


def test_plain_lines_and_the_log(inference: str, tmp_path: Path, tag: str):
    """A line for each step; the place of the whole log is said, and it has what pip said."""
    fill(tmp_path / "app", {"score.py": ECHO, "requirements.txt": "idna==3.10"})

    done = scorehost_build(
        tmp_path / "app",
        tag,
        "--no-cache",  # an engine that has the layer already says nothing more about it
        XDG_CACHE_HOME=str(tmp_path / "cache"),
    )

    (log,) = logs(tmp_path / "cache")
    assert done.out.endswith(f"Log: {log}\n")
    assert f"Building {tag} on " in done.out
    assert re.search(r"^  step \d+/\d+: COPY --from=packages", done.out, re.MULTILINE)
    assert f"Run it: docker run --rm -p 5001:5001 {tag}" in done.out
    assert "idna-3.10-py3-none-any.whl" in log.read_text()
    assert "Successfully installed idna-3.10" in log.read_text()


def test_a_script_that_fails_its_check(inference: str, tmp_path: Path, tag: str):
    """The build fails with the whole report, status 3, and there is no image."""
    fill(tmp_path, {"score.py": "import nowhere\ndef init(): pass\ndef run(data): pass\n"})

    failed = scorehost_build(tmp_path, tag, check=False)

    assert failed.status == 3
    assert "scorehost check failed in it" in failed.err
    assert "No module named 'nowhere'" in failed.err
    assert "/var/azureml-app/score.py" in failed.err
    assert "Traceback" not in failed.err
    assert not exists(tag)

    scorehost_build(tmp_path, tag, "--no-check")
    assert exists(tag)


def test_a_sample_that_fails(inference: str, tmp_path: Path, tag: str):
    """``--sample`` is scored in the build."""
    script = "def init(): pass\ndef run(data): return 1 / len(data)\n"
    fill(tmp_path, {"score.py": script, "good.json": "1", "empty.json": ""})

    scorehost_build(tmp_path, tag, "--sample", "good.json")
    failed = scorehost_build(tmp_path, tag, "--sample", "empty.json", check=False)

    assert failed.status == 3
    assert "ZeroDivisionError" in failed.err


def test_list_of_packages_as_a_command(diabetes: str):
    """``scorehost sbom IMAGE`` asks the image itself."""
    command = [sys.executable, "-m", "scorehost", "sbom", diabetes]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)

    names = {each["name"] for each in json.loads(done.stdout)["components"]}
    assert {"scikit-learn", "scorehost", "libc6", "numpy"} <= names


def test_names_of_several_images(build_image: BuildImage, start: StartContainer):
    """The same folder under two names is one image."""
    first = build_image({"score.py": ECHO}, name="twin-a")
    second = build_image({"score.py": ECHO}, name="twin-b")

    same = [len({*pair}) == 1 for pair in zip(layers(first), layers(second), strict=True)]
    assert all(same)


def test_the_image_is_told_apart_by_nothing_that_changes(running: Container):
    """Its labels name the app and its base; no date, no machine."""
    labels = inspect("container", running.id)["Config"]["Labels"]
    assert labels["org.opencontainers.image.base.name"].startswith("scorehost/inference-cpu:")
    assert not [name for name in labels if name.endswith("created")]
