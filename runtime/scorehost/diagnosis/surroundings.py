"""What the machine or container does not provide: memory, permissions, network, GPU, space."""

from __future__ import annotations

import errno
import os
import re
from typing import Final

from scorehost.diagnosis.case import Case
from scorehost.diagnosis.model_files import path_of

_OFFLINE: Final = (
    "Containers often have no access to the network, and a start that downloads files is slow "
    "and fails when the other machine cannot be reached."
)
_NETWORK_TYPES: Final = frozenset({
    "ConnectError", "ConnectTimeout", "ConnectionError", "ConnectionRefusedError",
    "ConnectionResetError", "ConnectionTimeout", "EndpointConnectionError", "HTTPError",
    "HfHubHTTPError", "LocalEntryNotFoundError", "MaxRetryError", "NameResolutionError",
    "NewConnectionError", "OfflineModeIsEnabled", "ProxyError", "ReadTimeout",
    "ServiceRequestError", "TimeoutError", "URLError", "gaierror", "timeout",
    "ClientConnectorError", "RemoteDisconnected",
})  # fmt: skip
_GPU_FULL: Final = (
    "The GPU's memory is full. Each worker loads its own copy of the model onto it: use fewer "
    "workers, a smaller batch, or half precision."
)
_NO_GPU: Final = (
    "This machine or container has no usable GPU. Let the script choose a device that it has:\n"
    '    device = "cuda" if torch.cuda.is_available() else "cpu"\n'
    "or start the container on a GPU machine with --gpus all and a CUDA build of the package."
)
_GPU: Final = {
    "deserialize object on a CUDA device": "The weights were saved on a GPU, and there is none "
    'here. Load them with:\n    torch.load(path, map_location="cpu")',
    "re-initialize CUDA in forked subprocess": "CUDA was initialized before the workers were "
    "forked. Serve without --preload.",
    "CUDA out of memory": _GPU_FULL,
    "CUDA_ERROR_OUT_OF_MEMORY": _GPU_FULL,
    "Torch not compiled with CUDA enabled": _NO_GPU,
    "No CUDA GPUs are available": _NO_GPU,
    "Found no NVIDIA driver": _NO_GPU,
    "no CUDA-capable device": _NO_GPU,
    "CUDA driver version is insufficient": _NO_GPU,
    "CUDA error: no kernel image": _NO_GPU,
}
_CACHES: Final = {
    "matplotlib": "MPLCONFIGDIR",
    "huggingface": "HF_HOME",
    "transformers": "HF_HOME",
    "numba": "NUMBA_CACHE_DIR",
    "torch": "TORCH_HOME",
    "nltk_data": "NLTK_DATA",
    "keras": "KERAS_HOME",
    ".cache": "XDG_CACHE_HOME",
}


def out_of_memory(case: Case) -> str:
    """Python could not get the memory it asked for."""
    message = case.message
    refused = isinstance(case.error, OSError) and case.error.errno == errno.ENOMEM
    if not isinstance(case.error, MemoryError) and not refused and "bad_alloc" not in message:
        return ""
    wanted = re.search(r"Unable to allocate ([\d.]+ \w+)", message)
    size = f" ({wanted[1]} at once)" if wanted else ""
    return (
        f"The process asked for more memory than is available{size}. Give the container more, load "
        "less at once, or use a smaller data type (float32 rather than float64). Each worker loads "
        "its own copy of the model; with --preload true they share one."
    )


def denied(case: Case) -> str:
    """The process lacks a permission."""
    if not isinstance(case.error, PermissionError):
        return ""
    path = path_of(case)
    if path is None:
        return "The user that the process runs as may not do that; images do not run as root."
    who = f"This process runs as uid {os.getuid()}"
    if path.exists() and not os.access(path, os.R_OK):
        return f"{who} and may not read {path}. In the image:\n    RUN chmod -R a+rX {path}"
    return f"{who} and may not write {path}. {_write_elsewhere(str(path))}"


def read_only(case: Case) -> str:
    """The file system takes no writes."""
    if not isinstance(case.error, OSError) or case.error.errno != errno.EROFS:
        return ""
    path = str(case.error.filename or "")
    return f"The file system is read-only here. {_write_elsewhere(path)}"


def cache_folder(case: Case) -> str:
    """A library found no folder that it may write."""
    if "no locator available" in case.message:
        return "numba has no folder for the code that it compiles. " + _write_elsewhere("numba")
    if "writable cache directory" in case.message:
        return "matplotlib has no cache folder of its own. " + _write_elsewhere("matplotlib")
    return ""


def no_space(case: Case) -> str:
    """A disk, or shared memory, is full; or files are all in use."""
    code = case.error.errno if isinstance(case.error, OSError) else None
    if code == errno.ENOSPC or "No space left on device" in case.message:
        if "/dev/shm" in case.message or "shm" in case.message:  # noqa: S108 - a name in a message
            return (
                "Shared memory is full; by default containers have 64 MB of it. Give it more:\n"
                "    docker run --shm-size=1g"
            )
        return "The disk or the container's share of it is full. Write less, or mount a volume."
    if code == errno.EMFILE:
        return "The process has too many files open. Close them (use with), or raise ulimit -n."
    if code == errno.EADDRINUSE:
        return (
            "Another process is already listening on that port. A script needs no server of its "
            "own; for a debugger, use only one worker (--workers 1)."
        )
    return ""


def no_network(case: Case) -> str:
    """Something needed the network."""
    message = case.message
    if "CERTIFICATE_VERIFY_FAILED" in message:
        return (
            "The server's certificate is not trusted here. Behind a company proxy, add the proxy's "
            "certificate to the image and set:\n    ENV SSL_CERT_FILE=/path/to/bundle.pem"
        )
    if re.search(r"Resource \S*\w+\S* not found", message) and "nltk" in message.lower():
        return (
            "NLTK's data is not in the image. Add to the Dockerfile:\n"
            "    RUN python -m nltk.downloader -d /usr/share/nltk_data <resource>"
        )
    if match := re.search(r"\[E050\] Can't find model '([^']*)'", message):
        return (
            f"The spaCy model {match[1]} is not installed. Add to the Dockerfile:\n"
            f"    RUN python -m spacy download {match[1].strip()}"
        )
    offline = case.type_name in {"LocalEntryNotFoundError", "OfflineModeIsEnabled"}
    if offline or "huggingface.co" in message:
        return (
            f"The model is not in the image, and downloading it failed. {_OFFLINE} Save it with "
            "save_pretrained() beside the other model files and load it from that path."
        )
    if case.type_name in _NETWORK_TYPES or case.passed(
        "socket.py", "urllib/request.py", "urllib3/connection.py"
    ):
        return (
            f"The script calls another machine. {_OFFLINE} Put what it downloads into the image "
            "or the model's folder."
        )
    return ""


def no_gpu(case: Case) -> str:
    """CUDA was expected and is missing, or the GPU's memory is full."""
    return case.first_hint(_GPU)


def _write_elsewhere(path: str) -> str:
    variable = next((name for sign, name in _CACHES.items() if sign in path.lower()), "")
    if variable:
        return f"Give it a folder that it may write to:\n    ENV {variable}=/tmp/cache"
    return "Write below /tmp, or mount a volume that this user may write to."
