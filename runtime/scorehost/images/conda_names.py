"""The names that pip has for conda's packages, and the packages that only conda has.

The tables are small: they hold the packages used in machine learning whose names differ. Any
other name is taken to be the same for both, which is true of most.
"""

from __future__ import annotations

import re

CONDA_NAMES = {
    "dask": ("dask-core",),
    "duckdb": ("python-duckdb",),
    "faiss-cpu": ("faiss", "faiss-gpu"),
    "flatbuffers": ("python-flatbuffers",),
    "graphviz": ("python-graphviz",),
    "lightgbm": ("lightgbm-cpu", "py-lightgbm"),
    "matplotlib": ("matplotlib-base",),
    "msgpack": ("msgpack-python",),
    "numpy": ("numpy-base",),
    "onnxruntime": ("onnxruntime-cpu",),
    "opencv-python-headless": ("opencv", "py-opencv"),
    "protobuf": ("protobuf-python",),
    "psycopg2-binary": ("psycopg2",),
    "pyarrow": ("pyarrow-core",),
    "python-snappy": ("snappy-python",),
    "ruamel.yaml": ("ruamel_yaml",),
    "seaborn": ("seaborn-base",),
    "tables": ("pytables",),
    "tensorflow": ("tensorflow-base", "tensorflow-gpu", "tensorflow-mkl"),
    "torch": ("pytorch", "pytorch-cpu", "pytorch-gpu"),
    "torchvision": ("torchvision-cpu",),
    "xgboost": ("py-xgboost", "py-xgboost-cpu", "py-xgboost-gpu", "xgboost-cpu"),
}
"""The different names that conda has for packages, by their names for pip."""

# By conda's name, for looking them up.
PIP_NAMES = {conda: pip for pip, names in CONDA_NAMES.items() for conda in names}

OWN_PARTS = frozenset(
    """
    _libgcc_mutex _openmp_mutex anaconda blas bzip2 ca-certificates conda icc_rt intel-openmp
    ld_impl_linux-64 libblas libcblas libffi libgcc-ng libgfortran-ng libgomp liblapack
    libstdcxx-ng libuuid llvm-openmp mkl mkl-service mkl_fft mkl_random ncurses nomkl openblas
    openssl python_abi readline sqlite tbb tk tzdata xz zlib
    """.split()  # noqa: SIM905 - quoted, they would take a line each
)
"""Libraries that conda packages by themselves. Wheels and Debian bring their own."""

DEBIAN_NAMES = {
    **{name: name for name in ("cmake", "curl", "ffmpeg", "git", "graphviz", "imagemagick")},
    **{name: name for name in ("nodejs", "pandoc", "sox", "unixodbc", "vim", "wget")},
    "gdal": "gdal-bin",
    "java-jdk": "default-jre-headless",
    "libsndfile": "libsndfile1",
    "openjdk": "default-jre-headless",
    "poppler": "poppler-utils",
    "r-base": "r-base-core",
    "tesseract": "tesseract-ocr",
}
"""Programs and libraries that are not Python packages, with the Debian packages that have them."""

CUDA = re.compile(r"(cudatoolkit|cudnn|nccl|cuda-.+|libcu[a-z]+|pytorch-cuda|cuda)$")
R_PACKAGE = re.compile(r"r-.+$")
COMPILER = re.compile(r"(.*_linux-64|.*_linux-aarch64|gcc|gxx|compilers|c-compiler|cxx-compiler)$")

SETUP_TOOLS = frozenset({"pip", "setuptools", "wheel"})
"""They install packages; the image has its own pip, and needs neither of the others."""


def pip_name(name: str) -> str:
    """The name that pip has for a conda package."""
    return PIP_NAMES.get(name, name)


def remedy(name: str) -> str | None:
    """What a package that only conda has is, and what to do; None for one that pip may have."""
    if name in OWN_PARTS:
        return "a library that conda packages separately; wheels include theirs. Remove the line."
    if name in DEBIAN_NAMES:
        return (
            "not a Python package. Remove the line, and add 'RUN apt-get update && apt-get "
            f"install -y --no-install-recommends {DEBIAN_NAMES[name]}' to Dockerfile.steps."
        )
    if CUDA.fullmatch(name):
        return "part of CUDA. Remove the line, and use --base-image inference-gpu."
    if R_PACKAGE.fullmatch(name):
        return "an R package, which an entry script in Python cannot use. Remove the line."
    if COMPILER.fullmatch(name):
        return "a compiler; images have none, and wheels do not need one. Remove the line."
    return None
