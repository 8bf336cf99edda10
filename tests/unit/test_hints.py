"""Hints: for each kind of failure the words that help.

What an entry script can bring about anywhere is in ``tests/scripts/broken``. Here stands what
needs packages, permissions or hardware that a test machine does not have: the messages are
those of the packages themselves.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
import urllib.error
from pathlib import Path

import pytest

from scorehost.diagnosis.case import Case
from scorehost.diagnosis.frames import Frame, user_frames
from scorehost.diagnosis.hints import RULES, hint_for
from scorehost.diagnosis.installed import version_of
from scorehost.diagnosis.module_names import DISTRIBUTIONS, distribution_of
from scorehost.errors import ScriptUnreadable


class UnpicklingError(Exception):
    """As pickle's, for messages alone."""


class LocalEntryNotFoundError(Exception):
    """As huggingface_hub's."""


class XGBoostError(Exception):
    """As xgboost's."""


def hint(error: BaseException, line: str = "", folder: Path = Path("/nowhere")) -> str:
    """The hint for an error raised in a line of the user's."""
    frames = [Frame("score.py", 1, "init", ((1, line),))] if line else []
    return hint_for(Case(error, "init()", folder / "score.py", folder, frames))


NATIVE = [
    (
        ImportError("libGL.so.1: cannot open shared object file: No such file or directory"),
        ["apt-get install -y --no-install-recommends libgl1", "opencv-python-headless"],
    ),
    (
        OSError("libgomp.so.1: cannot open shared object file: No such file or directory"),
        ["--no-install-recommends libgomp1"],
    ),
    (
        XGBoostError(
            "XGBoost Library (libxgboost.so) could not be loaded.\nError message(s): "
            "['libgomp.so.1: cannot open shared object file: No such file or directory']"
        ),
        ["--no-install-recommends libgomp1"],
    ),
    (
        ImportError("libcudart.so.12: cannot open shared object file: No such file"),
        ["belongs to the GPU driver or to CUDA", "--gpus all"],
    ),
    (
        ImportError("libunheardof.so.3: cannot open shared object file: No such file"),
        ["apt-file search libunheardof.so.3"],
    ),
    (
        ImportError("/lib/libstdc++.so.6: version `GLIBCXX_3.4.29' not found (required by x.so)"),
        ["needs GLIBCXX_3.4.29, and the C++ library", "newer base image"],
    ),
    (
        ImportError("/lib/libc.so.6: version `GLIBC_2.34' not found (required by x.so)"),
        ["needs GLIBC_2.34, and the C library"],
    ),
    (
        ImportError("/opt/libgomp-d22c30c5.so.1: cannot allocate memory in static TLS block"),
        ["ENV LD_PRELOAD=/opt/libgomp-d22c30c5.so.1"],
    ),
    (
        ImportError("/x/torch/_C.so: undefined symbol: _ZNK3c104Type"),
        ["a version of a library other than", "reinstall both"],
    ),
    (ImportError("/x/a.so: wrong ELF class: ELFCLASS32"), ["another kind of processor"]),
    (
        ValueError("numpy.dtype size changed, may indicate binary incompatibility."),
        ["built for a numpy other than the one installed", "pip install 'numpy<2'"],
    ),
]

SAVED_MODELS = [
    (ModuleNotFoundError("No module named 'numpy._core'", name="numpy._core"), ["with numpy 2"]),
    (
        AttributeError("Can't get attribute 'Old' on <module 'sklearn.tree' from '/x'>"),
        ["another version of scikit-learn", "sklearn.tree.Old"],
    ),
    (
        AttributeError("Can't get attribute 'Loader' on <module 'helpers' from '/x'>"),
        ["needs Loader in your module helpers"],
    ),
    (UnpicklingError("invalid load key, '<'."), ["a web page or XML"]),
    (UnpicklingError("invalid load key, '\\x1f'."), ["compressed with gzip"]),
    (UnpicklingError("invalid load key, 'P'."), ["a zip archive"]),
    (UnpicklingError("invalid load key, 'q'."), ["does not begin like a pickle", "'q'"]),
    (EOFError("Ran out of input"), ["empty or ends too early"]),
    (TypeError("code() argument 13 must be str, not int"), ["another version of Python"]),
    (UnicodeDecodeError("ascii", b"\xff", 0, 1, "ordinal"), ["saved by Python 2"]),
    (
        ValueError("node array from the pickle has an incompatible dtype: expected x got y"),
        ["another version of scikit-learn"],
    ),
    (
        ValueError("<class 'numpy.random._mt19937.MT19937'> is not a known BitGenerator"),
        ["another version of numpy"],
    ),
    (OSError("Unable to open file (file signature not found)"), ["not HDF5", "Git LFS"]),
    (
        ValueError("File format not supported: filepath=/x/model. Keras 3 only supports V3"),
        ["keras.layers.TFSMLayer"],
    ),
    (
        RuntimeError("PytorchStreamReader failed reading zip archive"),
        ["torch file is not complete"],
    ),
    (UnpicklingError("Weights only load failed. In PyTorch 2.6"), ["weights_only=False"]),
    (RuntimeError("Error(s) in loading state_dict for Net"), ["another shape or version"]),
    (RuntimeError("[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Load model"), ["not ONNX"]),
    (RuntimeError("Unsupported model IR version: 11, max supported"), ["Upgrade onnxruntime"]),
]

SURROUNDINGS = [
    (
        RuntimeError(
            "Attempting to deserialize object on a CUDA device but "
            "torch.cuda.is_available() is False."
        ),
        ['torch.load(path, map_location="cpu")'],
    ),
    (AssertionError("Torch not compiled with CUDA enabled"), ["has no usable GPU", "--gpus all"]),
    (RuntimeError("Cannot re-initialize CUDA in forked subprocess."), ["without --preload"]),
    (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), ["GPU's memory is full"]),
    (MemoryError(), ["more memory than is available.", "--preload true"]),
    (OSError(errno.ENOMEM, "Cannot allocate memory"), ["Give the container more"]),
    (
        RuntimeError("cannot cache function 'f': no locator available for file '/x/y.py'"),
        ["ENV NUMBA_CACHE_DIR=/tmp/cache"],
    ),
    (OSError("Matplotlib requires access to a writable cache directory"), ["MPLCONFIGDIR"]),
    (OSError(errno.EROFS, "Read-only file system", "/app/cache.db"), ["read-only here", "/tmp"]),
    (
        OSError(errno.EROFS, "Read-only file system", "/home/u/.cache/huggingface/x"),
        ["ENV HF_HOME=/tmp/cache"],
    ),
    (OSError(errno.ENOSPC, "No space left on device", "/data/x"), ["share of it is full"]),
    (OSError(errno.ENOSPC, "No space left on device", "/dev/shm/x"), ["--shm-size=1g"]),
    (OSError(errno.EMFILE, "Too many open files"), ["ulimit -n"]),
    (OSError(errno.EADDRINUSE, "Address already in use"), ["no server of its own"]),
    (
        PermissionError(errno.EACCES, "Permission denied", "/no/such/file"),
        [f"runs as uid {os.getuid()}", "may not write /no/such/file"],
    ),
    (socket.gaierror(-2, "Name or service not known"), ["calls another machine"]),
    (urllib.error.URLError("timed out"), ["no access to the network"]),
    (
        urllib.error.URLError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"),
        ["ENV SSL_CERT_FILE="],
    ),
    (
        OSError("We couldn't connect to 'https://huggingface.co' to load this file"),
        ["save_pretrained()"],
    ),
    (LocalEntryNotFoundError("cannot find it"), ["save_pretrained()"]),
    (
        LookupError("\n***\n  Resource punkt not found.\n  >>> import nltk\n"),
        ["python -m nltk.downloader"],
    ),
    (OSError("[E050] Can't find model 'en_core_web_sm'."), ["spacy download en_core_web_sm"]),
    (
        FileNotFoundError(errno.ENOENT, "No such file", "https://example.org/model.pkl"),
        ["a URL, not a path"],
    ),
]

PYTHON = [
    (NameError("name 'pd' is not defined", name="pd"), ["import pandas as pd"]),
    (NameError("name 'dbutils' is not defined", name="dbutils"), ["in notebooks only"]),
    (NameError("name 'lenn' is not defined", name="lenn"), ["Did you mean len?"]),
    (NameError("name 'zzzqq' is not defined", name="zzzqq"), ["Nothing named zzzqq"]),
    (
        AttributeError("module 'numpy' has no attribute 'bool8'"),
        ["has no np.bool8", "A package that the script imports"],
    ),
    (AttributeError("'DataFrame' object has no attribute 'append'"), ["pandas.concat"]),
    (
        AttributeError("module 'tensorflow' has no attribute 'Session'"),
        ["tensorflow.compat.v1"],
    ),
    (UserWarning("old"), ["a filter turned into an error"]),
    (
        RuntimeError("asyncio.run() cannot be called from a running event loop"),
        ["Declare init() or run() with async def"],
    ),
    (json.JSONDecodeError("Expecting value", "", 0), ["response is empty"]),
    (json.JSONDecodeError("Expecting value", "<html>", 0), ["a web page, not JSON"]),
    (
        json.JSONDecodeError("Unexpected UTF-8 BOM (decode using utf-8-sig)", "\ufeff{}", 0),
        ["utf-8-sig"],
    ),
    (json.JSONDecodeError("Extra data", "{}\n{}", 2), ["more than one JSON value"]),
    (json.JSONDecodeError("Expecting value", "version https://git-lfs", 0), ["Git LFS pointer"]),
    (json.JSONDecodeError("Expecting value", "maybe", 0), ["It begins with: maybe"]),
]

PACKAGES = [
    (ModuleNotFoundError("No module named 'skimage'", name="skimage"), ["scikit-image"]),
    (ModuleNotFoundError("No module named 'urllib2'", name="urllib2"), ["urllib.request"]),
    (
        ImportError("cannot import name 'Mapping' from 'collections' (/x)"),
        ["from collections.abc import Mapping"],
    ),
    (
        ImportError("cannot import name 'Interval' from 'pandas.core' (/x)"),
        ["pandas", "has no Interval"],
    ),
]


@pytest.mark.parametrize(
    ("error", "phrases"),
    [*NATIVE, *SURROUNDINGS, *PYTHON, *PACKAGES],
    ids=lambda value: str(value)[:40],
)
def test_hint(error: BaseException, phrases: list[str]) -> None:
    """The hint has the words that help."""
    given = hint(error)

    for phrase in phrases:
        assert phrase in given


@pytest.mark.parametrize(("error", "phrases"), SAVED_MODELS, ids=lambda value: str(value)[:40])
def test_hint_for_a_saved_model(error: BaseException, phrases: list[str]) -> None:
    """The same, in a line that loads a model."""
    given = hint(error, "    model = joblib.load(path)")

    for phrase in phrases:
        assert phrase in given


def test_the_same_words_without_a_model_mean_something_else() -> None:
    """A module missing outside of unpickling is a package to install."""
    missing = ModuleNotFoundError("No module named 'churn_lib'", name="churn_lib")

    assert "pip install churn_lib" in hint(missing)
    assert "saved object" in hint(missing, "    model = pickle.load(file)")


class TestChain:
    """The error is asked first, then what led to it."""

    def test_a_wrapped_error_gets_its_causes_hint(self) -> None:
        error = RuntimeError("cannot load the model")
        error.__cause__ = ImportError("libGL.so.1: cannot open shared object file")

        assert "libgl1" in hint(error)

    def test_what_was_handled_before_does_not_win(self) -> None:
        """The context of an error may have nothing to do with it."""
        error = MemoryError()
        error.__context__ = NameError("name 'pd' is not defined", name="pd")

        assert "memory" in hint(error)


class TestFiles:
    """Paths that lead nowhere."""

    def test_nearly_the_name(self, tmp_path: Path) -> None:
        (tmp_path / "model.pkl").touch()
        error = FileNotFoundError(errno.ENOENT, "No such file", str(tmp_path / "modell.pkl"))

        assert hint(error, folder=tmp_path) == "Did you mean model.pkl?"

    def test_the_first_folder_that_is_missing(self, tmp_path: Path) -> None:
        (tmp_path / "azureml-models" / "churn" / "1").mkdir(parents=True)
        path = tmp_path / "azureml-models" / "churn" / "2" / "model" / "x.pkl"
        error = FileNotFoundError(errno.ENOENT, "No such file", str(path))

        given = hint(error, folder=tmp_path)

        assert given == "azureml-models/churn has no 2. It contains: 1."

    def test_the_only_one_of_its_kind(self, tmp_path: Path) -> None:
        (tmp_path / "regressor.onnx").touch()
        error = FileNotFoundError(errno.ENOENT, "No such file", str(tmp_path / "model.onnx"))

        assert hint(error, folder=tmp_path).endswith("but there is regressor.onnx.")

    def test_relative_to_the_script(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The usual surprise: it worked in the script's own folder."""
        (tmp_path / "labels.txt").touch()
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        error = FileNotFoundError(errno.ENOENT, "No such file", "labels.txt")

        given = hint(error, folder=tmp_path)

        assert "os.path.join(os.path.dirname(__file__), 'labels.txt')" in given

    def test_an_empty_folder(self, tmp_path: Path) -> None:
        (tmp_path / "model").mkdir()
        error = IsADirectoryError(errno.EISDIR, "Is a directory", str(tmp_path / "model"))

        assert "model is empty" in hint(error, folder=tmp_path)

    def test_below_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "model").touch()
        path = str(tmp_path / "model" / "x.pkl")
        error = NotADirectoryError(errno.ENOTDIR, "Not a directory", path)

        assert f"{tmp_path / 'model'} is a file" in hint(error, folder=tmp_path)

    def test_a_program(self, tmp_path: Path) -> None:
        """subprocess reports a missing program as a missing file."""
        error = raised(tmp_path, "import subprocess\nsubprocess.run(['no-such-program'])\n")

        assert "The program no-such-program is not installed" in told(error, tmp_path)


class TestScript:
    """The entry script itself."""

    def test_a_folder(self, tmp_path: Path) -> None:
        error = ScriptUnreadable("it is a folder")

        given = hint_for(Case(error, "read", tmp_path, tmp_path))

        assert "Name the file in the folder" in given

    def test_not_readable(self, tmp_path: Path) -> None:
        (tmp_path / "score.py").touch()

        assert "which may not read the file" in hint(ScriptUnreadable("no"), folder=tmp_path)

    @pytest.mark.parametrize(
        ("source", "phrase"),
        [
            ("!pip install x\n", "!pip is a notebook command"),
            ("%matplotlib inline\n", "%matplotlib is a notebook command"),
            (">>> x = 1\n", "copied with its prompt"),
            ("<html>\n", "a web page"),
            ("x = 'abc\n", "A string begins here"),
            ("x = 1\u00a0+ 2\n", "an invisible character"),
            ("x = 1 – 2\n", "was probably copied from a formatted text"),
            ("  x = 1\n", "no line before it opens a block"),
            ("try:\n    pass\nexcept ValueError, e:\n    pass\n", "This is Python 2"),
            ("def f(:\n    pass\n", "Look at the marked line"),
            ("x = (1,\n", "is not closed before the file ends"),
        ],
    )
    def test_bad_syntax(self, source: str, phrase: str, tmp_path: Path) -> None:
        """Of what can be wrong with a text, the likeliest."""
        error = raised(tmp_path, source)

        assert phrase in told(error, tmp_path, "read")


@pytest.mark.parametrize(
    ("prefix", "cure"),
    [
        ("/home/me/env", f"{sys.executable} -m pip install pandas"),
        (
            "/opt/env",
            "environment file that the image was built from, and build again:\n    pandas",
        ),
    ],
)
def test_where_a_package_is_installed(
    monkeypatch: pytest.MonkeyPatch, prefix: str, cure: str
) -> None:
    """In the script's own interpreter; for an image, by its environment file."""
    monkeypatch.setenv("SCOREHOST_PYTHON", prefix)
    monkeypatch.setattr(sys, "prefix", prefix)

    text = hint(ModuleNotFoundError("No module named 'pandas'", name="pandas"), "import pandas")

    assert text.endswith(cure)


def test_names_python_itself_lost() -> None:
    """The module that a newer Python no longer has."""
    missing = ModuleNotFoundError("No module named 'imp'", name="imp")
    expected = (
        "imp was removed from Python in version 3.12" if sys.version_info >= (3, 12) else "imp"
    )

    assert expected in hint(missing)


def test_a_package_within_a_package(tmp_path: Path) -> None:
    """The script's import failed because of an import below it."""
    folder = tmp_path / "site-packages" / "wrapper"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("import no_such_backend\n")
    error = raised(
        tmp_path, f"import sys\nsys.path.append({str(folder.parent)!r})\nimport wrapper\n"
    )
    sys.path.remove(str(folder.parent))

    assert "A package that the script imports needs no_such_backend" in told(error, tmp_path)


@pytest.mark.parametrize(
    ("module", "package"),
    [
        ("sklearn", "scikit-learn"),
        ("PIL.Image", "pillow"),
        ("google.protobuf.message", "protobuf"),
        ("google.cloud.storage", "google-cloud-storage"),
        ("azure.search.documents", "azure-search-documents"),
        ("azureml.core.model", "azureml-core"),
        ("requests", "requests"),
    ],
)
def test_the_package_of_a_module(module: str, package: str) -> None:
    """Also inside the names that several packages share."""
    assert distribution_of(module) == package


def test_only_names_that_differ_are_listed() -> None:
    """A pair of equal names would say nothing."""
    assert [name for name, package in DISTRIBUTIONS.items() if name == package] == []


def test_versions_come_from_what_is_installed() -> None:
    """The import name leads to the package."""
    assert version_of("sklearn")[0] == "scikit-learn"
    assert version_of("no_such_module") == ("", "")


def test_a_rule_that_stumbles_is_passed_over(tmp_path: Path) -> None:
    """A hint must never replace the error."""

    class Trap(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    assert "scorehost check score.py" in hint(Trap(), folder=tmp_path)


def test_every_rule_is_silent_about_what_is_not_its_own(tmp_path: Path) -> None:
    """An ordinary exception gets no particular hint."""
    case = Case(ZeroDivisionError("division by zero"), "init()", tmp_path / "score.py", tmp_path)

    assert [rule(case) for rule in RULES] == [""] * len(RULES)


def raised(folder: Path, source: str) -> BaseException:
    """What running a script of the user's raises."""
    script = folder / "score.py"
    script.write_text(source, "utf-8")
    try:
        exec(compile(source, str(script), "exec"), {"__name__": "score"})
    except Exception as error:
        here = error.__traceback__
        return error.with_traceback(here and here.tb_next)
    raise AssertionError("the script raises nothing")


def told(error: BaseException, folder: Path, stage: str = "import") -> str:
    """The hint for what a script raised."""
    frames = user_frames(error, folder)
    return hint_for(Case(error, stage, folder / "score.py", folder, frames))
