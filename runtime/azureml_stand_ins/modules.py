"""The modules that stand in for others, and what each of them offers.

All are made from one table. Each is a package without files, so that Python asks the finder
about whatever else is imported from it, and the answer can say more than "no such module".
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import FrameType, ModuleType
from typing import Any, Final

FINDER_NAME: Final = "ScorehostStandIns"
"""What the class is called that the ``.pth`` line adds to Python's finders."""

_SDK: Final = "azureml_stand_ins.sdk"
_EXCEPTIONS: Final = "azureml_stand_ins.exceptions"
_LOG_CONFIG: Final = "azureml_stand_ins.log_config"
_PTVSD: Final = "scorehost.dev.ptvsd_calls"
_API: Final = "scorehost.api"

_CATCHABLE: Final = (
    "AzureMLException",
    "ModelNotFoundException",
    "RunEnvironmentException",
    "UserErrorException",
    "WebserviceException",
)
_REQUEST: Final = {"rawhttp": _API, "AMLRequest": _API}
_RESPONSE: Final = {"AMLResponse": _API}

EXPORTS: Final[dict[str, dict[str, str]]] = {
    "azureml": {},
    "azureml.core": {"Model": _SDK},
    "azureml.core.model": {"Model": _SDK, **dict.fromkeys(_CATCHABLE, _EXCEPTIONS)},
    "azureml.exceptions": dict.fromkeys(
        (
            *_CATCHABLE,
            "ActivityFailedException",
            "AuthenticationException",
            "AzureMLAggregatedException",
            "ComputeTargetException",
            "DatasetTimestampMissingError",
            "DiscoveryUrlNotFoundException",
            "ExperimentExecutionException",
            "ModelPathNotFoundException",
            "ParallelRunException",
            "ProjectSystemException",
            "RunConfigurationException",
            "ServiceException",
            "SnapshotException",
            "TrainingException",
            "WorkspaceException",
            "WorkspacePrivateEndpointException",
        ),
        _EXCEPTIONS,
    ),
    "azureml.contrib": {},
    "azureml.contrib.services": {"rawhttp": _API},
    "azureml.contrib.services.aml_request": _REQUEST,
    "azureml.contrib.services.aml_response": _RESPONSE,
    "ptvsd": dict.fromkeys(
        (
            "__scorehost__",
            "attach",
            "break_into_debugger",
            "debug_this_thread",
            "enable_attach",
            "is_attached",
            "tracing",
            "wait_for_attach",
        ),
        _PTVSD,
    ),
    "azureml_inference_server_http": {},
    "azureml_inference_server_http.api": {},
    "azureml_inference_server_http.api.aml_request": _REQUEST,
    "azureml_inference_server_http.api.aml_response": _RESPONSE,
    "azureml_inference_server_http.log_config": dict.fromkeys(
        ("AMLLogFormatter", "RootAccessFilter"), _LOG_CONFIG
    ),
}
"""Module, and name in it, to where that name really lives."""

_BOOTSTRAP: Final = "<frozen importlib._bootstrap>"

_SHARED: Final = frozenset({"azureml", "azureml.contrib"})
"""Packages that several distributions put modules into; a real one may take ours."""

_DISTRIBUTIONS: Final = {
    "azureml": "azureml-core",
    "azureml.ai": "azureml-ai-monitoring",
    "azureml.automl": "azureml-automl-runtime",
    "azureml.contrib": "",
    "azureml.contrib.services": "azureml-contrib-services",
    "azureml.dataprep": "azureml-dataprep",
    "azureml.fsspec": "azureml-fsspec",
    "azureml.interpret": "azureml-interpret",
    "azureml.mlflow": "azureml-mlflow",
    "azureml.monitoring": "azureml-monitoring",
    "azureml.train": "azureml-train-core",
    "azureml.train.automl": "azureml-train-automl-client",
    "azureml_inference_server_http": "azureml-inference-server-http",
    "ptvsd": "ptvsd",
}
"""Which distribution has a module and those below it."""


def find_spec(
    name: str, path: Sequence[str] | None, target: ModuleType | None
) -> ModuleSpec | None:
    """Find a stand-in; tell an import of anything beside them that it is absent."""
    parent = name.rpartition(".")[0]
    below_ours = _is_stand_in(parent)
    known = name in EXPORTS and (not parent or below_ours or parent in _SHARED)
    if not known and not below_ours:
        return None
    real = _found_later(name, path, target)
    if real is not None:
        return real
    if known:
        return ModuleSpec(name, _LOADER, origin="stand-in of scorehost", is_package=True)
    if _asked_by_import():
        # Not named `name`: Python drops that error when it looks for "from parent import name".
        raise ModuleNotFoundError(absent(name), name=parent)
    return None


def absent(name: str) -> str:
    """Say that something is not here, what is, and what to do."""
    distribution = _distribution(name)
    remedy = f": pip install {distribution}" if distribution else "."
    return (
        f"{name} belongs to {_provider(distribution)}, which is not installed here. scorehost "
        f"stands in for Model.get_model_path, rawhttp, AMLRequest, AMLResponse and "
        f"azureml.exceptions only. If the script really needs {name}, install the real package, "
        f"which is then used instead{remedy}"
    )


def _distribution(name: str) -> str:
    while name not in _DISTRIBUTIONS:
        name = name.rpartition(".")[0]
    return _DISTRIBUTIONS[name]


def _provider(distribution: str) -> str:
    sdk = "the retired Azure Machine Learning SDK"
    if not distribution:
        return sdk
    own = "server" in distribution or distribution == "ptvsd"
    return distribution if own else f"{sdk} ({distribution})"


class _Loader(Loader):
    """Fills a module from the table; a name's real home is imported when it is asked for."""

    def create_module(self, spec: ModuleSpec) -> None:
        """Let Python make an ordinary module."""

    def exec_module(self, module: ModuleType) -> None:
        exports = EXPORTS[module.__name__]
        module.__dict__.update(
            __doc__=f"scorehost's stand-in for {module.__name__}.",
            __all__=sorted(exports),
            __dir__=partial(_listing, module),
            __getattr__=partial(_attribute, module),
        )


_LOADER: Final = _Loader()


def _attribute(module: ModuleType, name: str) -> Any:
    full_name = f"{module.__name__}.{name}"
    if full_name in EXPORTS:
        return import_module(full_name)
    home = EXPORTS[module.__name__].get(name)
    if home is None:
        raise AttributeError(absent(full_name))
    value = getattr(import_module(home), name)
    setattr(module, name, value)
    return value


def _listing(module: ModuleType) -> list[str]:
    return sorted({*module.__dict__, *EXPORTS[module.__name__]})


def _is_stand_in(name: str) -> bool:
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return getattr(spec, "loader", None) is _LOADER


def _found_later(
    name: str, path: Sequence[str] | None, target: ModuleType | None
) -> ModuleSpec | None:
    """Ask the finders that were added after ours; they may have a real package."""
    names = [getattr(finder, "__name__", "") for finder in sys.meta_path]
    ours = len(names) - names[::-1].index(FINDER_NAME) if FINDER_NAME in names else len(names)
    for finder in sys.meta_path[ours:]:
        spec = finder.find_spec(name, path, target)
        if spec is not None:
            return spec
    return None


def _asked_by_import() -> bool:
    """Whether an import is under way, and not just a look with ``importlib.util.find_spec``.

    Libraries look like that for ``azureml.core.run`` to see whether the SDK is installed, and
    have to be told that it is not; an error would end them.
    """
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code.co_filename != _BOOTSTRAP:
        frame = frame.f_back
    while frame is not None and frame.f_code.co_filename == _BOOTSTRAP:
        if frame.f_code.co_name == "_find_and_load_unlocked":
            return True
        frame = frame.f_back
    return False
