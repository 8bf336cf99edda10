"""Shared libraries that an installed package needs and the system does not have."""

from __future__ import annotations

import re
from typing import Final

from scorehost.diagnosis.case import Case

APT_PACKAGES: Final[dict[str, str]] = {
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libSM.so.6": "libsm6",
    "libXext.so.6": "libxext6",
    "libXrender.so.1": "libxrender1",
    "libX11.so.6": "libx11-6",
    "libxcb.so.1": "libxcb1",
    "libgomp.so.1": "libgomp1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libgobject-2.0.so.0": "libglib2.0-0",
    "libquadmath.so.0": "libquadmath0",
    "libgfortran.so.5": "libgfortran5",
    "libopenblas.so.0": "libopenblas0",
    "libblas.so.3": "libblas3",
    "liblapack.so.3": "liblapack3",
    "libatlas.so.3": "libatlas3-base",
    "libstdc++.so.6": "libstdc++6",
    "libgcc_s.so.1": "libgcc-s1",
    "libsndfile.so.1": "libsndfile1",
    "libsndfile.so": "libsndfile1",
    "libportaudio.so.2": "libportaudio2",
    "libasound.so.2": "libasound2",
    "libmagic.so.1": "libmagic1",
    "libodbc.so.2": "unixodbc",
    "libpq.so.5": "libpq5",
    "libmariadb.so.3": "libmariadb3",
    "libxml2.so.2": "libxml2",
    "libxslt.so.1": "libxslt1.1",
    "libffi.so.8": "libffi8",
    "libssl.so.3": "libssl3",
    "libcrypto.so.3": "libssl3",
    "libgeos_c.so.1": "libgeos-c1v5",
    "libproj.so.25": "libproj25",
    "libspatialindex_c.so.6": "libspatialindex-c6",
    "libgdal.so.32": "libgdal32",
    "libtesseract.so.5": "libtesseract5",
    "libpoppler-cpp.so.0": "libpoppler-cpp0v5",
    "libcairo.so.2": "libcairo2",
    "libpango-1.0.so.0": "libpango-1.0-0",
    "libpangocairo-1.0.so.0": "libpangocairo-1.0-0",
    "libhdf5.so.103": "libhdf5-103-1",
    "libnuma.so.1": "libnuma1",
    "libusb-1.0.so.0": "libusb-1.0-0",
    "libz.so.1": "zlib1g",
    "libbz2.so.1.0": "libbz2-1.0",
    "liblzma.so.5": "liblzma5",
    "libsqlite3.so.0": "libsqlite3-0",
    "libtbb.so.12": "libtbb12",
    "libomp.so.5": "libomp5",
    "libjpeg.so.62": "libjpeg62-turbo",
    "libpng16.so.16": "libpng16-16",
    "libtiff.so.6": "libtiff6",
    "libwebp.so.7": "libwebp7",
    "libavcodec.so.59": "libavcodec59",
}
"""Library to the Debian package that holds it."""

_WRONG_PROCESSOR: Final = (
    "A compiled module was built for another kind of processor. Install the packages in the image "
    "itself; a folder of packages copied from another machine cannot work."
)
_UNLOADABLE: Final[dict[str, str]] = {
    "undefined symbol": "A compiled module was built against a version of a library other than the "
    "one it found. Packages that belong together (such as torch and torchvision) have to be "
    "installed in versions made for each other; reinstall both from the same source.",
    "wrong ELF class": _WRONG_PROCESSOR,
    "Exec format error": _WRONG_PROCESSOR,
}
_NUMPY_MISMATCH: Final = (
    "numpy.dtype size changed",
    "numpy.ndarray size changed",
    "numpy.ufunc size changed",
    "compiled using NumPy 1.x cannot be run",
    "numpy.core.multiarray failed to import",
    "_ARRAY_API not found",
    "compiled against API version",
)
_MISSING = re.compile(r"(?P<name>lib[\w.+-]+?\.so[\w.]*): cannot open shared object file")
_VERSION = re.compile(r"version [`'](?P<version>(?:GLIBC|GLIBCXX|CXXABI)_[\d.]+)' not found")
_GPU = re.compile(r"lib(cuda|cudart|cublas|cublasLt|cudnn|cufft|curand|nvinfer|nccl)\w*\.so")


def missing_library(case: Case) -> str:
    """A shared library is missing, or only another version of it is installed."""
    message = case.message
    if match := _MISSING.search(message):
        return _install(match["name"])
    if match := _VERSION.search(message):
        return _too_old(match["version"])
    if "static TLS block" in message:
        return _tls(message)
    return case.first_hint(_UNLOADABLE)


def numpy_mismatch(case: Case) -> str:
    """A compiled package and numpy belong to different generations."""
    if not case.says(*_NUMPY_MISMATCH):
        return ""
    return (
        "A compiled package was built for a numpy other than the one installed. Install compatible "
        "versions: a newer release of that package, or, for packages that support only numpy 1:\n"
        "    pip install 'numpy<2'"
    )


def _install(name: str) -> str:
    if _GPU.search(name):
        return (
            f"{name} belongs to the GPU driver or to CUDA, and it is not available on this machine "
            "or in this container. Start the container with --gpus all on a machine with an NVIDIA "
            "GPU, or install the CPU build of the package."
        )
    advice = ""
    if name in {"libGL.so.1", "libgthread-2.0.so.0", "libSM.so.6", "libXext.so.6"}:
        advice = (
            "\nOpenCV needs it only to open windows. Instead of opencv-python, install "
            "opencv-python-headless, which does not need it."
        )
    package = APT_PACKAGES.get(name)
    if package is None:
        return (
            f"The system library {name} is not installed. In a Debian or Ubuntu image, find the "
            f"package that contains it and install that:\n    apt-file search {name}{advice}"
        )
    return (
        f"The system library {name} is not installed. In a Debian or Ubuntu image:\n"
        f"    apt-get update && apt-get install -y --no-install-recommends {package}{advice}"
    )


def _too_old(version: str) -> str:
    library = "the C library" if version.startswith("GLIBC_") else "the C++ library"
    return (
        f"A compiled module needs {version}, and {library} of this system is older. The module "
        "was built on a newer system: install the package in this image rather than copying it "
        "in, or use a newer base image."
    )


def _tls(message: str) -> str:
    library = message.partition(": cannot allocate")[0].split(": ")[-1]
    return (
        "This library has to be loaded earlier. Import the package that raised the error before "
        f"all others in the script, or set this in the image:\n    ENV LD_PRELOAD={library}"
    )
