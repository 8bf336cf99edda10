"""Images whose scripts have another Python than the server: each with a model of its time."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.containers import (
    NAMES,
    Container,
    StartContainer,
    docker,
    inspect,
    python_image,
    scorehost_build,
)
from support.pythons import OF_THAT_AGE, environment
from support.server import fill

VERSIONS = ("3.8", "3.9", "3.10", "3.12", "3.13")

TRAIN = """\
import json, pickle, sys
from sklearn.datasets import load_diabetes
from sklearn.ensemble import GradientBoostingRegressor
rows, target = load_diabetes(return_X_y=True)
model = GradientBoostingRegressor(n_estimators=20, random_state=0).fit(rows, target)
with open(sys.argv[1], "wb") as file:
    pickle.dump(model, file)
print(json.dumps({"rows": rows[:3].tolist(), "answer": model.predict(rows[:3]).tolist()}))
"""

SCORE = """\
import json, os, pickle, sys
import numpy
import sklearn
from azureml.core.model import Model

def init():
    global model
    with open(Model.get_model_path("boosted"), "rb") as file:
        model = pickle.load(file)

def run(data):
    rows = numpy.array(json.loads(data)["rows"])
    return {
        "python": "%d.%d" % sys.version_info[:2],
        "sklearn": sklearn.__version__,
        "answer": model.predict(rows).tolist(),
    }
"""


@dataclass(frozen=True)
class Trained:
    """A model in the folder of an app, and what it answers."""

    folder: Path
    rows: list[list[float]]
    answer: list[float]


def trained(version: str, folder: Path) -> Trained:
    """Train a model under a version of Python, with scikit-learn of its time, and pickle it."""
    python = environment(version, "model") / "bin" / "python"
    if not python.exists():
        pytest.skip(f"there is no Python {version} here to train a model with")
    model = folder / "azureml-models" / "boosted" / "1" / "model.pkl"
    fill(folder, {str(model.relative_to(folder)): "", "score.py": SCORE})
    done = subprocess.run(
        [python, "-c", TRAIN, model], capture_output=True, text=True, check=True, timeout=120
    )
    told = json.loads(done.stdout)
    fill(folder, {"request.json": json.dumps({"rows": told["rows"]})})
    return Trained(folder, told["rows"], told["answer"])


@pytest.mark.parametrize("version", VERSIONS)
def test_a_model_of_its_time(inference: str, tmp_path: Path, version: str, start: StartContainer):
    """``python=`` of a conda file is all it takes; server and script have packages of their own."""
    if reason := python_image(version):
        pytest.skip(reason)
    app = trained(version, tmp_path / "app")
    pins = OF_THAT_AGE[version]
    lines = [f"- python={version}.1", "- pip", "- pip:", *(f"  - {pin}" for pin in pins)]
    fill(app.folder, {"myenv.yml": "\n".join(["name: project", "dependencies:", *lines])})
    tag = f"{NAMES}/python-{version}:1"

    said = scorehost_build(app.folder, tag, "--sample", "request.json").out

    assert f"-python{version}\n" in said
    container = start(tag)
    told = container.score({"rows": app.rows})
    assert told["python"] == version
    assert told["sklearn"] == dict(pin.split("==") for pin in pins)["scikit-learn"]
    assert told["answer"] == pytest.approx(app.answer)
    freeze = container.exec("pip", "freeze").out.split()
    assert set(pins) <= set(freeze)
    for folder in ("/opt/env", "/opt/scorehost"):
        check = container.exec("python", "-m", "pip", "--python", folder, "check").out
        assert check == "No broken requirements found.\n"
    python_is_named(container, version)


def python_is_named(container: Container, version: str) -> None:
    """In the list of packages, as one that is not Debian's."""
    listed = json.loads(container.exec("cat", "/opt/scorehost/sbom.cdx.json").out)["components"]
    (purl,) = (each["purl"] for each in listed if each["name"] == "python")
    assert purl.startswith(f"pkg:generic/python@{version}.")


def test_what_a_conda_file_cannot_have(inference: str, tmp_path: Path):
    """Python 3.6 becomes the oldest that runs scripts, and a note says what may not follow."""
    if reason := python_image("3.8"):
        pytest.skip(reason)
    fill(
        tmp_path,
        {
            "score.py": "import sys\ndef init(): pass\ndef run(data): return sys.version\n",
            "myenv.yml": "dependencies: [python=3.6.2]\n",
        },
    )

    said = scorehost_build(tmp_path, f"{NAMES}/python-old:1").out

    assert "myenv.yml asks for Python 3.6.2; the image has 3.8, the oldest" in said


def test_an_app_as_the_base(inference: str, tmp_path: Path, start: StartContainer):
    """Any image that serves can have another Python; its packages are for the old one, and go.

    Its user stays.
    """
    if reason := python_image("3.12"):
        pytest.skip(reason)
    script = "import sys\ndef init(): pass\ndef run(data): return sys.version_info[:2]\n"
    first_app, base, tag = (f"{NAMES}/python-{name}:1" for name in ("first", "base", "on-base"))
    fill(tmp_path / "base", {"score.py": script, "requirements.txt": "idna==3.10"})
    fill(tmp_path / "app", {"score.py": script})
    scorehost_build(tmp_path / "base", first_app, "--no-check")
    docker("build", "--tag", base, "-", text=f"FROM {first_app}\nUSER 20002:0\n")

    arguments = ("--base-image", base, "--python", "3.12")
    first = scorehost_build(tmp_path / "app", tag, *arguments)
    again = scorehost_build(tmp_path / "app", tag, *arguments)

    assert "are for Python 3.11, and not in this image, which has Python 3.12: idna" in first.out
    assert "making " in first.out
    assert "making " not in again.out
    assert "Nothing has changed" in again.out
    container = start(tag)
    assert container.score(None) == [3, 12]
    assert {uid for uid, _, _ in container.top()} == {"20002"}
    assert "idna" not in container.exec("pip", "list").out
    labels = inspect("image", tag)["Config"]["Labels"]
    docker("rmi", "--force", labels["org.opencontainers.image.base.name"])
