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
from support.containers import (
    DEBIAN,
    FAMILY,
    NAMES,
    Container,
    build_base_images,
    docker,
    image_with_python,
    inspect,
)

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
    said = build_base_images("inference-gpu", "--upstream", f"cuda={DEBIAN}", "--namespace", NAMES)
    assert f"{NAMES}/foundation-cuda" in said
    return FAMILY.images["inference-gpu"].reference.replace("scorehost/", f"{NAMES}/", 1)


@pytest.fixture(scope="module")
def inference_38(inference: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image for apps with Python 3.8, which the first such app makes."""
    return image_with_python("3.8", tmp_path_factory.mktemp("python"))


def installed(box: Container, environment: str) -> set[tuple[str, str]]:
    """Name and version of each package in an environment, as pip lists them."""
    words = ["python", "-m", "pip", "--python", environment, "list", "--format", "json"]
    return {(canonical(each["name"]), each["version"]) for each in json.loads(box.exec(*words).out)}


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
    environments: tuple[str, ...] = ("/opt/env",)
    """The folders that have Python packages."""

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
        """``python`` is the script's, in login shells too."""
        for words in (["bash", "-c"], ["bash", "-lc"]):
            where = box.exec(*words, "python -c 'import sys; print(sys.prefix)'").out
            assert where == "/opt/env\n"
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
        for environment in self.environments:
            check = box.exec("python", "-m", "pip", "--python", environment, "check").out
            assert check == "No broken requirements found.\n"

    def test_list_of_packages(self, box: Container):
        """Every Debian and Python package is in it, at its version; the document is valid."""
        text = box.exec("cat", "/opt/scorehost/sbom.cdx.json").out
        assert JsonStrictValidator(SchemaVersion.V1_5).validate_str(text) is None
        components = json.loads(text)["components"]
        listed = {(each["name"], each["version"]) for each in components}
        query = ["dpkg-query", "-f", "${Package} ${Version}\\n", "-W"]
        debian = {tuple(line.split()) for line in box.exec(*query).out.splitlines()}
        python = {pair for each in self.environments for pair in installed(box, each)}
        others = {pair for pair in listed if pair[0] not in {"debian", "python"}}
        assert debian | python == others
        assert len(debian) > 80


class Inference(Foundation):
    """What every image has that serves."""

    which = "inference"
    title = "inference-cpu"
    environments = ("/opt/env", "/opt/scorehost")

    def test_ports(self, image: str):
        """Scoring and debugger."""
        assert set(inspect("image", image)["Config"]["ExposedPorts"]) == {"5001/tcp", "5678/tcp"}

    def test_health_check(self, image: str):
        """A file of Python's; no shell, no curl."""
        check = inspect("image", image)["Config"]["Healthcheck"]
        program = ["/opt/scorehost/bin/python", "/opt/scorehost/healthcheck.py"]
        assert check["Test"] == ["CMD", *program]

    def test_serves_by_itself(self, image: str):
        """``scorehost serve`` is the first process, with signals of its own."""
        config = inspect("image", image)["Config"]
        assert (config["Entrypoint"], config["Cmd"]) == (None, ["scorehost", "serve"])

    def test_commands(self, box: Container):
        """All are there, and the stand-ins for old import names."""
        box.exec("scorehost", "config")
        box.exec("azmlinfsrv", "--help")
        box.exec("python", "-c", "from azureml.core.model import Model; import scorehost")

    def test_only_the_core(self, box: Container):
        """Nothing of what is only for development, for other machines, or for scripts."""
        names = {name for name, _ in installed(box, "/opt/scorehost")}
        assert "scorehost" in names
        assert not names & {"debugpy", "rich", "pyyaml", "pytest", "setuptools", "numpy", "pip"}

    def test_nothing_of_ours_beside_the_script(self, box: Container):
        """Of the server's packages none can be imported, and pip knows only what was installed."""
        servers = {name for name, _ in installed(box, "/opt/scorehost")}
        assert not servers & {name for name, _ in installed(box, "/opt/env")}
        program = (
            "import importlib.util, pkgutil\n"
            "listed = pkgutil.iter_modules(['/opt/scorehost/site-packages'])\n"
            "print(*sorted(each[1] for each in listed if importlib.util.find_spec(each[1])))"
        )
        assert box.exec("python", "-c", program).out == "azureml_stand_ins scorehost\n"


class TestFoundation(Foundation):
    """Debian, Python, an ordinary user."""


class TestInferenceCpu(Inference):
    """The base of apps."""


class TestInferenceGpu(Inference):
    """The same, from another base."""

    which = "inference_gpu"
    title = "inference-gpu"


class TestPython38(Inference):
    """The same with an older Python for the script."""

    which = "inference_38"
    title = "inference-cpu with Python 3.8"

    def test_whose_python(self, box: Container):
        """The script's is a copy of the official one; the server's is Debian's."""
        versions = "import sys; print(sys.version_info[:2], sys.base_prefix)"
        assert box.exec("python", "-c", versions).out == "(3, 8) /usr/local\n"
        assert box.exec("/opt/scorehost/bin/python", "-c", versions).out == "(3, 11) /usr\n"

    def test_libraries(self, box: Container):
        """All that Python's own modules need is there, but for Tk and gdbm."""
        program = (
            "import importlib, os, pathlib\n"
            "folder = pathlib.Path(os.__file__).with_name('lib-dynload')\n"
            "names = sorted(file.name.partition('.')[0] for file in folder.glob('*.so'))\n"
            "assert len(names) > 50\n"
            "for name in names:\n"
            "    try: importlib.import_module(name)\n"
            "    except ImportError: print(name)\n"
        )
        assert set(box.exec("python", "-c", program).out.split()) <= {"_gdbm", "_tkinter"}

    def test_compiled(self, box: Container):
        """A scoring process starts as quickly as in other images: nothing is compiled then."""
        program = (
            "import sys, scorehost.worker.process as process\n"
            "import scorehost.fast_json as json\n"
            "assert json.IS_ORJSON and 'orjson' not in sys.modules\n"
            "from importlib.util import cache_from_source\n"
            "import os\n"
            "files = [getattr(module, '__file__', None) for module in sys.modules.values()]\n"
            "sources = [file for file in files if file and file.endswith('.py')]\n"
            "assert len(sources) > 60\n"
            "print(*[file for file in sources if not os.path.exists(cache_from_source(file))])\n"
        )
        assert box.exec("python", "-c", program).out == "\n"


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
