"""The old import names, in real environments into which scorehost was installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from support.server import clean_environment, fill

ROOT = Path(__file__).parents[2]
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in", "runtime", "tools")
PTH = "scorehost-stand-ins.pth"

GUIDE = """
from azureml.core.model import Model
import logging
logging.basicConfig(level=logging.DEBUG)
print(Model.get_model_path(model_name='my-best-model'))
"""
MODELS = {"azureml-models/my-best-model/1/model.pkl": "model"}


class Environment:
    """A virtual environment of its own; packages are put into it from outside."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        run([sys.executable, "-m", "venv", "--without-pip", str(folder)])

    @property
    def python(self) -> str:
        return str(self.folder / "bin/python")

    @property
    def site_packages(self) -> Path:
        [found] = self.folder.glob("lib/python*/site-packages")
        return found

    def pip(self, *arguments: str, **settings: str) -> None:
        pip = [sys.executable, "-m", "pip", "--python", self.python, "--quiet"]
        run([*pip, *arguments], **settings)

    def does(
        self, source: str, cwd: Path, path: Path | None = None, **settings: str
    ) -> subprocess.CompletedProcess[str]:
        """Run Python source there; ``path`` is on PYTHONPATH. Warnings are errors."""
        if path is not None:
            settings["PYTHONPATH"] = str(path)
        return subprocess.run(
            [self.python, "-W", "error", "-c", source],
            cwd=cwd,
            env=clean_environment(settings),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def says(self, source: str, cwd: Path, path: Path | None = None, **settings: str) -> str:
        """What the source prints; it must not fail."""
        done = self.does(source, cwd, path, **settings)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def fails(self, source: str, cwd: Path, path: Path | None = None, **settings: str) -> str:
        """The last line of the traceback."""
        done = self.does(source, cwd, path, **settings)
        assert done.returncode == 1, done.stdout
        assert done.stderr.count("Traceback") == 1, done.stderr
        return done.stderr.strip().splitlines()[-1]


def run(command: list[str], **settings: str) -> None:
    """Run a command that must succeed."""
    environment = clean_environment(settings)
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy to build from: a build leaves things behind."""
    copy = tmp_path_factory.mktemp("sources")
    leave = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=leave)
        else:
            shutil.copy(ROOT / name, copy)
    return copy


@pytest.fixture(scope="module")
def setuptools_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with setuptools and nothing else, to build in an empty environment offline."""
    folder = tmp_path_factory.mktemp("setuptools")
    installed = Path(sysconfig.get_path("purelib"))
    for place in (*installed.glob("setuptools*"), installed / "_distutils_hack"):
        (folder / place.name).symlink_to(place)
    return folder


@pytest.fixture(scope="module")
def environment(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with scorehost's wheel, and nothing else."""
    folder = tmp_path_factory.mktemp("environment")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    run([*build, "--wheel-dir", str(folder), str(sources)])
    [wheel] = folder.glob("*.whl")
    made = Environment(folder / "venv")
    made.pip("install", "--no-deps", str(wheel))
    return made


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """An app root with a model."""
    (tmp_path / "app").mkdir()
    fill(tmp_path / "app", MODELS)
    return tmp_path / "app"


@pytest.fixture
def real(tmp_path: Path) -> Callable[..., Path]:
    """Make a folder of real packages for PYTHONPATH: file=content."""

    def make(files: dict[str, str]) -> Path:
        fill(tmp_path / "real", files)
        return tmp_path / "real"

    return make


# -- Installing ---------------------------------------------------------------------------


def test_the_guides_snippet(environment: Environment, app: Path) -> None:
    done = environment.does(GUIDE, app.parent, AML_APP_ROOT=str(app))

    folder = app / "azureml-models/my-best-model"
    assert done.stdout == f"{folder}/1/model.pkl\n"
    assert done.stderr.splitlines() == [
        f"DEBUG:scorehost.model_path:Model 'my-best-model': tried {folder}: version 1",
        f"DEBUG:scorehost.model_path:Model 'my-best-model': tried {folder}/1: holds model.pkl",
    ]


@pytest.mark.parametrize("editable", [(), ("--editable",)], ids=["plain", "editable"])
def test_installing_from_a_clone_and_uninstalling(
    sources: Path, setuptools_alone: Path, tmp_path: Path, app: Path, editable: tuple[str, ...]
) -> None:
    """pip adds the line with scorehost, and takes it away with it."""
    environment = Environment(tmp_path / "venv")
    install = ("install", "--no-deps", "--no-build-isolation", *editable)
    environment.pip(*install, str(sources), PYTHONPATH=str(setuptools_alone))
    line = environment.site_packages / PTH

    assert line.read_text().count("\n") == 1
    answer = environment.says(GUIDE, app, AML_APP_ROOT=str(app))
    assert answer == str(app / "azureml-models/my-best-model/1/model.pkl")
    environment.pip("uninstall", "--yes", "scorehost")
    assert not line.exists()
    assert environment.fails("import azureml", app) == (
        "ModuleNotFoundError: No module named 'azureml'"
    )


def test_the_wheel_lists_the_line_with_its_hash(environment: Environment, app: Path) -> None:
    source = f"""
from importlib.metadata import files
import base64, hashlib
[line] = [file for file in files("scorehost") if file.name == "{PTH}"]
digest = base64.urlsafe_b64encode(hashlib.sha256(line.read_binary()).digest()).rstrip(b"=")
print(line.hash.value == digest.decode(), line.size == len(line.read_binary()))
"""
    assert environment.says(source, app) == "True True"


def test_the_wheel_has_every_file(environment: Environment, sources: Path, app: Path) -> None:
    """Pages, styles and tables too, which setuptools leaves out unless they are named."""
    source = "from importlib.metadata import files; print(*files('scorehost'), sep='\\n')"
    runtime = sources / "runtime"
    ours = {
        str(file.relative_to(runtime))
        for package in ("scorehost", "azureml_stand_ins")
        for file in (runtime / package).rglob("*")
        if file.is_file()
    }

    installed = set(environment.says(source, app).splitlines())

    assert len(ours) > 200
    assert ours - installed == set()


def test_python_starts_without_loading_anything(
    environment: Environment, app: Path, tmp_path: Path
) -> None:
    """Every Python of the environment reads the line, so it must cost nothing."""
    source = "import sys; print(*sorted(sys.modules))"
    empty = Environment(tmp_path / "empty")

    assert environment.says(source, app) == empty.says(source, app)


def test_unless_asked_nothing_is_found(environment: Environment, app: Path) -> None:
    """Names that only begin alike are none of ours."""
    for name in ("azureml_other", "azuremlx.core", "scorehostx"):
        root = name.partition(".")[0]
        assert environment.fails(f"import {name}", app) == (
            f"ModuleNotFoundError: No module named '{root}'"
        )


# -- The names ----------------------------------------------------------------------------

_LOG_CONFIG = "azureml_inference_server_http.log_config"
NAMES = [
    ("azureml.core", "Model", "azureml.core.model"),
    ("azureml.core.model", "Model", "azureml.core.model"),
    ("azureml.core.model", "ModelNotFoundException", "azureml.exceptions"),
    ("azureml.core.model", "WebserviceException", "azureml.exceptions"),
    ("azureml.exceptions", "ModelNotFoundException", "azureml.exceptions"),
    ("azureml.exceptions", "UserErrorException", "azureml.exceptions"),
    ("azureml.contrib.services", "rawhttp", "scorehost.api"),
    ("azureml.contrib.services.aml_request", "rawhttp", "scorehost.api"),
    ("azureml_inference_server_http.api.aml_request", "rawhttp", "scorehost.api"),
    (_LOG_CONFIG, "AMLLogFormatter", _LOG_CONFIG),
    (_LOG_CONFIG, "RootAccessFilter", _LOG_CONFIG),
]
NAMES_WITH_FLASK = [
    ("azureml.contrib.services.aml_request", "AMLRequest"),
    ("azureml.contrib.services.aml_response", "AMLResponse"),
    ("azureml_inference_server_http.api.aml_request", "AMLRequest"),
    ("azureml_inference_server_http.api.aml_response", "AMLResponse"),
]


@pytest.mark.parametrize(("module", "name", "home"), NAMES)
def test_names(environment: Environment, app: Path, module: str, name: str, home: str) -> None:
    """Without any package besides scorehost itself."""
    source = f"from {module} import {name}; print({name}.__module__, {name}.__name__)"

    assert environment.says(source, app) == f"{home} {name}"


@pytest.mark.parametrize(("module", "name"), NAMES_WITH_FLASK)
def test_names_that_need_flask(environment: Environment, app: Path, module: str, name: str) -> None:
    """They are scorehost's own, the same under each of their names."""
    source = (
        f"import scorehost.api; from {module} import {name}; print({name} is scorehost.api.{name})"
    )
    flask = Path(sysconfig.get_path("purelib"))

    assert environment.says(source, app, flask) == "True"


def test_every_way_to_import(environment: Environment, app: Path) -> None:
    source = """
import azureml.core
import azureml.core.model as module
from azureml import core
from azureml.core import model, Model
from azureml.core.model import *
from azureml.exceptions import *
print(azureml.core is core, core.model is module is model, Model is module.Model)
print(sorted(name for name in dir(module) if not name.startswith("_")))
print(len([name for name in globals() if name.endswith("Exception")]), module)
"""
    assert environment.says(source, app).splitlines() == [
        "True True True",
        "['AzureMLException', 'Model', 'ModelNotFoundException', 'RunEnvironmentException', "
        "'UserErrorException', 'WebserviceException']",
        "20 <module 'azureml.core.model' (stand-in of scorehost)>",
    ]


@pytest.mark.parametrize(
    "wanted",
    [
        "azureml.exceptions.ModelNotFoundException",
        "azureml.exceptions.WebserviceException",
        "azureml.exceptions.AzureMLException",
        "azureml.core.model.ModelNotFoundException",
        "scorehost.errors.ModelNotFound",
    ],
)
@pytest.mark.parametrize("arguments", ["'x'", "'my-best-model', 2", "'x', version='1'", "None"])
def test_what_a_script_may_catch(
    environment: Environment, app: Path, wanted: str, arguments: str
) -> None:
    """azureml-core raises one exception or another; scripts catch either."""
    source = f"""
import scorehost.errors, azureml.exceptions
from azureml.core.model import Model
try:
    Model.get_model_path({arguments})
except {wanted} as error:
    print(error.summary in str(error), error.message == str(error), error.advice != "")
"""
    assert environment.says(source, app, AML_APP_ROOT=str(app)) == "True True True"


def test_an_uncaught_failure_is_one_traceback(environment: Environment, app: Path) -> None:
    source = "from azureml.core import Model; Model.get_model_path('my-best-modle')"

    last = environment.fails(source, app, AML_APP_ROOT=str(app))

    assert last == "What to do: Did you mean 'my-best-model'?"


def test_the_exception_survives_pickling(environment: Environment, app: Path) -> None:
    """As between the processes of joblib."""
    source = """
import pickle
from azureml.core.model import Model
from azureml.exceptions import ModelNotFoundException
try:
    Model.get_model_path('x')
except ModelNotFoundException as error:
    again = pickle.loads(pickle.dumps(error))
    print(type(again) is type(error), str(again) == str(error), again.tried == error.tried)
"""
    assert environment.says(source, app) == "True True True"


def test_a_workspace_is_not_asked(environment: Environment, app: Path) -> None:
    source = "from azureml.core import Model; print(Model.get_model_path({}, _workspace=object()))"

    done = environment.does(source.format("'my-best-model'"), app)

    assert done.stdout == f"{app}/azureml-models/my-best-model/1/model.pkl\n"
    assert done.stderr == "Model 'my-best-model': a workspace is not asked, only folders.\n"


# -- The app root, in a shell -------------------------------------------------------------

ASK = "from azureml.core import Model; print(Model.get_model_path('my-best-model'))"


@pytest.mark.parametrize("root", ["app", "~/app", "./app/../app"])
def test_the_app_root_is_read_from_the_environment(
    environment: Environment, app: Path, root: str
) -> None:
    answer = environment.says(ASK, app.parent, AML_APP_ROOT=root, HOME=str(app.parent))

    assert Path(answer).is_absolute()
    assert Path(answer).samefile(app / "azureml-models/my-best-model/1/model.pkl")


def test_without_an_app_root_the_images_folder_counts(
    environment: Environment, app: Path, tmp_path: Path
) -> None:
    """That folder is /var/azureml-app; another one plays its part here."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    image = (
        f"import pathlib, scorehost.settings as s; s.DEFAULT_APP_ROOT = pathlib.Path({str(app)!r});"
    )
    path = f"{app}/azureml-models/my-best-model/1/model.pkl"

    assert environment.says(image + ASK, elsewhere) == path
    assert environment.says(image + ASK, elsewhere, AML_APP_ROOT="") == path


def test_else_the_current_directory(environment: Environment, app: Path) -> None:
    source = "import pathlib, scorehost.settings as s; s.DEFAULT_APP_ROOT = pathlib.Path('/no');"

    answer = environment.says(source + ASK, app)

    assert answer == f"{app}/azureml-models/my-best-model/1/model.pkl"


# -- Beside real packages -----------------------------------------------------------------

EXTEND = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"
REAL_MODEL = "class Model:\n    real = True\n"
OURS = "from azureml.core.model import Model; print(hasattr(Model, 'real'), Model.get_model_path)"


def test_a_real_azureml_core_is_used(
    environment: Environment, app: Path, real: Callable[..., Path]
) -> None:
    path = real(
        {
            "azureml/__init__.py": EXTEND,
            "azureml/core/__init__.py": "from .model import Model\nVERSION = '1.61'\n",
            "azureml/core/model.py": REAL_MODEL,
            "azureml/exceptions/__init__.py": "class ModelNotFoundException(Exception): pass",
        }
    )
    source = """
from azureml.core.model import Model
from azureml.core import Model as again, VERSION
from azureml.exceptions import ModelNotFoundException
print(Model.real, Model is again, ModelNotFoundException.__mro__[1].__name__)
"""
    assert environment.says(source, app, path) == "True True Exception"


def test_what_a_real_azureml_core_lacks_is_not_added(
    environment: Environment, app: Path, real: Callable[..., Path]
) -> None:
    path = real({"azureml/core/__init__.py": ""})

    last = environment.fails("import azureml.core.model", app, path)

    assert last == "ModuleNotFoundError: No module named 'azureml.core.model'"


def test_a_real_azureml_core_that_fails_says_so_itself(
    environment: Environment, app: Path, real: Callable[..., Path]
) -> None:
    path = real({"azureml/core/__init__.py": "import surely_not_there"})

    last = environment.fails("from azureml.core import Model", app, path)

    assert last == "ModuleNotFoundError: No module named 'surely_not_there'"


def test_only_the_real_raw_http_package(
    environment: Environment, app: Path, real: Callable[..., Path]
) -> None:
    """As with azureml-contrib-services alone: its names are its own, the others ours."""
    path = real(
        {
            "azureml/__init__.py": EXTEND,
            "azureml/contrib/__init__.py": EXTEND,
            "azureml/contrib/services/__init__.py": "",
            "azureml/contrib/services/aml_request.py": "rawhttp = 'the real one'",
        }
    )
    source = """
from azureml.contrib.services.aml_request import rawhttp
from azureml.core.model import Model
from azureml.exceptions import ModelNotFoundException
print(rawhttp, Model.get_model_path('my-best-model'))
"""
    answer = environment.says(source, app, path)

    assert answer == f"the real one {app}/azureml-models/my-best-model/1/model.pkl"
    assert environment.fails("import azureml.contrib.services.aml_response", app, path) == (
        "ModuleNotFoundError: No module named 'azureml.contrib.services.aml_response'"
    )


def test_another_contrib_package(
    environment: Environment, app: Path, real: Callable[..., Path]
) -> None:
    path = real(
        {
            "azureml/__init__.py": EXTEND,
            "azureml/contrib/__init__.py": EXTEND,
            "azureml/contrib/other.py": "real = True",
        }
    )
    source = """
import azureml.contrib.other
from azureml.contrib.services.aml_request import rawhttp
print(azureml.contrib.other.real, rawhttp.__module__)
"""
    assert environment.says(source, app, path) == "True scorehost.api"


@pytest.mark.parametrize("first", ["azureml.other", "azureml.core"])
def test_azureml_as_a_real_namespace_without_core(
    environment: Environment, app: Path, real: Callable[..., Path], first: str
) -> None:
    path = real({"azureml/other.py": "real = True"})
    source = f"""
import {first}, azureml.other
from azureml.core.model import Model
print(azureml.other.real, Model.get_model_path('my-best-model'))
"""
    answer = environment.says(source, app, path)

    assert answer == f"True {app}/azureml-models/my-best-model/1/model.pkl"


def test_a_folder_of_that_name_beside_the_script(environment: Environment, app: Path) -> None:
    """Python takes any folder for a package; ours are found below it."""
    fill(app, {"azureml/notes.txt": ""})

    answer = environment.says(ASK, app)

    assert answer == f"{app}/azureml-models/my-best-model/1/model.pkl"


def test_a_real_inference_server_is_used(
    environment: Environment, app: Path, real: Callable[..., Path]
) -> None:
    path = real(
        {
            "azureml_inference_server_http/__init__.py": "",
            "azureml_inference_server_http/api/__init__.py": "",
            "azureml_inference_server_http/api/aml_request.py": "rawhttp = 'the real one'",
        }
    )
    source = """
from azureml_inference_server_http.api.aml_request import rawhttp
from azureml.contrib.services.aml_request import rawhttp as ours
print(rawhttp, ours.__module__)
"""
    assert environment.says(source, app, path) == "the real one scorehost.api"


def test_a_real_package_behind_a_later_finder_is_used(
    environment: Environment, app: Path, real: Callable[..., Path]
) -> None:
    """As some editable installs are: found by a finder of their own, added after ours."""
    path = real(
        {
            "hidden/azureml/core/__init__.py": "",
            "hidden/azureml/core/model.py": REAL_MODEL,
            "sitecustomize.py": """
import sys
from importlib.machinery import PathFinder
from pathlib import Path
class Late:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "azureml":
            return PathFinder.find_spec(name, [str(Path(__file__).parent / "hidden")])
sys.meta_path.append(Late)
""",
        }
    )
    source = "from azureml.core.model import Model; print(Model.real)"

    assert environment.says(source, app, path) == "True"


# -- The rest of the SDK ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "error", "name", "package"),
    [
        (
            "from azureml.core import Workspace",
            "ModuleNotFoundError",
            "azureml.core.Workspace",
            "azureml-core",
        ),
        ("import azureml.core.run", "ModuleNotFoundError", "azureml.core.run", "azureml-core"),
        (
            "from azureml.core.run import Run",
            "ModuleNotFoundError",
            "azureml.core.run",
            "azureml-core",
        ),
        (
            "from azureml.core.model import InferenceConfig",
            "ModuleNotFoundError",
            "azureml.core.model.InferenceConfig",
            "azureml-core",
        ),
        (
            "import azureml.core; azureml.core.Workspace",
            "AttributeError",
            "azureml.core.Workspace",
            "azureml-core",
        ),
        (
            "from azureml.core import Model; Model.register",
            "AttributeError",
            "azureml.core.model.Model.register",
            "azureml-core",
        ),
        (
            "from azureml.core import Model; Model(None, 'x')",
            "ImportError",
            "azureml.core.model.Model()",
            "azureml-core",
        ),
        (
            "from azureml.monitoring import ModelDataCollector",
            "ModuleNotFoundError",
            "azureml.monitoring",
            "azureml-monitoring",
        ),
        (
            "import azureml.train.automl",
            "ModuleNotFoundError",
            "azureml.train",
            "azureml-train-core",
        ),
        (
            "from azureml_inference_server_http import server",
            "ModuleNotFoundError",
            "azureml_inference_server_http.server",
            "azureml-inference-server-http",
        ),
        ("import azureml.contrib.rare", "ModuleNotFoundError", "azureml.contrib.rare", ""),
    ],
)
def test_what_is_absent_says_so(
    environment: Environment, app: Path, source: str, error: str, name: str, package: str
) -> None:
    """The SDK is absent, this is what stands in for it, and this is what to install."""
    last = environment.fails(source, app)

    assert last.startswith(f"{error}: {name} belongs to ")
    assert "not installed here" in last
    assert "stands in for Model.get_model_path, rawhttp, AMLRequest, AMLResponse" in last
    assert last.endswith(f": pip install {package}" if package else "used instead.")


def test_it_can_be_caught_as_an_import_error(environment: Environment, app: Path) -> None:
    """The usual way to use the SDK where it is installed."""
    source = """
try:
    from azureml.core import Run, Workspace
except ImportError as error:
    print(type(error).__name__, error.name)
"""
    assert environment.says(source, app) == "ModuleNotFoundError azureml.core"


def test_looking_for_the_sdk_finds_none(environment: Environment, app: Path) -> None:
    """Libraries look before they use it; an error in the looking would end them."""
    source = """
from importlib.util import find_spec
import azureml.core
print(find_spec("azureml.core.run"), find_spec("azureml.fsspec"), find_spec("azureml.core.x"))
print(hasattr(azureml.core, "Run"), getattr(azureml.core, "VERSION", "none"))
"""
    assert environment.says(source, app).splitlines() == ["None None None", "False none"]
