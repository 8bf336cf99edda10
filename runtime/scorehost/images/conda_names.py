"""The names that pip has for conda's packages, and the packages that only conda has.

The tables are small: they hold the packages used in machine learning whose names differ. Any
other name is taken to be the same for both, which is true of most.
"""

from __future__ import annotations

import re

PIP_NAMES = {
    "dask-core": "dask",
    "faiss": "faiss-cpu",
    "faiss-gpu": "faiss-cpu",
    "lightgbm-cpu": "lightgbm",
    "matplotlib-base": "matplotlib",
    "msgpack-python": "msgpack",
    "numpy-base": "numpy",
    "onnxruntime-cpu": "onnxruntime",
    "opencv": "opencv-python-headless",
    "protobuf-python": "protobuf",
    "psycopg2": "psycopg2-binary",
    "py-lightgbm": "lightgbm",
    "py-opencv": "opencv-python-headless",
    "py-xgboost": "xgboost",
    "py-xgboost-cpu": "xgboost",
    "py-xgboost-gpu": "xgboost",
    "pyarrow-core": "pyarrow",
    "pytables": "tables",
    "python-duckdb": "duckdb",
    "python-flatbuffers": "flatbuffers",
    "python-graphviz": "graphviz",
    "pytorch": "torch",
    "pytorch-cpu": "torch",
    "pytorch-gpu": "torch",
    "ruamel_yaml": "ruamel.yaml",
    "seaborn-base": "seaborn",
    "snappy-python": "python-snappy",
    "tensorflow-base": "tensorflow",
    "tensorflow-gpu": "tensorflow",
    "tensorflow-mkl": "tensorflow",
    "torchvision-cpu": "torchvision",
    "xgboost-cpu": "xgboost",
}
"""pip's names of packages, by the different names that conda has for them."""

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
    "cmake": "cmake",
    "curl": "curl",
    "ffmpeg": "ffmpeg",
    "gdal": "gdal-bin",
    "git": "git",
    "graphviz": "graphviz",
    "imagemagick": "imagemagick",
    "java-jdk": "default-jre-headless",
    "libsndfile": "libsndfile1",
    "nodejs": "nodejs",
    "openjdk": "default-jre-headless",
    "pandoc": "pandoc",
    "poppler": "poppler-utils",
    "r-base": "r-base-core",
    "sox": "sox",
    "tesseract": "tesseract-ocr",
    "unixodbc": "unixodbc",
    "vim": "vim",
    "wget": "wget",
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
