"""Saved models that do not load: other versions, other places, other formats."""

from __future__ import annotations

import re
from typing import Final

from scorehost.diagnosis.case import Case
from scorehost.diagnosis.installed import version_of

_LOADING = re.compile(
    r"\b(pickle|cPickle|cloudpickle|dill|joblib|torch|np|numpy|skops\w*)\.loads?\b"
    r"|\b(load_model|Unpickler|from_pretrained|read_pickle)\b"
)
_UNPICKLING_FILES = (
    "joblib/numpy_pickle.py",
    "joblib/numpy_pickle_utils.py",
    "/pickle.py",
    "pandas/io/pickle.py",
    "pandas/compat/pickle_compat.py",
    "torch/serialization.py",
    "dill/_dill.py",
)
_FIRST_BYTES: Final[dict[str, str]] = {
    "v": "a Git LFS pointer: its text begins with 'version https://git-lfs'. Fetch the model "
    "itself (git lfs pull) before it is registered or copied",
    "<": "a web page or XML: a download failed or requires a login",
    "P": "a zip archive, as written by numpy.savez, torch.save and Keras. Load it with the library "
    "that saved it",
    "\\x1f": "a file compressed with gzip. Open it with gzip.open, or load it with joblib",
    "\\x89": "HDF5, as written by Keras and PyTables. Load it with the library that saved it",
    "{": "JSON. Load it with the library that saved it (such as XGBoost's load_model)",
    "\\x93": "a numpy array. Load it with numpy.load",
    "\\x08": "a protocol buffer, as written by ONNX and TensorFlow. Load it with the library that "
    "saved it",
}
_CHANGED_LAYOUT: Final = (
    "node array from the pickle has an incompatible dtype",
    "is not a known BitGenerator",
    "incompatible dtype",
    "__pyx_unpickle",
    "unexpected keyword argument 'dtype'",
    "Buffer dtype mismatch",
    "state is not a dictionary",
)
_OTHER_FORMATS: Final[dict[str, str]] = {
    "file signature not found": "The file is not HDF5. It may be a Git LFS pointer, a web page or "
    "an empty file; compare its size with the original's.",
    "File format not supported: filepath=": "Keras 3 reads .keras and .h5 files. Load a SavedModel "
    "folder with keras.layers.TFSMLayer, or with TensorFlow 2.15 or older.",
    "PytorchStreamReader failed": "The torch file is not complete: a copy or download was cut "
    "off, or it is a Git LFS pointer. Compare its size with the original's.",
    "Weights only load failed": "Since torch 2.6, torch.load reads only weights. For a file "
    "that you trust: torch.load(path, weights_only=False). Better: save the state_dict.",
    "Error(s) in loading state_dict": "The weights belong to a model of another shape or "
    "version of the class. Use the class as it was when they were saved.",
    "INVALID_PROTOBUF": "The file is not ONNX. It may be a Git LFS pointer, a web page or a "
    "truncated file; compare its size with the original's.",
    "Unsupported model IR version": "The ONNX file is newer than this onnxruntime. Upgrade "
    "onnxruntime, or export with an older opset.",
    "Model format error": "The file is not a LightGBM text model. Load a pickle with joblib "
    "or pickle, and a text model with lightgbm.Booster(model_file=...).",
}
_NUMPY_2 = ("numpy._core", "numpy._core.multiarray", "numpy._core.numeric")


def inconsistent_version(case: Case) -> str:
    """scikit-learn's warning about another version, made an error."""
    if case.type_name != "InconsistentVersionWarning":
        return ""
    saved = getattr(case.error, "original_sklearn_version", "another version")
    here = getattr(case.error, "current_sklearn_version", version_of("sklearn")[1])
    name = getattr(case.error, "estimator_name", "The model")
    return (
        f"{name} was saved by scikit-learn {saved}; this is {here}. Install the version that "
        f"saved it, or train it again with this one:\n    pip install scikit-learn=={saved}"
    )


def missing_while_unpickling(case: Case) -> str:
    """A pickle names a module that is not installed."""
    error = case.error
    if not isinstance(error, ModuleNotFoundError) or not error.name or not _unpickling(case):
        return ""
    name = error.name
    if name in _NUMPY_2 or name.startswith("numpy._core"):
        return (
            f"The file was saved with numpy 2; numpy {version_of('numpy')[1]} is installed. "
            "Install numpy 2 or newer, or save the model again under numpy 1."
        )
    top = name.partition(".")[0]
    package, version = version_of(top)
    if name == "sklearn.externals.joblib" or package or name == "_loss":
        return _other_version(name, package or "scikit-learn", version or version_of("sklearn")[1])
    return (
        f"The saved object needs a module {name}, which is either a package of that name or a "
        f"file that was beside the training script. Install the package, or put the file beside "
        f"{case.script.name}."
    )


def missing_class_while_unpickling(case: Case) -> str:
    """A pickle names a class or function that no longer exists."""
    if not isinstance(case.error, AttributeError):
        return ""
    match = re.search(
        r"Can't get (?:local )?attribute '([^']+)' on <module '([^']+)'", case.message
    )
    if match is None:
        return ""
    name, module = match.groups()
    if module in {"__main__", "__mp_main__"}:
        return (
            f"{name} was defined in the notebook or script that saved the object. Define it in "
            f"{case.script.name} as well, or, better, in a module of its own that both import."
        )
    package, version = version_of(module.partition(".")[0])
    if package:
        return _other_version(f"{module}.{name}", package, version)
    return f"The saved object needs {name} in your module {module}, which no longer has it."


def unreadable_pickle(case: Case) -> str:
    """The bytes are not those of a pickle, or of one for another Python."""
    message = case.message
    if not _unpickling(case) and "pickle" not in message.lower():
        return ""
    if match := re.search(r"invalid load key, '(.+)'", message):
        return _by_first_byte(match[1])
    if isinstance(case.error, EOFError) or "pickle data was truncated" in message:
        return (
            "The file is empty or ends too early: a copy or download was cut off. Compare its "
            "size with the original's."
        )
    if match := re.search(r"unsupported pickle protocol: (\d+)", message):
        return (
            f"The file uses pickle protocol {match[1]}, which this Python does not support: it was "
            "saved by a newer one. Use that Python here, or save with protocol=4."
        )
    if re.search(
        r"code\(\) (argument|takes)|code expected at (most|least)|unknown opcode", message
    ):
        return (
            "The object contains functions saved by another version of Python. Use the Python that "
            "saved it, or keep functions out of the saved object."
        )
    if isinstance(case.error, UnicodeDecodeError):
        return (
            "The file was probably saved by Python 2. Load it with encoding='latin1', then save "
            "it again."
        )
    return ""


def changed_layout(case: Case) -> str:
    """A library's classes look different from those that were saved."""
    if not case.says(*_CHANGED_LAYOUT) or not _unpickling(case):
        return ""
    if case.says("BitGenerator", "dtype'"):
        return _other_version("the saved object", "numpy", version_of("numpy")[1])
    return _other_version("the saved object", "scikit-learn", version_of("sklearn")[1])


def other_formats(case: Case) -> str:
    """Model files of Keras, HDF5, ONNX, torch and XGBoost."""
    return case.first_hint(_OTHER_FORMATS)


def _unpickling(case: Case) -> bool:
    return case.passed(*_UNPICKLING_FILES) or bool(_LOADING.search(case.failing_line))


def _other_version(what: str, package: str, version: str) -> str:
    here = f"{package} {version}" if version else f"the {package} installed here"
    return (
        f"The model was saved with another version of {package}; {here} cannot load {what}. "
        "Install the version that saved the model, or train it again with this one. "
        "Record versions with the model:\n    pip freeze > requirements.txt"
    )


def _by_first_byte(key: str) -> str:
    found = _FIRST_BYTES.get(key)
    if found is None:
        return (
            f"The file does not begin like a pickle (its first byte is {key!r}). Load it with the "
            "library that saved it, and compare its size with the original's."
        )
    return f"The file is not a pickle but {found}."
