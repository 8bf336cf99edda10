"""Which packages an image gets: conda's files, requirements files, pyproject.toml."""

from __future__ import annotations

from pathlib import Path

import pytest

from scorehost.errors import UsageError
from scorehost.images.conda import parse, read_conda
from scorehost.images.conda_choice import conda_for
from scorehost.images.conda_names import CUDA, DEBIAN_NAMES, OWN_PARTS, PIP_NAMES, remedy
from scorehost.images.environment import find_environment, read_environment
from scorehost.images.requirement_lines import name_of, pinned_version, read_requirements

FILE = Path("myenv.yml")

GUIDE = """\
# Conda environment specification. The dependencies defined in this file will
# be automatically provisioned for runs with userManagedDependencies=False.
name: project_environment
dependencies:
- python=3.11
- pip:
  - azureml-defaults==1.0.17
  - ptvsd
- numpy==1.26.4
- scikit-learn==1.5.0
channels:
- conda-forge
"""
"""What CondaDependencies writes, with today's versions."""


def written(folder: Path, text: str, name: str = "myenv.yml") -> Path:
    file = folder / name
    file.write_text(text, "utf-8")
    return file


# -- conda ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "name", "constraint"),
    [
        ("numpy", "numpy", ""),
        ("numpy==1.26.4", "numpy", "==1.26.4"),
        ("numpy=1.26.4", "numpy", "==1.26.4"),
        ("numpy=1.26", "numpy", "==1.26.*"),
        ("numpy=1.26.*", "numpy", "==1.26.*"),
        ("numpy==1.*", "numpy", "==1.*"),
        ("numpy 1.26.*", "numpy", "==1.26.*"),
        ("numpy 1.26.4", "numpy", "==1.26.4"),
        ("numpy>=1.20,<2", "numpy", ">=1.20,<2"),
        ("numpy >=1.20, <2", "numpy", ">=1.20,<2"),
        ("numpy!=1.21", "numpy", "!=1.21"),
        ("numpy~=1.21", "numpy", "~=1.21"),
        ("numpy=*", "numpy", ""),
        ("numpy[version='>=1.20,<2']", "numpy", ">=1.20,<2"),
        ("numpy[version='>=1.20,<2', channel=conda-forge]", "numpy", ">=1.20,<2"),
        ("numpy>=1.20[channel='conda-forge']", "numpy", ">=1.20"),
        ("https://conda.anaconda.org/conda-forge::numpy=1.26", "numpy", "==1.26.*"),
        ("conda-forge::numpy=1.26", "numpy", "==1.26.*"),
        ("conda-forge/linux-64::numpy", "numpy", ""),
        ("NumPy", "numpy", ""),
        ("scikit-learn=0.24.1", "scikit-learn", "==0.24.1"),
        ("ruamel.yaml=0.17", "ruamel.yaml", "==0.17.*"),
    ],
)
def test_a_dependency_of_condas(entry: str, name: str, constraint: str):
    """Its name, and its version as pip writes it."""
    assert parse(entry, FILE)[:2] == (name, constraint)


@pytest.mark.parametrize(
    ("entry", "build"),
    [
        ("numpy=1.26.4=py311h64a7726_0", "py311h64a7726_0"),
        ("numpy==1.26.4=py311h64a7726_0", "py311h64a7726_0"),
        ("pytorch=1.26.0=py3.11_cuda12.1_cudnn8.9.2_0", "py3.11_cuda12.1_cudnn8.9.2_0"),
        ("numpy[version='1.26.4', build=py311*]", "py311*"),
        ("numpy=1.26[build='py311*']", "py311*"),
        ("numpy 1.26.4 py311h64a7726_0", "py311h64a7726_0"),
        ("numpy=1.26", ""),
        ("numpy==1.26.4", ""),
    ],
)
def test_a_build_string(entry: str, build: str):
    """It is told apart from the version, which stays."""
    assert parse(entry, FILE)[2] == build
    assert "1.26" in parse(entry, FILE)[1]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("numpy>=a b c", "cannot be parsed"),
        ("=1.2", "is not a valid dependency"),
        ("dask[complete]", "extras belongs below 'pip:'"),
    ],
)
def test_a_dependency_that_is_none(entry: str, said: str):
    """What cannot be said to pip is refused with the entry."""
    with pytest.raises(UsageError, match=said) as refused:
        parse(entry, FILE)
    assert entry in str(refused.value)


def test_the_guides_file(tmp_path: Path):
    """Python, pip's list and conda's; the old server's package is replaced, with a note."""
    environment = read_environment(written(tmp_path, GUIDE))

    own = ["ptvsd", "numpy==1.26.4", "scikit-learn==1.5.0"]
    assert environment.lines.requirements == [*own, "flask", "inference-schema"]
    assert environment.python == "==3.11.*"
    assert any("azureml-defaults==1.0.17 is not installed" in note for note in environment.notes)


@pytest.mark.parametrize(
    ("lines", "left"),
    [
        ("azureml-defaults", ["flask", "inference-schema", "numpy"]),
        ("azureml_defaults==1\nFlask==1.1.4\nnumpy", ["Flask==1.1.4", "numpy", "inference-schema"]),
        ("azureml-contrib-services", ["flask"]),
        ("azureml-inference-server-http\nazureml-defaults", ["flask", "inference-schema", "numpy"]),
        ("scorehost", []),
    ],
)
def test_what_came_with_the_old_packages(tmp_path: Path, lines: str, left: list[str]):
    """Scripts import Flask without naming it; it is installed unless the file has it."""
    file = written(tmp_path, lines, "requirements.txt")

    assert read_environment(file).lines.requirements == left


def test_names_of_condas(tmp_path: Path):
    """A package that pip calls otherwise gets pip's name, and the person hears of it."""
    file = written(tmp_path, "dependencies: [pytorch=2.1, py-xgboost, pip, setuptools=60]")

    environment = read_conda(file)

    assert environment.lines.requirements == ["torch==2.1.*", "xgboost"]
    assert "pytorch is called torch by pip" in environment.notes
    assert "setuptools=60 is ignored: the image has its own installer" in environment.notes


def test_only_conda_has_it(tmp_path: Path):
    """Everything that only conda has is named at once, each with what to do."""
    file = written(tmp_path, "dependencies: [mkl, ffmpeg, cudatoolkit=11.3, r-ggplot2, numpy]")

    with pytest.raises(UsageError) as refused:
        conda_for(read_conda(file), False)

    message = str(refused.value)
    assert "lists what only conda can install" in message
    assert "mkl: a library that conda packages separately" in message
    assert "install -y --no-install-recommends ffmpeg' to Dockerfile.steps" in message
    assert "cudatoolkit: part of CUDA" in message
    assert "r-ggplot2: an R package" in message
    assert "numpy:" not in message


def test_the_table_is_sound():
    """No name is both translated and refused, and nothing is translated to itself."""
    assert not [name for name in PIP_NAMES if remedy(name)]
    assert not [name for name, other in PIP_NAMES.items() if name == other]
    assert not OWN_PARTS & set(DEBIAN_NAMES)
    assert not [name for name in OWN_PARTS if CUDA.fullmatch(name)]


def test_pips_list(tmp_path: Path):
    """It is read as a requirements file in conda's folder would be: options, other files."""
    written(tmp_path, "idna\n-c limits.txt\n", "requirements.txt")
    written(tmp_path, "idna<4\n", "limits.txt")
    (tmp_path / "wheels").mkdir()
    text = (
        "dependencies:\n- numpy\n- pip:\n"
        "  - -r requirements.txt\n"
        "  - --extra-index-url https://mirror.example/simple?a=b\n"
        "  - -f https://wheels.example/torch.html\n"
        "  - -f wheels\n"
        "  - --pre --find-links=https://wheels.example/more.html\n"
        "  - --progress-bar off\n"
        "  - six==1.16.0 --hash=sha256:aa\n"
    )

    environment = read_environment(written(tmp_path, text))

    assert environment.lines.requirements == ["numpy", "idna", "six==1.16.0 --hash=sha256:aa"]
    assert environment.lines.constraints == ["idna<4"]
    assert environment.lines.options == [
        "--extra-index-url",
        "https://mirror.example/simple?a=b",
        "--find-links",
        "https://wheels.example/torch.html",
        "--find-links",
        str(tmp_path / "wheels"),
        "--pre",
        "--find-links",
        "https://wheels.example/more.html",
    ]
    assert environment.notes == [
        f"{tmp_path / 'myenv.yml'}, pip's list, line 6: --progress-bar is ignored"
    ]


def test_variables(tmp_path: Path):
    """What an environment sets is kept for the image."""
    file = written(tmp_path, "variables: {OMP_NUM_THREADS: 2}\ndependencies: [numpy]")

    assert read_environment(file).variables == {"OMP_NUM_THREADS": "2"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dependencies:\n\t- numpy", r"is not YAML: .* at line 2, column 1"),
        ("dependencies: [numpy", r"is not YAML: .* at line 1"),
        ("", "is empty, and must have keys"),
        ("- numpy", "is a list, and must have keys"),
        ("name: x\ndependancies: [numpy]", "Is 'dependancies' a misspelling of it"),
        ("name: x\nchannels: []", "Keys found: name, channels"),
        ("dependencies: numpy", "is a string; it must be a list"),
        ("dependencies:\n- pip: numpy", "'pip:' with a list below it"),
        ("dependencies:\n- npm: [left-pad]", "'npm:' among the dependencies is not supported"),
        ("dependencies:\n- pip: ['numpy==']", "pip's list, line 1: .* is not a valid requirement"),
        ("dependencies:\n- pip: [-e .]", "is source code, and images"),
        ("dependencies:\n- pip: [-r myenv.yml]", "includes itself"),
        ("dependencies:\n- pip: [-r gone.txt]", "gone.txt does not exist"),
        ("dependencies:\n- pip: [numpy, null]", "a dependency is empty"),
        ("dependencies: [numpy, 1.5]", "a dependency is a number, 1.5"),
        ("variables: [A=1]\ndependencies: []", "'variables' is a list; .* 'NAME: value'"),
        ("variables: A=1\ndependencies: []", "'variables' is a string; .* 'NAME: value'"),
        ("variables: {A: }\ndependencies: []", "variable A is empty; it must be a string"),
        ("variables: {A: [1]}\ndependencies: []", "variable A is a list"),
        ("variables: {MY VAR: 1}\ndependencies: []", "'MY VAR' is not a valid variable name"),
        ('variables: {A: "1\\nRUN id"}\ndependencies: []', "variable A: .* more than one line"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, text: str, said: str):
    """What cannot be read is refused with the file and the place."""
    with pytest.raises(UsageError, match=said) as refused:
        read_environment(written(tmp_path, text))
    assert "myenv.yml" in str(refused.value)


def test_bytes_that_are_no_text(tmp_path: Path):
    file = tmp_path / "myenv.yml"
    file.write_bytes(b"dependencies: [\xff]")

    with pytest.raises(UsageError, match="is not UTF-8 text"):
        read_environment(file)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("requirements.txt", "numpy # größer\r\n"),
        ("myenv.yml", "dependencies: [numpy] # größer\r\n"),
        ("pyproject.toml", "[project]\r\ndependencies = ['numpy'] # größer\r\n"),
    ],
)
def test_what_windows_writes(tmp_path: Path, name: str, text: str, encoding: str):
    """``pip freeze > requirements.txt`` in PowerShell writes UTF-16; a mark tells."""
    (tmp_path / name).write_bytes(text.encode(encoding))

    assert read_environment(tmp_path / name).lines.requirements == ["numpy"]


# -- requirements files ---------------------------------------------------------------------


def test_a_requirements_file(tmp_path: Path):
    """Comments, continued lines, markers, hashes, options and other files."""
    written(tmp_path, "scipy<2\n", "more.txt")
    written(tmp_path, "numpy<2.3\n", "limits.txt")
    text = (
        "\ufeff# what we need\n--index-url https://mirror.example/simple\n"
        "numpy==1.26.4 # the last of the ones\npandas ; python_version >= '3.9'\n"
        "requests==2.32.3 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
        "-r more.txt\n-c limits.txt\n--pre\n--progress-bar off\n"
    )

    lines = read_requirements(written(tmp_path, text, "requirements.txt"))

    assert lines.requirements == [
        "numpy==1.26.4",
        "pandas ; python_version >= '3.9'",
        "requests==2.32.3 --hash=sha256:aa --hash=sha256:bb",
        "scipy<2",
    ]
    assert lines.constraints == ["numpy<2.3"]
    assert lines.options == ["--index-url", "https://mirror.example/simple", "--pre"]
    assert len(lines.notes) == 1
    assert "--progress-bar is ignored" in lines.notes[0]


@pytest.mark.parametrize("line", ["-e .", "--editable=src", ".", "./library", "/opt/library"])
def test_a_folder_is_no_package(tmp_path: Path, line: str):
    with pytest.raises(UsageError, match=r"line 1: .* is source code, and images"):
        read_requirements(written(tmp_path, line, "requirements.txt"))


@pytest.mark.parametrize(
    "line",
    [
        "git+https://example.org/x.git",
        "x @ git+https://example.org/x",
        "x @ https://e.org/x.tar.gz",
    ],
)
def test_a_repository_is_no_package(tmp_path: Path, line: str):
    with pytest.raises(UsageError, match="use them with --wheelhouse"):
        read_requirements(written(tmp_path, line, "requirements.txt"))


@pytest.mark.parametrize(
    "line",
    [
        "./wheels/x-1-py3-none-any.whl",
        "wheels/x-1-py3-none-any.whl",
        "x-1-py3-none-any.whl",
        "/wheels/x-1-py3-none-any.whl[extra]",
        "file:///wheels/x-1-py3-none-any.whl",
        "x @ file:///wheels/x-1-py3-none-any.whl",
        "x @ file:///wheels/x-1-py3-none-any.whl#sha256=aa",
        "./wheels/x-1-py3-none-any.whl ; python_version > '3'",
    ],
)
def test_a_wheel_by_its_path(tmp_path: Path, line: str):
    """The build does not have it: it is said where wheels go, before anything is fetched."""
    with pytest.raises(UsageError, match=r"the path of a wheel.*name==version.*--wheelhouse"):
        read_requirements(written(tmp_path, line, "requirements.txt"))


@pytest.mark.parametrize(
    "line",
    [
        "x @ https://e.org/x-1-py3-none-any.whl",
        "https://e.org/x-1.whl",
        "https://e.org/x-1.whl#sha256=aa",
        "https://e.org/legit+tools-1-py3-none-any.whl",
        "x @ https://e.org/legit+/x-1-py3-none-any.whl",
    ],
)
def test_the_address_of_a_wheel(tmp_path: Path, line: str):
    assert read_requirements(written(tmp_path, line, "requirements.txt")).requirements == [line]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("numpy=1.26", "Write name==version"),
        ("two words", "line 1: 'two words'"),
        ("legit+tools==1", "is not a valid requirement"),
        ("legit+tools @ https://e.org/x-1.whl", "is not a valid requirement"),
        ("-r '/x", "line 1: .* cannot be parsed: No closing quotation"),
        ("-r", "line 1: --requirement needs a value"),
        ("--index-url --pre", "line 1: --index-url needs a value"),
    ],
)
def test_no_requirement(tmp_path: Path, line: str, said: str):
    with pytest.raises(UsageError, match=said):
        read_requirements(written(tmp_path, line, "requirements.txt"))


def test_files_in_a_circle(tmp_path: Path):
    written(tmp_path, "-r a.txt", "b.txt")

    with pytest.raises(UsageError, match="includes itself"):
        read_requirements(written(tmp_path, "-r b.txt", "a.txt"))


def test_a_circle_whose_paths_grow(tmp_path: Path):
    """A file is itself by whatever path."""
    (tmp_path / "sub").mkdir()

    with pytest.raises(UsageError, match="includes itself"):
        read_requirements(written(tmp_path / "sub", "-r ../sub/a.txt", "a.txt"))


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(UsageError, match=r"gone\.txt does not exist"):
        read_requirements(written(tmp_path, "-r gone.txt", "a.txt"))


def test_names_and_pins():
    assert name_of("Scikit_Learn[all]==1.5 --hash=sha256:aa") == "scikit-learn"
    assert name_of("https://e.org/x-1.whl") == ""
    assert pinned_version("numpy==1.15.4") == "1.15.4"
    assert pinned_version("numpy==1.15.4 ; python_version > '3'") == "1.15.4"
    assert pinned_version("numpy>=1.15") is None


# -- pyproject.toml, and which file ---------------------------------------------------------


def test_pyproject(tmp_path: Path):
    text = (
        "[project]\nname='x'\nrequires-python='>=3.9'\ndependencies=['numpy<3', 'scorehost>=0.1']"
    )

    environment = read_environment(written(tmp_path, text, "pyproject.toml"))

    assert environment.lines.requirements == ["numpy<3"]
    assert environment.python == ">=3.9"
    assert "scorehost>=0.1 is not installed: the base image already has it" in environment.notes


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[project", "is not TOML"),
        ("[tool.poetry]", r"has no \[project\] table"),
        ("[project]\ndynamic = ['dependencies']", "Export them to a requirements.txt"),
        ("[project]\ndependencies = 'numpy'", "is 'numpy'; it must be a list of strings"),
        ("[project]\ndependencies = [1]", r"is \[1\]; it must be a list of strings"),
    ],
)
def test_a_pyproject_that_is_none(tmp_path: Path, text: str, said: str):
    with pytest.raises(UsageError, match=said):
        read_environment(written(tmp_path, text, "pyproject.toml"))


def test_what_a_pyproject_leaves_out(tmp_path: Path):
    """Optional dependencies are for others; whoever meant them hears of it."""
    text = "[project]\nname='x'\n[project.optional-dependencies]\ngpu=['torch']\ndev=['ruff']"

    environment = read_environment(written(tmp_path, text, "pyproject.toml"))

    assert environment.lines.requirements == []
    assert "pyproject.toml lists no dependencies" in environment.notes[0]
    assert "optional dependencies are not installed: gpu, dev" in environment.notes[1]


def test_which_file(tmp_path: Path):
    """conda's first, as the guide has it; the others are named as not used."""
    written(tmp_path, "scipy", "requirements.txt")
    written(tmp_path, "dependencies: [numpy]")

    environment = find_environment(tmp_path, None)
    other = find_environment(tmp_path, tmp_path / "requirements.txt")

    assert environment.source == "myenv.yml"
    assert environment.lines.requirements == ["numpy"]
    assert environment.notes[0].startswith("using myenv.yml, ignoring requirements.txt")
    assert other.lines.requirements == ["scipy"]


def test_no_file(tmp_path: Path):
    environment = find_environment(tmp_path, None)

    assert environment.lines.requirements == []
    assert "the script has no packages but Python's own" in environment.notes[0]
    with pytest.raises(UsageError, match=r"env\.yml does not exist"):
        find_environment(tmp_path, tmp_path / "env.yml")
