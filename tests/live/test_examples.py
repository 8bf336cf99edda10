"""Each example: trained, checked, served by the real server, and right."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from openapi_spec_validator import (
    OpenAPIV2SpecValidator,
    OpenAPIV30SpecValidator,
    OpenAPIV31SpecValidator,
)
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine

from support.client import Address, Response
from support.documents import ROOT
from support.server import SERVE, LiveServer, clean_environment, free_port

EXAMPLES = sorted(page.parent.name for page in (ROOT / "examples").glob("*/train.py"))
TYPES = {".json": "application/json", ".png": "image/png"}
VALIDATORS = {
    "2": OpenAPIV2SpecValidator,
    "3": OpenAPIV30SpecValidator,
    "3.1": OpenAPIV31SpecValidator,
}


class Example:
    """One example in a folder of its own, trained and served."""

    def __init__(self, name: str, folder: Path) -> None:
        self.folder = folder / name
        without_models = shutil.ignore_patterns("azureml-models", "__pycache__")
        shutil.copytree(ROOT / "examples" / name, self.folder, ignore=without_models)
        (self.request,) = self.folder.glob("request.*")
        self.run("train.py")
        port = free_port()
        command = [*SERVE, "score.py", "--port", str(port)]
        self.server = LiveServer(command, self.folder, {}, Address(port=port)).wait_ready()

    def run(self, *arguments: str) -> str:
        """Run Python in the folder; what it printed."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=clean_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def post(self, body: bytes | None = None, kind: str | None = None) -> Response:
        """Send the example's own request, or another body."""
        headers = {"Content-Type": kind or TYPES[self.request.suffix]}
        return self.server.post(body=body or self.request.read_bytes(), headers=headers)

    def model(self, path: str) -> Any:
        """A model it trained."""
        return joblib.load(self.folder / "azureml-models" / path / "model.joblib")


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Example]]:
    """Train and serve an example, once for all tests."""
    running: dict[str, Example] = {}

    def start(name: str) -> Example:
        if name not in running:
            running[name] = Example(name, tmp_path_factory.mktemp("example"))
        return running[name]

    yield start
    for each in running.values():
        each.server.check_stopped()


Start = Callable[[str], Example]


@pytest.mark.parametrize("name", EXAMPLES)
def test_check(example: Start, name: str):
    """`scorehost check` passes with the example's own request."""
    started = example(name)

    started.run("-m", "scorehost", "check", "score.py", "--sample", started.request.name)


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("version", VALIDATORS)
def test_swagger(example: Start, name: str, version: str):
    """Each description of it is valid."""
    document = example(name).server.get(f"/swagger.json?version={version}").json()

    assert list(VALIDATORS[version](document).iter_errors()) == []


def test_diabetes(example: Start):
    """The patient's prediction is the model's."""
    diabetes = example("diabetes")
    rows = load_diabetes(scaled=False).data[:50].tolist()

    answer = diabetes.post(json.dumps({"data": rows}).encode()).json()

    expected = diabetes.model("diabetes/1").predict(rows)
    assert answer == {"progression": pytest.approx(expected.tolist(), abs=0.051)}


def test_digits(example: Start):
    """The PNG's label is right, and what is no image is the caller's fault."""
    digits = example("digits")

    assert digits.post().json() == {"label": 3}
    refused = digits.post(b"GIF89a but not really")
    assert refused.status == 400
    assert "Not an image" in refused.message
    refused = digits.server.request("PUT", "/score", body=b"")
    assert refused.status == 405
    assert refused.header("Allow") == "POST"


def test_breast_cancer(example: Start):
    """Each tumour's label is the model's; a value that does not fit is the caller's fault."""
    tumours = example("breast-cancer")
    table = load_breast_cancer(as_frame=True).data.head(50)
    model = tumours.model("breast-cancer/1")
    columns = list(model.feature_names_in_)

    body = {"Inputs": table[columns].to_dict("records")}
    answers = tumours.post(json.dumps(body).encode()).json()["Results"]

    labels = np.where(model.predict(table[columns]) == 0, "malignant", "benign").tolist()
    assert [answer["label"] for answer in answers] == labels
    body["Inputs"][0][columns[0]] = "large"
    refused = tumours.post(json.dumps(body).encode())
    assert refused.status == 400
    assert "Inputs" in refused.message


def test_several_models(example: Start):
    """Both models answer, each with its highest version."""
    wines = example("several-models")
    rows = load_wine().data[::20].tolist()

    answer = wines.post(json.dumps({"data": rows}).encode()).json()

    for name, version in (("wine-linear", 1), ("wine-trees", 2)):
        expected = wines.model(f"{name}/{version}").predict_proba(rows)
        assert np.allclose(answer[name], expected, atol=0.001)
    assert not np.allclose(answer["wine-trees"], wines.model("wine-trees/1").predict_proba(rows))


def test_streaming(example: Start):
    """One chunk for each patient, the middle of its forest between low and high."""
    patients = example("streaming")

    chunks = patients.post().chunks

    lines = [json.loads(chunk) for chunk in chunks]
    assert [line["patient"] for line in lines] == [1, 2, 3]
    assert all(line["low"] < line["progression"] < line["high"] for line in lines)
