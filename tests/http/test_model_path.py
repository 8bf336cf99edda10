"""Model.get_model_path() and AZUREML_MODEL_DIR, as a script sees them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.server import LiveServer, StartServer, clean_environment, fill

MODELS = {
    "azureml-models/file/1/model.pkl": "1",
    "azureml-models/file/2/model.pkl": "2",
    "azureml-models/file/10/model.pkl": "10",
    "azureml-models/file/latest/model.pkl": "not a version",
    "azureml-models/folder/1/saved/weights": "w",
    "azureml-models/crowded/1/a": "a",
    "azureml-models/crowded/1/b": "b",
    "beside-the-root": "",
}


@pytest.fixture
def server(live_server: StartServer) -> LiveServer:
    return live_server("model_paths.py", files=MODELS)


def _path(server: LiveServer, **arguments: Any) -> str:
    answer = server.score(arguments)
    assert set(answer) == {"path"}, answer
    path: str = answer["path"]
    assert Path(path).is_absolute()
    return str(Path(path).relative_to(server.folder))


def _error(server: LiveServer, **arguments: Any) -> tuple[str, str]:
    answer = server.score(arguments)
    return answer["error"], answer["text"]


def test_the_highest_number_is_the_newest_version(server: LiveServer) -> None:
    """10 is newer than 2, and a folder that is no number is not a version."""
    assert _path(server, model_name="file") == "azureml-models/file/10/model.pkl"


def test_a_version_may_be_chosen(server: LiveServer) -> None:
    assert _path(server, model_name="file", version=2) == "azureml-models/file/2/model.pkl"


def test_a_folder_is_an_answer_too(server: LiveServer) -> None:
    assert _path(server, model_name="folder") == "azureml-models/folder/1/saved"


def test_a_name_in_the_working_directory_is_accepted(server: LiveServer) -> None:
    assert _path(server, model_name="beside-the-root") == "beside-the-root"


@pytest.mark.parametrize("version", ["latest", "2", 2.5])
def test_a_version_must_be_an_integer(server: LiveServer, version: Any) -> None:
    kind, text = _error(server, model_name="file", version=version)

    assert kind.startswith("ModelNotFound")
    assert f"{version!r}" in text
    assert "integer" in text


def test_a_version_folder_holds_exactly_one_entry(server: LiveServer) -> None:
    kind, text = _error(server, model_name="crowded")

    assert kind.startswith("ModelNotFound")
    assert "crowded" in text


def test_a_failure_lists_places_tree_and_nearest_names(server: LiveServer) -> None:
    kind, text = _error(server, model_name="fil")

    assert kind.startswith("ModelNotFound")
    assert str(server.folder / "azureml-models" / "fil") in text
    assert str(server.folder / "fil") in text
    assert "model.pkl" in text
    assert "file" in text.replace("fil ", "")


def test_a_missing_version_names_those_that_are_there(server: LiveServer) -> None:
    kind, text = _error(server, model_name="file", version=3)

    assert kind.startswith("ModelNotFound")
    assert "10" in text


def test_a_model_that_init_does_not_find_is_a_load_error(own_server: StartServer) -> None:
    source = "\n".join(
        [
            "from azureml.core.model import Model",
            "def init():",
            "    Model.get_model_path('my-best-model')",
            "def run(data):",
            "    return data",
        ]
    )
    server = own_server(wait="", files={"main.py": source, **MODELS})

    assert server.wait_exit() == 3
    assert "model path" in server.log
    assert "my-best-model" in server.log
    assert "azureml-models" in server.log


def test_one_model_is_the_model_dir(own_server: StartServer) -> None:
    files = {"azureml-models/only/1/x": "", "azureml-models/only/2/x": ""}
    server = own_server("environment.py", files=files)

    seen = server.score()["environment"]["AZUREML_MODEL_DIR"]

    assert Path(seen) == server.folder / "azureml-models" / "only" / "2"


def test_several_models_share_the_model_dir(own_server: StartServer) -> None:
    server = own_server("environment.py", files=MODELS)

    seen = server.score()["environment"]["AZUREML_MODEL_DIR"]

    assert Path(seen) == server.folder / "azureml-models"


def test_a_model_dir_that_is_set_stays(own_server: StartServer, tmp_path: Path) -> None:
    variable = own_server(
        "environment.py", files=MODELS, settings={"AZUREML_MODEL_DIR": str(tmp_path)}
    )
    flag = own_server("environment.py", files=MODELS, arguments=("--model-dir", str(tmp_path)))

    for server in (variable, flag):
        assert server.score()["environment"]["AZUREML_MODEL_DIR"] == str(tmp_path)


def test_without_models_there_is_no_model_dir(own_server: StartServer) -> None:
    assert "AZUREML_MODEL_DIR" not in own_server("environment.py").score()["environment"]


def test_each_place_is_logged_at_debug_level(own_server: StartServer) -> None:
    settings = {"AZUREML_LOG_LEVEL": "DEBUG"}
    server = own_server("model_paths.py", files=MODELS, settings=settings)

    server.score({"model_name": "beside-the-root"})

    server.wait_for_line(str(server.folder / "azureml-models" / "beside-the-root"))


# -- in a plain shell ---------------------------------------------------------------------


def _python(folder: Path, source: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", source],
        cwd=folder,
        env=clean_environment({"AML_APP_ROOT": str(folder)} | settings),
        capture_output=True,
        text=True,
        timeout=60,
    )


GUIDE = """
from azureml.core.model import Model
import logging
logging.basicConfig(level=logging.DEBUG)
print(Model.get_model_path(model_name='file'))
"""


def test_the_guides_snippet_works_in_a_plain_shell(tmp_path: Path) -> None:
    fill(tmp_path, MODELS)

    done = _python(tmp_path, GUIDE)

    assert done.stdout.strip() == str(tmp_path / "azureml-models" / "file" / "10" / "model.pkl")
    assert str(tmp_path / "azureml-models" / "file") in done.stderr


def test_a_real_azureml_core_wins(tmp_path: Path) -> None:
    fill(
        tmp_path,
        {
            "real/azureml/__init__.py": "",
            "real/azureml/core/__init__.py": "",
            "real/azureml/core/model.py": "class Model:\n    REAL = True\n",
        },
    )

    source = "from azureml.core.model import Model; print(Model.REAL)"
    done = _python(tmp_path, source, PYTHONPATH=str(tmp_path / "real"))

    assert done.stdout.strip() == "True", done.stderr


def test_a_real_azureml_core_wins_in_the_server_too(own_server: StartServer) -> None:
    files = {
        "azureml/__init__.py": "",
        "azureml/core/__init__.py": "",
        "azureml/core/model.py": (
            "class Model:\n"
            "    @staticmethod\n"
            "    def get_model_path(model_name):\n"
            "        return 'the real one'\n"
        ),
    }
    server = own_server("model_paths.py", files=files)

    assert server.score({"model_name": "m"}) == {"path": "the real one"}


def test_a_real_namespace_of_another_distribution_does_not_hide_the_stand_ins(
    tmp_path: Path,
) -> None:
    """Other azureml packages are installed beside ours; theirs and ours both import."""
    fill(tmp_path, {"real/azureml/telemetry/__init__.py": "REAL = True\n", **MODELS})

    source = (
        "import azureml.telemetry; from azureml.core.model import Model;"
        "print(azureml.telemetry.REAL, Model.get_model_path('folder'))"
    )
    done = _python(tmp_path, source, PYTHONPATH=str(tmp_path / "real"))

    assert done.stdout.startswith("True "), done.stderr


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("azureml.core.model", "Model"),
        ("azureml.core", "Model"),
        ("azureml.contrib.services.aml_request", "AMLRequest"),
        ("azureml.contrib.services.aml_request", "rawhttp"),
        ("azureml.contrib.services.aml_response", "AMLResponse"),
        ("azureml_inference_server_http.api.aml_request", "AMLRequest"),
        ("azureml_inference_server_http.api.aml_request", "rawhttp"),
        ("azureml_inference_server_http.api.aml_response", "AMLResponse"),
    ],
)
def test_every_legacy_name_imports_in_a_plain_shell(tmp_path: Path, module: str, name: str) -> None:
    done = _python(tmp_path, f"from {module} import {name}; print({name}.__name__)")

    assert done.stdout.strip() == name, done.stderr
