"""What ``scorehost build`` cannot build: one clear message each, no image, no status 0.

Each case is a folder and arguments; the message is compared where it matters: what happened, and
what to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from scorehost.images.reference import is_name
from support import image_names
from support.containers import DEBIAN, NAMES, docker, exists, scorehost_build
from support.server import fill

SCRIPT = "def init(): pass\ndef run(data): return data\n"
TAG = f"{NAMES}/broken:1"


@dataclass(frozen=True)
class Broken:
    """One way to be wrong.

    Parameters
    ----------
    files : of the folder, besides a good script.
    says : parts of the message.
    arguments : besides folder and name.
    status : of the command: 2 what was given, 1 the engine or a step, 3 the script.
    script : instead of the good one; None for none.
    folder : what is given as the folder.
    """

    says: Sequence[str]
    files: Mapping[str, str] = field(default_factory=dict)
    arguments: Sequence[str] = ()
    status: int = 2
    script: str | None = SCRIPT
    folder: str = "."


CASES = {
    "no script": Broken(["has no score.py.", "has train.py"], {"train.py": ""}, script=None),
    "a script that does not load": Broken(
        ["scorehost check failed", "IndentationError", "score.py"],
        status=3,
        script="def init():\npass\n",
    ),
    "a package that the environment file lacks": Broken(
        [
            "No module named 'numpy'",
            "Add it to the environment file that the image was built from, and build again:",
        ],
        status=3,
        script="import numpy\ndef init(): pass\ndef run(data): pass\n",
    ),
    "a script whose model is missing": Broken(
        ["scorehost check failed", "azureml-models", "nowhere"],
        status=3,
        script=(
            "from azureml.core.model import Model\n"
            "def init(): Model.get_model_path('nowhere')\ndef run(data): pass\n"
        ),
    ),
    "YAML that is none": Broken(
        ["myenv.yml is not YAML", "at line 3, column 1", "never with tabs"],
        {"myenv.yml": "name: x\ndependencies:\n\t- numpy\n"},
    ),
    "an environment without dependencies": Broken(
        ["has no list 'dependencies:'", "Is 'dependecies' a misspelling of it?"],
        {"myenv.yml": "name: x\ndependecies: [numpy]\n"},
    ),
    "a package that only conda has": Broken(
        ["lists what only conda can install", "ffmpeg: not a Python package", "Dockerfile.steps"],
        {"myenv.yml": "dependencies: [numpy, ffmpeg]\n"},
        ["--no-conda"],
    ),
    "a base image without Python": Broken(
        [f"Python cannot be run in {DEBIAN}. Use inference-cpu, inference-gpu, or an image"],
        arguments=["--base-image", DEBIAN],
        status=1,
    ),
    "an upstream image that is none": Broken(
        ["--upstream python3.14=-v: '-v' is not a valid image name."],
        arguments=["--upstream", "python3.14=-v"],
    ),
    "a channel that is not there": Broken(
        ["conda's packages cannot be fetched", "--channel NAME=URL names a mirror of one"],
        {"myenv.yml": "channels: [ours]\ndependencies: [numpy, ffmpeg]\n"},
        ["--channel", "ours=http://127.0.0.1:9/ours"],
    ),
    "a package that nobody has": Broken(
        ["no package of that name has a wheel for Python 3.11", "scorehost-test-no-such-package"],
        {"myenv.yml": "dependencies: [scorehost-test-no-such-package=1.0]\n"},
    ),
    "versions of long ago": Broken(
        [
            "numpy==1.15.4 has no wheel for Python 3.11. The nearest version that has one is 1.2",
            "pandas==0.23.4 has no wheel for Python 3.11",
            "scikit-learn==0.19.1 has no wheel for Python 3.11",
        ],
        {"myenv.yml": "dependencies: [numpy==1.15.4, scikit-learn==0.19.1, pandas==0.23.4]\n"},
    ),
    "a version that never was": Broken(
        ["idna==99.0 has no wheel for Python 3.11. The nearest version that has one is 3."],
        {"requirements.txt": "idna==99.0\n"},
    ),
    "a Python that no image has": Broken(
        ["myenv.yml asks for Python 3.6.2", "3.8 to 3.14", "--strict does not accept the nearest"],
        {"myenv.yml": "dependencies: [python=3.6.2, numpy]\n"},
        arguments=["--strict"],
    ),
    "Python 2": Broken(
        ["myenv.yml asks for Python 2.7", "Port the script to Python 3."],
        {"myenv.yml": "dependencies: [python=2.7, numpy]\n"},
    ),
    "packages that do not fit together": Broken(
        ["The packages conflict", "idna==3.7", "idna==3.10"],
        {"requirements.txt": "idna==3.7\nidna==3.10\n"},
    ),
    "a requirement that is none": Broken(
        ["requirements.txt, line 2", "'numpy=1.26' is not a valid requirement", "name==version"],
        {"requirements.txt": "idna\nnumpy=1.26\n"},
    ),
    "source code for a package": Broken(
        ["line 1", "is source code", "--wheelhouse"],
        {"requirements.txt": "git+https://git.example/x.git\n"},
    ),
    "a model that is not there": Broken(
        ["--model m=model.pkl: model.pkl does not exist"],
        arguments=["--model", "m=model.pkl"],
    ),
    "a step that fails": Broken(
        ["this step failed.", "RUN echo one && false", "  one", "Log: "],
        {"Dockerfile.steps": "RUN echo one && false\n"},
        status=1,
    ),
    "an apt package that there is not": Broken(
        ["this step failed.", "Unable to locate package scorehost-no-such-package", "Log: "],
        {"Dockerfile.steps": "RUN apt-get install -y scorehost-no-such-package\n"},
        status=1,
    ),
    "steps that are a Dockerfile": Broken(
        ["has a FROM", "--base-image"], {"Dockerfile.steps": "FROM debian\nRUN true\n"}
    ),
    "a secret": Broken(
        [
            "look like secrets",
            ".env: environment variables",
            "id_rsa: a private key",
            "--allow-secret .env",
        ],
        {".env": "PASSWORD=x", "keys/id_rsa": "x"},
    ),
    "a script that an ignore list names": Broken(
        ["The entry script score.py would be missing from the image"], {".dockerignore": "*.py\n"}
    ),
    "a base image that is not here": Broken(
        ["The base image localhost:9/nobody/nothing:1 cannot be pulled.", "reach the registry"],
        arguments=["--base-image", "localhost:9/nobody/nothing:1"],
        status=1,
    ),
    "a base image without scorehost": Broken(
        ["scorehost/foundation:0.1.0 has no scorehost in /opt/scorehost"],
        arguments=["--base-image", "scorehost/foundation:0.1.0"],
        status=1,
    ),
    "an engine that does not answer": Broken(
        ["The container engine is not running", "systemctl start docker"],
        arguments=["--engine", "docker --host unix:///nowhere.sock"],
        status=1,
    ),
    "a folder that is a file": Broken(["is a file", "--entry-script score.py"], folder="score.py"),
}


@pytest.fixture(scope="module")
def nothing_yet(inference: str) -> str:
    """A name that no image has."""
    docker("rmi", "--force", TAG, check=False)
    return TAG


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_broken(nothing_yet: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: Broken):
    """The message says it; there is no image, half-made or whole, and none of our own lines."""
    files = dict(case.files) | ({} if case.script is None else {"score.py": case.script})
    fill(tmp_path, files)
    monkeypatch.chdir(tmp_path)

    failed = scorehost_build(Path(case.folder), nothing_yet, *case.arguments, check=False)

    missing = [part for part in case.says if part not in failed.err]
    assert missing == [], failed.err
    assert failed.status == case.status
    assert "Traceback" not in failed.err
    assert "scorehost/images/" not in failed.err
    assert not exists(nothing_yet)
    assert docker("ps", "--all", "--quiet", f"--filter=ancestor={nothing_yet}").out == ""


@pytest.mark.parametrize("name", [*image_names.NAMES, *image_names.NO_NAMES])
def test_names_are_the_engines(name: str):
    """What we take for a name, it takes, and nothing else."""
    taken = docker("tag", DEBIAN, name, check=False).status == 0
    if taken:
        docker("rmi", name)

    assert is_name(name) is taken


def test_an_older_image_stays(echo: str, tmp_path: Path):
    """A build that fails leaves the image that has the name."""
    fill(tmp_path, {"score.py": "raise SystemExit"})
    docker("tag", echo, f"{NAMES}/stays:1")
    before = docker("image", "inspect", "--format", "{{.Id}}", f"{NAMES}/stays:1").out

    failed = scorehost_build(tmp_path, f"{NAMES}/stays:1", check=False)

    assert failed.status == 3
    assert docker("image", "inspect", "--format", "{{.Id}}", f"{NAMES}/stays:1").out == before
