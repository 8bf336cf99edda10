"""How a model's name becomes a path, and what is said when it does not."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scorehost.errors import ModelNotFound
from scorehost.model_path import (
    Resolution,
    explain,
    get_model_path,
    list_models,
    resolve_model_dir,
    tree,
)


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """An app root without models; the current directory of the tests is beside it."""
    (tmp_path / "app").mkdir()
    (tmp_path / "cwd").mkdir()
    return tmp_path / "app"


def put(app: Path, *files: str) -> None:
    """Make files below the models' folder; a name that ends in / is an empty folder."""
    for name in files:
        path = app / "azureml-models" / name
        if name.endswith("/"):
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"model")


def find(app: Path, name: str, version: int | None = None) -> str:
    return get_model_path(name, version, app_root=app, cwd=app.parent / "cwd")


def failure(app: Path, name: object, version: object = None) -> Resolution:
    found = explain(name, version, app, app.parent / "cwd")  # type: ignore[arg-type]
    assert found.path is None
    return found


class TestFound:
    def test_the_one_file_of_the_version(self, app: Path) -> None:
        put(app, "wine/1/model.pkl")

        assert find(app, "wine", 1) == str(app / "azureml-models/wine/1/model.pkl")

    def test_a_folder_is_an_answer_too(self, app: Path) -> None:
        put(app, "wine/1/saved/a", "wine/1/saved/b")

        assert find(app, "wine") == str(app / "azureml-models/wine/1/saved")

    def test_no_version_means_the_highest_integer(self, app: Path) -> None:
        put(app, "wine/2/m", "wine/10/m", "wine/9/m")

        assert find(app, "wine") == str(app / "azureml-models/wine/10/m")

    @pytest.mark.parametrize(
        "other", ["latest/", "v11/m", "011/m", "1_1/m", "+11/m", "１１/m", "11"]
    )
    def test_what_is_not_a_folder_named_by_an_integer_is_skipped(
        self, app: Path, other: str
    ) -> None:
        put(app, "wine/2/m", f"wine/{other}")

        assert find(app, "wine") == str(app / "azureml-models/wine/2/m")

    def test_an_integer_of_another_type_is_a_version(self, app: Path) -> None:
        numpy = pytest.importorskip("numpy")
        put(app, "wine/1/m", "wine/2/m")

        assert find(app, "wine", numpy.int64(1)) == str(app / "azureml-models/wine/1/m")

    def test_a_missing_name_is_looked_for_in_the_current_directory(self, app: Path) -> None:
        put(app, "other/1/m")
        (app.parent / "cwd/wine").write_text("model")

        assert find(app, "wine") == str(app.parent / "cwd/wine")

    def test_a_missing_version_is_looked_for_there_too(self, app: Path) -> None:
        put(app, "wine/1/m")
        (app.parent / "cwd/wine").mkdir()

        assert find(app, "wine", 2) == str(app.parent / "cwd/wine")

    def test_the_stored_model_comes_first(self, app: Path) -> None:
        put(app, "wine/1/m")
        (app.parent / "cwd/wine").write_text("model")

        assert find(app, "wine") == str(app / "azureml-models/wine/1/m")

    def test_answers_are_absolute(self, app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        put(app, "wine/1/m")
        monkeypatch.chdir(app.parent)
        (app.parent / "beside").touch()

        stored = get_model_path("wine", app_root=Path("app"), cwd=Path())
        beside = get_model_path("beside", app_root=Path("app"), cwd=Path())

        assert stored == str(app / "azureml-models/wine/1/m")
        assert beside == str(app.parent / "beside")

    def test_links_are_followed(self, app: Path) -> None:
        put(app, "real/1/m")
        models = app / "azureml-models"
        (models / "alias").symlink_to(models / "real")

        assert find(app, "alias") == str(models / "alias/1/m")

    def test_a_name_is_a_path_as_in_azureml_core(self, app: Path, tmp_path: Path) -> None:
        """The script's author names it, and could open any file just as well."""
        put(app, "wine/1/m")
        put(tmp_path / "elsewhere", "wine/1/m")
        elsewhere = tmp_path / "elsewhere/azureml-models/wine"

        assert find(app, str(elsewhere)) == str(elsewhere / "1/m")
        assert Path(find(app, "../azureml-models/wine")).samefile(
            app / "azureml-models" / "wine/1/m"
        )

    def test_it_tells_what_it_tried(self, app: Path) -> None:
        put(app, "wine/2/m", "wine/latest/m")

        found = explain("wine", None, app, app.parent / "cwd")

        assert found.path == app / "azureml-models/wine/2/m"
        assert found.text().splitlines() == [
            f"Model 'wine' is at {found.path}",
            "Tried:",
            f"  {app}/azureml-models/wine: version 2 (skipped: latest)",
            f"  {app}/azureml-models/wine/2: holds m",
        ]

    def test_each_place_is_logged_at_debug(
        self, app: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (app.parent / "cwd/wine").touch()

        with caplog.at_level(logging.DEBUG, "scorehost.model_path"):
            find(app, "wine")

        assert caplog.messages == [
            f"Model 'wine': tried {app}/azureml-models/wine: does not exist",
            f"Model 'wine': tried {app.parent}/cwd/wine: a file, in the current directory",
        ]


class TestNotFound:
    def test_the_whole_message(self, app: Path) -> None:
        put(app, "my-best-modle/1/model.pkl", "empty/")

        with pytest.raises(ModelNotFound) as raised:
            find(app, "my-best-model")

        assert str(raised.value) == "\n".join(
            [
                "Model 'my-best-model' was not found.",
                "Tried:",
                f"  {app}/azureml-models/my-best-model: does not exist",
                f"  {app.parent}/cwd/my-best-model: does not exist",
                "What there is:",
                f"  {app}/azureml-models/",
                "    empty/  (empty)",
                "    my-best-modle/",
                "      1/",
                "        model.pkl  5 B",
                "What to do: Did you mean 'my-best-modle'?",
            ]
        )

    def test_the_error_has_its_parts(self, app: Path) -> None:
        put(app, "wine/1/m")

        with pytest.raises(ModelNotFound) as raised:
            find(app, "wien")

        error = raised.value
        assert error.summary == "Model 'wien' was not found."
        assert error.advice == "Did you mean 'wine'?"
        assert len(error.tried) == 2
        assert error.tree == tree(app / "azureml-models")

    def test_failures_are_logged_too(self, app: Path, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.DEBUG, "scorehost.model_path"), pytest.raises(ModelNotFound):
            find(app, "wine")

        assert len(caplog.messages) == 2

    def test_a_missing_version_names_those_there(self, app: Path) -> None:
        put(app, "wine/1/m", "wine/2/m")

        found = failure(app, "wine", 3)

        assert found.summary == "Version 3 of model 'wine' was not found."
        assert [str(one) for one in found.tried] == [
            f"{app}/azureml-models/wine: versions 1 and 2",
            f"{app}/azureml-models/wine/3: does not exist",
            f"{app.parent}/cwd/wine: does not exist",
        ]
        assert found.advice == "Ask for version 1 or 2, or omit the version to get the highest."

    def test_no_version_at_all(self, app: Path) -> None:
        put(app, "wine/latest/m", "wine/model.pkl")

        found = failure(app, "wine")

        assert found.tried[0].finding == "no version, but latest and model.pkl"
        assert f"{app}/azureml-models/wine/1/" in found.advice

    @pytest.mark.parametrize("version", ["1", 1.0, "latest", [1]])
    def test_a_version_must_be_an_integer(self, app: Path, version: object) -> None:
        put(app, "wine/1/m")
        (app.parent / "cwd/wine").touch()

        found = failure(app, "wine", version)

        assert found.summary == f"version is {version!r}, which is not an integer."
        assert "version=1" in found.advice

    @pytest.mark.parametrize("name", [None, "", 3, b"wine"])
    def test_a_name_must_be_text(self, app: Path, name: object) -> None:
        put(app, "1/m")

        assert failure(app, name).summary == f"model_name is {name!r}, which names no model."

    def test_an_empty_version_folder(self, app: Path) -> None:
        put(app, "wine/1/")
        (app.parent / "cwd/wine").touch()

        found = failure(app, "wine")

        assert "is empty; it must hold exactly one" in found.summary
        assert found.advice == "Put the model's file or folder into it."

    def test_several_entries_in_the_version_folder(self, app: Path) -> None:
        put(app, "wine/1/a", "wine/1/b")
        (app.parent / "cwd/wine").touch()

        found = failure(app, "wine")

        assert found.summary.endswith("holds 2: a and b.")
        assert f"{app}/azureml-models/wine/1/model" in found.advice

    def test_what_a_desktop_leaves_behind_is_named(self, app: Path) -> None:
        put(app, "wine/1/model.pkl", "wine/1/.DS_Store")

        assert failure(app, "wine").advice == (
            "Remove what does not belong to the model: .DS_Store."
        )

    def test_a_dangling_link_is_no_answer(self, app: Path) -> None:
        put(app, "wine/1/")
        (app / "azureml-models/wine/1/m").symlink_to("/nowhere/m")

        assert "is a link whose target does not exist" in failure(app, "wine").summary

    def test_a_folder_that_may_not_be_read(self, app: Path) -> None:
        put(app, "wine/1/m")
        folder = app / "azureml-models/wine"

        with unreadable(folder):
            found = failure(app, "wine")

        assert found.summary == f"{folder} cannot be read: Permission denied."
        assert "chmod" in found.advice

    def test_no_models_at_all(self, app: Path) -> None:
        (app / "score.py").touch()

        found = failure(app, "wine")

        assert found.tree.splitlines() == [f"{app}/", "  score.py  0 B"]
        assert f"{app}/azureml-models/wine/1/" in found.advice
        assert "AML_APP_ROOT" in found.advice

    def test_a_file_where_the_models_folder_belongs(self, app: Path) -> None:
        put(app, "wine")

        found = failure(app, "wine")

        assert found.tried[0].finding == "a file, not a folder"
        assert found.advice.startswith(f"Move the file into {app}/azureml-models/wine/1/")

    @pytest.mark.parametrize("name", ["wine:2", "wine/2"])
    def test_a_version_in_the_name(self, app: Path, name: str) -> None:
        put(app, "wine/1/m")

        assert failure(app, name).advice == "Ask for get_model_path('wine', version=2)."

    def test_the_name_of_the_file_in_the_model(self, app: Path) -> None:
        put(app, "wine/1/old.pkl", "wine/2/trees.pkl")

        assert failure(app, "trees.pkl").advice == (
            "'trees.pkl' is a file of the model 'wine': use the name 'wine'."
        )

    def test_another_case(self, app: Path) -> None:
        put(app, "Wine/1/m", "wind/1/m", "zebra/1/m")

        found = failure(app, "WINE")

        assert found.nearest == ("Wine", "wind")
        assert found.advice == "Did you mean 'Wine' or 'wind'?"

    def test_nothing_like_it(self, app: Path) -> None:
        put(app, *(f"model-{number}/1/m" for number in range(20)))

        assert "(model-0, model-1, model-2, model-3, model-4, model-5, model-6 and 13 more)" in (
            failure(app, "zzz").advice
        )

    def test_control_characters_do_not_reach_the_terminal(self, app: Path) -> None:
        put(app, "wine\x1b[31m/1/m")

        assert "\x1b" not in failure(app, "wine\x1b[32m").text()

    @given(name=st.text(), version=st.none() | st.integers())
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_no_name_raises_anything_else(self, app: Path, name: str, version: int | None) -> None:
        """Null bytes, endless names, dots: an absolute answer that exists, or a reason."""
        found = explain(name, version, app, app.parent / "cwd")

        if found.path is None:
            assert found.advice
            assert found.text().startswith(found.summary)
        else:
            assert found.path.is_absolute()
            assert found.path.exists()

    @pytest.mark.parametrize("name", ["m" * 300, "a\0b", "\udcff", "x/" * 3000])
    def test_names_no_file_can_have(self, app: Path, name: str) -> None:
        put(app, "wine/1/m")

        found = failure(app, name)

        assert found.advice.startswith("Use a model that exists (wine)")
        assert all(line.isprintable() for line in found.text().splitlines())


class TestModelDir:
    def test_one_model(self, app: Path) -> None:
        put(app, "wine/1/m", "wine/2/m", "notes.txt", "no-model/readme")

        assert resolve_model_dir(app) == app / "azureml-models/wine/2"

    def test_several_models(self, app: Path) -> None:
        put(app, "wine/1/m", "iris/1/m")

        assert resolve_model_dir(app) == app / "azureml-models"

    def test_its_folder_may_hold_any_number_of_files(self, app: Path) -> None:
        put(app, "wine/1/a", "wine/1/b")

        assert resolve_model_dir(app) == app / "azureml-models/wine/1"

    def test_no_model(self, app: Path) -> None:
        missing = resolve_model_dir(app)
        put(app, "notes.txt", "wine/latest/m")

        assert missing is None
        assert resolve_model_dir(app) is None

    def test_it_is_absolute(self, app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        put(app, "wine/1/m")
        monkeypatch.chdir(app.parent)

        assert resolve_model_dir(Path("app")) == app / "azureml-models/wine/1"


class TestList:
    def test_every_model_with_what_its_name_gives(self, app: Path) -> None:
        put(app, "wine/1/m", "wine/10/m", "full/1/a", "full/1/b", "bare/x", "notes.txt")

        bare, full, wine = list_models(app)

        assert (wine.name, wine.versions, wine.note) == ("wine", (1, 10), "holds m")
        assert wine.path == app / "azureml-models/wine/10/m"
        assert (full.name, full.versions, full.path) == ("full", (1,), None)
        assert "exactly one" in full.note
        assert (bare.versions, bare.path, bare.note) == ((), None, "no version, but x")

    def test_no_models(self, app: Path) -> None:
        assert list_models(app) == []


class TestTree:
    def test_sizes_folders_and_links(self, tmp_path: Path) -> None:
        (tmp_path / "10").mkdir()
        (tmp_path / "9").mkdir()
        (tmp_path / "9/big.bin").write_bytes(b"x" * 1536)
        (tmp_path / "small").write_bytes(b"x")
        (tmp_path / "there").symlink_to("9")
        (tmp_path / "gone").symlink_to("nowhere")

        assert tree(tmp_path).splitlines() == [
            f"{tmp_path}/",
            "  9/",
            "    big.bin  1.5 KiB",
            "  10/  (empty)",
            "  gone -> nowhere  (does not exist)",
            "  small  1 B",
            "  there -> 9",
        ]

    @pytest.mark.parametrize("limit", [1, 2, 3, 5, 10, 40])
    def test_it_keeps_within_its_lines(self, tmp_path: Path, limit: int) -> None:
        for folder in ("a", "b"):
            for number in range(30):
                (tmp_path / folder / str(number) / "deep").mkdir(parents=True)

        assert 1 <= len(tree(tmp_path, limit).splitlines()) <= limit

    def test_a_crowded_folder_does_not_hide_the_others(self, tmp_path: Path) -> None:
        put(tmp_path, *(f"crowded/1/{number}" for number in range(500)), "small/1/m")

        drawn = tree(tmp_path / "azureml-models", 40)

        assert "m  5 B" in drawn
        assert "... 488 more" in drawn

    def test_endless_links_end(self, tmp_path: Path) -> None:
        (tmp_path / "loop").symlink_to(tmp_path)

        assert tree(tmp_path).splitlines() == [f"{tmp_path}/", f"  loop -> {tmp_path}"]

    def test_what_is_not_there(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()

        assert tree(tmp_path / "no") == f"{tmp_path}/no/  (No such file or directory)"
        assert tree(tmp_path / "file") == f"{tmp_path}/file/  (not a folder)"

    def test_a_folder_that_may_not_be_read(self, tmp_path: Path) -> None:
        (tmp_path / "closed").mkdir()

        with unreadable(tmp_path / "closed"):
            assert tree(tmp_path / "closed").endswith("closed/  (Permission denied)")

    def test_names_are_printable(self, tmp_path: Path) -> None:
        (tmp_path / "a\nb").touch()
        (tmp_path / os.fsdecode(b"\xff")).touch()
        (tmp_path / "caffè").touch()

        drawn = tree(tmp_path).splitlines()

        assert [line.split("  ")[1] for line in drawn[1:]] == [r"a\nb", "caffè", r"\udcff"]


@contextmanager
def unreadable(folder: Path) -> Iterator[None]:
    """Nobody may read the folder; root, who may read everything, becomes nobody meanwhile."""
    mode = folder.stat().st_mode
    folder.chmod(0)
    above = [part for part in folder.parents if part.stat().st_mode & 0o001 == 0]
    root = os.geteuid() == 0
    if root:
        modes = {part: part.stat().st_mode for part in above}
        for part in above:
            part.chmod(modes[part] | 0o011)
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
            for part, its_mode in modes.items():
                part.chmod(its_mode)
        folder.chmod(mode)
