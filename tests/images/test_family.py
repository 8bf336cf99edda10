"""The base images, and that each child passes its parent's tests.

A class for each image; a child's class inherits its parent's, as the image does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from scorehost.images.sbom import canonical
from support.containers import DEBIAN, FAMILY, NAMES, Container, build_base_images, docker, inspect

MEGABYTE = 1_000_000
MOST_ADDED = 160 * MEGABYTE
COMPILERS = ("cc", "c++", "gcc", "g++", "clang", "make", "ld", "as", "rustc", "go", "cargo")
SET_ID = "find / -xdev -type f -perm /6000"


@pytest.fixture(scope="module")
def set_id_of_debian() -> set[str]:
    """The files in Debian that run as another user or group."""
    return set(docker("run", "--rm", DEBIAN, "sh", "-c", SET_ID).out.split())


@pytest.fixture(scope="module")
def inference_gpu(engine: None) -> str:
    """The recipe on another base; here Debian's, as CUDA's weighs gigabytes."""
    said = build_base_images("inference-gpu", "--base", f"cuda={DEBIAN}", "--namespace", NAMES)
    assert f"{NAMES}/foundation-cuda" in said
    return FAMILY.images["inference-gpu"].reference.replace("scorehost/", f"{NAMES}/", 1)


@pytest.fixture(scope="class")
def image(request: pytest.FixtureRequest) -> str:
    """The image that a class is about."""
    name: str = request.getfixturevalue(request.cls.which)
    return name


@pytest.fixture(scope="class")
def box(image: str) -> Iterator[Container]:
    """A container of it in which to look around."""
    container = Container(image, command=["sleep", "infinity"], ports=())
    yield container
    container.remove()


class Foundation:
    """What every image of the family has."""

    which = "foundation"
    title = "foundation"
    most_added = MOST_ADDED

    def test_size(self, image: str):
        """What it adds to Debian."""
        added = inspect("image", image)["Size"] - inspect("image", DEBIAN)["Size"]
        assert added <= self.most_added

    def test_user(self, image: str, box: Container):
        """An ordinary one, by number, so that clusters can tell that it is not root."""
        assert inspect("image", image)["Config"]["User"] == str(FAMILY.uid)
        assert box.exec("id", "-un").out == f"{FAMILY.user}\n"
        assert {uid for uid, _, _ in box.top()} == {str(FAMILY.uid)}

    def test_app_folder(self, box: Container):
        """It belongs to the user, and to group 0 likewise, and is where one begins."""
        assert box.exec("pwd").out == "/var/azureml-app\n"
        assert box.exec("stat", "-c", "%u:%g %a", ".").out == f"{FAMILY.uid}:0 775\n"
        box.exec("touch", "made")
        box.exec("touch", "made-too", user="4711:0")
        assert box.exec("touch", "not-made", user="4711:4711", check=False).status != 0

    def test_nothing_else_is_the_users(self, box: Container):
        """Neither Python nor packages can be changed by what runs."""
        where = "find / -xdev -writable ( -path /proc -o -path /dev -o -path /var/azureml-app -o"
        words = f"{where} -path /home/{FAMILY.user} -o -type l -o -perm -1777 ) -prune -o"
        found = box.exec(*words.split(), "-xdev", "-writable", "-print", check=False).out.split()
        assert found == []

    def test_no_compiler(self, box: Container):
        """Nothing that builds from source."""
        words = " ".join(f"command -v {name};" for name in COMPILERS)
        assert box.exec("sh", "-c", words, check=False).out == ""

    def test_no_package_lists(self, box: Container):
        """apt knows nothing until it is told, and has kept nothing."""
        folders = ("/var/lib/apt/lists", "/var/cache/apt")
        assert box.exec("find", *folders, "-type", "f", "!", "-name", "lock", user="0").out == ""

    def test_no_new_set_id_files(self, box: Container, set_id_of_debian: set[str]):
        """Nothing runs as somebody else that does not in Debian."""
        assert set(box.exec("sh", "-c", SET_ID, user="0").out.split()) <= set_id_of_debian

    def test_python(self, box: Container):
        """``python`` is the one with our packages, in login shells too."""
        for words in (["bash", "-c"], ["bash", "-lc"]):
            where = box.exec(*words, "python -c 'import sys; print(sys.prefix)'").out
            assert where == "/opt/venv\n"
        box.exec("python", "-c", "import ssl; assert ssl.create_default_context().get_ca_certs()")

    def test_shell(self, box: Container):
        """``docker exec -it NAME /bin/bash``."""
        assert "hello" in box.exec("/bin/bash", text="echo hello\nexit\n").out

    def test_labels(self, image: str):
        """Whose it is, what it is, and where it comes from."""
        labels = inspect("image", image)["Config"]["Labels"]
        prefix = "org.opencontainers.image."
        assert labels[f"{prefix}title"] == self.title
        assert labels[f"{prefix}base.name"]
        assert labels[f"{prefix}description"]

    def test_packages_fit(self, box: Container):
        """``pip check`` has nothing to say."""
        assert box.exec("python", "-m", "pip", "check").out == "No broken requirements found.\n"

    def test_list_of_packages(self, box: Container):
        """Every Debian and Python package is in it, at its version; the document is valid."""
        text = box.exec("cat", "/opt/scorehost/sbom.cdx.json").out
        assert JsonStrictValidator(SchemaVersion.V1_5).validate_str(text) is None
        components = json.loads(text)["components"]
        listed = {(each["name"], each["version"]) for each in components}
        query = ["dpkg-query", "-f", "${Package} ${Version}\\n", "-W"]
        debian = {tuple(line.split()) for line in box.exec(*query).out.splitlines()}
        pip = json.loads(box.exec("python", "-m", "pip", "list", "--format", "json").out)
        python = {(canonical(each["name"]), each["version"]) for each in pip}
        assert debian | python == {pair for pair in listed if pair[0] != "debian"}
        assert len(debian) > 80


class Inference(Foundation):
    """What every image has that serves."""

    which = "inference"
    title = "inference-cpu"

    def test_ports(self, image: str):
        """Scoring and debugger."""
        assert set(inspect("image", image)["Config"]["ExposedPorts"]) == {"5001/tcp", "5678/tcp"}

    def test_health_check(self, image: str):
        """A file of Python's; no shell, no curl."""
        check = inspect("image", image)["Config"]["Healthcheck"]
        assert check["Test"] == ["CMD", "python", "/opt/scorehost/healthcheck.py"]

    def test_serves_by_itself(self, image: str):
        """``scorehost serve`` is the first process, with signals of its own."""
        config = inspect("image", image)["Config"]
        assert (config["Entrypoint"], config["Cmd"]) == (None, ["scorehost", "serve"])

    def test_commands(self, box: Container):
        """All are there, and the stand-ins for old import names."""
        box.exec("scorehost", "config")
        box.exec("azmlinfsrv", "--help")
        box.exec("python", "-c", "from azureml.core.model import Model; import numpy")

    def test_only_the_core(self, box: Container):
        """Nothing of what is only for development, or for other machines."""
        listed = json.loads(box.exec("python", "-m", "pip", "list", "--format", "json").out)
        names = {canonical(each["name"]) for each in listed}
        assert "scorehost" in names
        assert not names & {"debugpy", "rich", "pyyaml", "pytest", "setuptools"}


class TestFoundation(Foundation):
    """Debian, Python, an ordinary user."""


class TestInferenceCpu(Inference):
    """The base of apps."""


class TestInferenceGpu(Inference):
    """The same, from another base."""

    which = "inference_gpu"
    title = "inference-gpu"


class TestApp(Inference):
    """An app with packages of its own: all of the above still holds."""

    which = "diabetes"
    title = "diabetes"
    most_added = 400 * MEGABYTE  # scikit-learn and scipy


def test_building_again_is_nothing(foundation: str):
    """The same recipe and the same data give the same image."""
    before = inspect("image", foundation)["Id"]

    build_base_images("foundation")

    assert inspect("image", foundation)["Id"] == before
