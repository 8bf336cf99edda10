"""What goes into an image, and what does not: ignore lists, secrets, models."""

from __future__ import annotations

from itertools import islice
from pathlib import Path, PurePosixPath

import pytest

from scorehost.errors import UsageError
from scorehost.images.ignore import docker_rules, files_below, find_files
from scorehost.images.models import read_model, read_models
from scorehost.images.secret_files import find_secrets
from support.server import fill


def kept(folder: Path) -> set[str]:
    return {str(file) for file in find_files(folder).kept}


# -- ignore lists ---------------------------------------------------------------------------


def test_what_never_goes_in(tmp_path: Path):
    """Caches, version control, virtual environments of any name."""
    fill(
        tmp_path,
        {
            "score.py": "",
            ".git/config": "",
            "__pycache__/score.pyc": "",
            "lib/__pycache__/x.pyc": "",
            "lib/x.pyo": "",
            "env/pyvenv.cfg": "",
            "env/bin/python": "",
            ".ipynb_checkpoints/a": "",
        },
    )

    assert kept(tmp_path) == {"score.py"}


@pytest.mark.parametrize(
    ("patterns", "left"),
    [
        ("*.csv", {"score.py", "data/b.csv", "data/deep/c.csv"}),
        ("**/*.csv", {"score.py"}),
        ("data", {"score.py", "a.csv"}),
        ("/data/", {"score.py", "a.csv"}),
        ("data/*.csv", {"score.py", "a.csv", "data/deep/c.csv"}),
        ("data\n!data/deep", {"score.py", "a.csv", "data/deep/c.csv"}),
        ("*\n!score.py", {"score.py"}),
        ("# all\n\n./a.csv", {"score.py", "data/b.csv", "data/deep/c.csv"}),
    ],
)
def test_dockerignore(tmp_path: Path, patterns: str, left: set[str]):
    """Docker's rules: a pattern begins at the top, and what is taken back is back."""
    names = {"score.py", "a.csv", "data/b.csv", "data/deep/c.csv"}
    fill(tmp_path, dict.fromkeys(names, "") | {".dockerignore": patterns})

    assert kept(tmp_path) - {".dockerignore"} == left


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_list_that_windows_wrote(tmp_path: Path, encoding: str):
    """The mark at the beginning is not of the first pattern."""
    fill(tmp_path, {"a.csv": "", "b.csv": "", ".dockerignore": "a.csv\r\n".encode(encoding)})

    assert kept(tmp_path) - {".dockerignore"} == {"b.csv"}


@pytest.mark.parametrize("name", [".amlignore", ".gitignore"])
def test_gits_rules(tmp_path: Path, name: str):
    """A pattern without a slash means any depth."""
    names = {"score.py", "a.csv", "data/b.csv", "data/keep.txt"}
    fill(tmp_path, dict.fromkeys(names, "") | {name: "*.csv\n"})

    found = find_files(tmp_path)

    assert {str(file) for file in found.kept} == {"score.py", "data/keep.txt", name}
    assert found.left_out == {name: 2}


def test_amlignore_stands_for_gitignore(tmp_path: Path):
    """As in a workspace: where both are, git's does not count."""
    fill(tmp_path, {"a.txt": "", "b.txt": "", ".gitignore": "a.txt", ".amlignore": "b.txt"})

    assert kept(tmp_path) - {".gitignore", ".amlignore"} == {"a.txt"}


def test_gitignore_leaves_models(tmp_path: Path):
    """Models are usually not in git, and always in the image."""
    fill(tmp_path, {"azureml-models/m/1/m.pkl": "", "other.pkl": "", ".gitignore": "*.pkl"})

    assert kept(tmp_path) - {".gitignore"} == {"azureml-models/m/1/m.pkl"}


def test_links(tmp_path: Path):
    """A link is what it leads to; one that leads round in a circle ends there."""
    folder, elsewhere = tmp_path / "app", tmp_path / "elsewhere"
    fill(elsewhere, {"weights.bin": "w"})
    fill(folder, {"score.py": "", "inner/x.py": ""})
    (folder / "models").symlink_to(elsewhere)
    (folder / "inner" / "up").symlink_to(folder)
    (folder / "broken").symlink_to(tmp_path / "nowhere")

    assert kept(folder) == {"score.py", "inner/x.py", "models/weights.bin"}


def test_links_that_lead_to_each_other(tmp_path: Path):
    """A circle behind a link ends as well: the folder has another path there."""
    folder, elsewhere = tmp_path / "app", tmp_path / "elsewhere"
    fill(elsewhere, {"weights.bin": "w"})
    fill(folder, {"score.py": ""})
    (elsewhere / "a").symlink_to(".")
    (elsewhere / "b").symlink_to(".")
    (folder / "data").symlink_to(elsewhere)

    found = [str(file) for file in islice(files_below(folder), 10)]  # there would be 2 ** 40

    assert found == ["score.py", "data/weights.bin"]


def test_links_beside_each_other(tmp_path: Path):
    """Two links to one folder are no circle; a link that leads above the app is one."""
    folder, elsewhere = tmp_path / "app", tmp_path / "elsewhere"
    fill(elsewhere, {"x.bin": "w"})
    fill(folder, {"score.py": ""})
    (folder / "one").symlink_to(elsewhere)
    (folder / "two").symlink_to(elsewhere)
    (elsewhere / "top").symlink_to(tmp_path)
    linked = tmp_path / "elsewhere" / "linked"
    linked.symlink_to(folder)

    assert [str(file) for file in islice(files_below(folder), 10)] == [
        "score.py",
        "one/x.bin",
        "two/x.bin",
    ]
    assert [str(file) for file in islice(files_below(linked), 10)] == [
        "score.py",
        "one/x.bin",
        "two/x.bin",
    ]


def test_order_does_not_depend_on_the_disk(tmp_path: Path):
    fill(tmp_path, {"b.py": "", "a/z.py": "", "a/b.py": "", "c.py": ""})

    assert list(map(str, find_files(tmp_path).kept)) == ["a/b.py", "a/z.py", "b.py", "c.py"]


def test_docker_rules():
    assert list(docker_rules(["a", "/b/", "!c", "! d", "# e", "", ".", "./f"])) == [
        "/a",
        "/b",
        "!/c",
        "!/d",
        "/f",
    ]


# -- secrets --------------------------------------------------------------------------------

KEY = "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIE\n"
AZURE = "DefaultEndpointsProtocol=https;" + "AccountKey=" + "a" * 86 + "=="
AWS = "aws_key = 'AKIA" + "ABCDEFGHIJKLMNOP'"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (".env", "X=1"),
        (".env.production", "X=1"),
        ("prod.env", "X=1"),
        ("id_rsa", "x"),
        ("ID_ED25519", "x"),
        ("cert/server.key", "x"),
        ("store.pfx", "x"),
        ("home/.aws/credentials", "x"),
        ("home/.docker/config.json", "{}"),
        (".netrc", "x"),
        ("secrets.yaml", "x"),
        ("config.pem", KEY),
        ("notes.txt", AZURE),
        ("settings.py", AWS),
        ("account.json", '{"private_key": "-----BEGIN"}'),
    ],
)
def test_secrets_are_found(tmp_path: Path, name: str, content: str):
    fill(tmp_path, {name: content})

    ((found, reason),) = find_secrets(tmp_path, [PurePosixPath(name)])

    assert found == name
    assert reason


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (".env.example", "X="),
        ("id_rsa.pub", "ssh-rsa AAAA"),
        ("ca.pem", "-----BEGIN CERTIFICATE-----"),
        ("monkey.py", "key = 1"),
        ("config.json", '{"WORKER_COUNT": 2}'),
        ("model.bin", "\0" + KEY),
        ("environment.yml", ""),
    ],
)
def test_what_is_no_secret(tmp_path: Path, name: str, content: str):
    fill(tmp_path, {name: content})

    assert list(find_secrets(tmp_path, [PurePosixPath(name)])) == []


# -- models ---------------------------------------------------------------------------------


def test_a_file(tmp_path: Path):
    """The version folder holds exactly one entry: the file."""
    fill(tmp_path, {"m.pkl": "x"})

    model = read_model(f"diabetes:3={tmp_path}/m.pkl")

    assert [str(place) for _, place in model.files()] == ["azureml-models/diabetes/3/m.pkl"]


def test_a_folder(tmp_path: Path):
    """…or the folder, which keeps its name; the version is 1 unless given."""
    fill(tmp_path, {"saved/a.bin": "x", "saved/deep/b.bin": "y"})

    model = read_model(f"net={tmp_path}/saved")

    assert [str(place) for _, place in model.files()] == [
        "azureml-models/net/1/saved/a.bin",
        "azureml-models/net/1/saved/deep/b.bin",
    ]


def test_a_model_that_is_a_link(tmp_path: Path):
    """It has the link's name, as in Hugging Face's cache, whose files are called by their hash."""
    fill(tmp_path, {"blobs/abc123": "x", "blobs/def456": "y"})
    snapshot = tmp_path / "snapshots" / "main"
    snapshot.mkdir(parents=True)
    (snapshot / "model.bin").symlink_to("../../blobs/abc123")
    (tmp_path / "latest").symlink_to(snapshot)

    file = read_model(f"hf={snapshot}/model.bin")
    folder = read_model(f"hf={tmp_path}/latest")

    assert [str(place) for _, place in file.files()] == ["azureml-models/hf/1/model.bin"]
    assert [str(place) for _, place in folder.files()] == ["azureml-models/hf/1/latest/model.bin"]
    assert [source.read_text() for source, _ in folder.files()] == ["x"]


def test_links_in_a_models_folder(tmp_path: Path):
    """Linked folders are part of it; one that leads round in a circle ends there."""
    fill(tmp_path, {"saved/a.bin": "x", "common/vocabulary/words.txt": "y"})
    (tmp_path / "saved" / "vocabulary").symlink_to("../common/vocabulary")
    (tmp_path / "saved" / "again").symlink_to(".")

    model = read_model(f"net={tmp_path}/saved")

    assert [str(place) for _, place in model.files()] == [
        "azureml-models/net/1/saved/a.bin",
        "azureml-models/net/1/saved/vocabulary/words.txt",
    ]


def test_a_model_in_this_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """``.`` is called what its folder is called."""
    fill(tmp_path, {"saved/deep/a.bin": "x"})
    monkeypatch.chdir(tmp_path / "saved")

    here, above = read_model("net=."), read_model("net=deep/..")

    assert [str(place) for _, place in here.files()] == ["azureml-models/net/1/saved/deep/a.bin"]
    assert list(map(str, dict(above.files()).values())) == ["azureml-models/net/1/saved/deep/a.bin"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("m.pkl", "not of the form"),
        ("=m.pkl", "not of the form"),
        ("a/b=m.pkl", "'a/b' is not a valid name"),
        ("..=m.pkl", "'..' is not a valid name"),
        ("a:x=m.pkl", "'x' is not a whole number"),
        ("a:=m.pkl", "'' is not a whole number"),
        ("a:²=m.pkl", "'²' is not a whole number"),
        ("a=n.pkl", "Did you mean .*m.pkl"),
        ("a=empty", "contains no files"),
        ("a=gone/m.pkl", "Neither does gone"),
    ],
)
def test_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, said: str):
    fill(tmp_path, {"m.pkl": "x"})
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)

    with pytest.raises(UsageError, match=said):
        read_model(value)


def test_a_place_that_is_taken(tmp_path: Path):
    fill(tmp_path, {"m.pkl": "x", "azureml-models/a/1/m.pkl": "y"})
    value = f"a={tmp_path}/m.pkl"

    with pytest.raises(UsageError, match="a:2=…"):
        read_models([value], tmp_path)
    with pytest.raises(UsageError, match="is given twice"):
        read_models([f"b={tmp_path}/m.pkl"] * 2, tmp_path)
