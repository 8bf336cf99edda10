"""What the machine or container does not give: memory, permissions, network, GPU, space."""

from __future__ import annotations

import errno
import os
import re
from typing import Final

from scorehost.diagnosis.case import Case
from scorehost.diagnosis.model_files import path_of

_OFFLINE: Final = (
    "A container often has no way out to the network, and a start that downloads is slow and "
    "breaks when the other side does."
)
_NETWORK_TYPES: Final = frozenset({
    "ConnectError", "ConnectTimeout", "ConnectionError", "ConnectionRefusedError",
    "ConnectionResetError", "ConnectionTimeout", "EndpointConnectionError", "HTTPError",
    "HfHubHTTPError", "LocalEntryNotFoundError", "MaxRetryError", "NameResolutionError",
    "NewConnectionError", "OfflineModeIsEnabled", "ProxyError", "ReadTimeout",
    "ServiceRequestError", "TimeoutError", "URLError", "gaierror", "timeout",
    "ClientConnectorError", "RemoteDisconnected",
})  # fmt: skip
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
    """Python got no memory."""
    message = case.message
    refused = isinstance(case.error, OSError) and case.error.errno == errno.ENOMEM
    if not isinstance(case.error, MemoryError) and not refused and "bad_alloc" not in message:
        return ""
    wanted = re.search(r"Unable to allocate ([\d.]+ \w+)", message)
    size = f" ({wanted[1]} at once)" if wanted else ""
    return (
        f"The process asked for memory that there is not{size}. Give the container more, load less "
        "at once, or hold the model in a smaller type (float32 rather than float64). Several "
        "workers each load a model of their own; --preload true shares one."
    )


def denied(case: Case) -> str:
    """The process may not do that."""
    if not isinstance(case.error, PermissionError):
        return ""
    path = path_of(case)
    if path is None:
        return "The process may not do that as the user it runs as; images run as an ordinary user."
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
        return "numba has no folder for what it compiles. " + _write_elsewhere("numba")
    if "writable cache directory" in case.message:
        return "matplotlib has no folder of its own. " + _write_elsewhere("matplotlib")
    return ""


def no_space(case: Case) -> str:
    """A disk, or shared memory, is full; or files are all in use."""
    code = case.error.errno if isinstance(case.error, OSError) else None
    if code == errno.ENOSPC or "No space left on device" in case.message:
        if "/dev/shm" in case.message or "shm" in case.message:  # noqa: S108 - a name in a message
            return (
                "Shared memory is full; containers have 64 MB of it unless told otherwise:\n"
                "    docker run --shm-size=1g"
            )
        return "The disk is full, or the container's share of it. Write less, or mount a volume."
    if code == errno.EMFILE:
        return "The process has too many files open. Close them (use with), or raise ulimit -n."
    if code == errno.EADDRINUSE:
        return (
            "Something already listens on that port. A script needs no server of its own; for a "
            "debugger, let only one worker listen (--workers 1)."
        )
    return ""


def no_network(case: Case) -> str:
    """Something wanted the network."""
    message = case.message
    if "CERTIFICATE_VERIFY_FAILED" in message:
        return (
            "The other side's certificate is not trusted here. Behind a company's proxy, add its "
            "certificate to the image and name it:\n    ENV SSL_CERT_FILE=/path/to/bundle.pem"
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
    if "huggingface.co" in message or case.type_name in {
        "LocalEntryNotFoundError",
        "OfflineModeIsEnabled",
    }:
        return (
            f"The model is not in the image and was to be downloaded. {_OFFLINE} Save it with "
            "save_pretrained() beside the other model files and load it from that path."
        )
    if case.type_name in _NETWORK_TYPES or case.passed(
        "socket.py", "urllib/request.py", "urllib3/connection.py"
    ):
        return (
            f"The script calls another machine. {_OFFLINE} Put what it fetches into the image or "
            "the model's folder."
        )
    return ""


def no_gpu(case: Case) -> str:
    """CUDA was expected and is not there, or is full."""
    message = case.message
    if "deserialize object on a CUDA device" in message:
        return (
            "The weights were saved on a GPU and there is none here. Load them with:\n"
            '    torch.load(path, map_location="cpu")'
        )
    if "re-initialize CUDA in forked subprocess" in message:
        return "CUDA was started before the workers were forked. Serve without --preload."
    if "CUDA out of memory" in message or "CUDA_ERROR_OUT_OF_MEMORY" in message:
        return (
            "The GPU's memory is full. Each worker loads a model of its own onto it: use fewer "
            "workers, a smaller batch, or half precision."
        )
    signs = (
        "Torch not compiled with CUDA enabled",
        "No CUDA GPUs are available",
        "Found no NVIDIA driver",
        "no CUDA-capable device",
        "CUDA driver version is insufficient",
        "CUDA error: no kernel image",
    )
    if not any(sign in message for sign in signs):
        return ""
    return (
        "There is no usable GPU here. Choose the device by what there is:\n"
        '    device = "cuda" if torch.cuda.is_available() else "cpu"\n'
        "or start the container on a GPU machine with --gpus all and a CUDA build of the package."
    )


def _write_elsewhere(path: str) -> str:
    variable = next((name for sign, name in _CACHES.items() if sign in path.lower()), "")
    if variable:
        return f"Give it a folder that may be written:\n    ENV {variable}=/tmp/cache"
    return "Write below /tmp, or mount a volume that this user may write."
