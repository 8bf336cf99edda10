"""Environment files as people have them: each builds, or is refused with a sentence that is right.

They stand for the kinds among 164 public files: old pins, patch releases, pip sections, extras,
channels, ranges, exports, packages that only conda has. docs/decisions/environment-files.md has
them as a table.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.containers import NAMES, ROOT, docker, inspect, python_image, scorehost_build
from support.server import fill

BASE = "org.opencontainers.image.base.name"
TABLE = ROOT / "docs" / "decisions" / "environment-files.md"


@dataclass(frozen=True)
class Case:
    """An environment file, and what becomes of it.

    Parameters
    ----------
    name : says what kind it is; it stands in the table.
    text : of the file.
    python : of the image; "" if there is none. "conda" for that of the tests' channel.
    says : what the build notes, or why it is refused.
    imports : what the script imports, which the last step of the build does.
    file : the name.
    more : other files of the folder.
    arguments : of ``scorehost build``.
    """

    name: str
    text: str
    python: str = ""
    says: str = ""
    imports: str = "sys"
    file: str = "myenv.yml"
    more: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()


def conda(python: str, *lines: str, pip: tuple[str, ...] = (), head: str = "") -> str:
    """A conda file."""
    listed = [f"- {line}" for line in ([python] if python else []) + [*lines]]
    if pip:
        listed += ["- pip", "- pip:", *(f"  - {line}" for line in pip)]
    return "\n".join([f"name: project-environment\n{head}dependencies:", *listed, ""])


FORGE = "channels:\n- conda-forge\n"
BOTH = "channels:\n- defaults\n- anaconda\n- conda-forge\n"

CASES = [
    # What the old service's own examples have
    Case(
        "the SDK's default: python=3.6.2 and azureml-defaults",
        conda("python=3.6.2", pip=("azureml-defaults==1.0.17",), head="channels:\n- conda-forge\n"),
        "3.8",
        "myenv.yml asks for Python 3.6.2; the image has 3.8",
        "flask, numpy, inference_schema",
    ),
    Case(
        "python=3.6.2 under --strict",
        conda("python=3.6.2", pip=("azureml-defaults",)),
        says="--strict does not accept the nearest, 3.8.",
        arguments=("--strict",),
    ),
    Case(
        "python=3.5 and nothing pinned",
        conda("python=3.5.6", "idna", head=BOTH),
        "3.8",
        "myenv.yml asks for Python 3.5.6",
        "idna",
    ),
    Case(
        "a patch release of 3.8, and pins of its time below pip",
        conda("python=3.8.13", pip=("numpy==1.19.5", "joblib==1.1.0"), head=FORGE),
        "3.8",
        imports="numpy, joblib",
    ),
    Case(
        "a patch release with its build",
        conda("python=3.8.13=h12debb9_0_cpython", "numpy=1.21.2=py38hdbf815f_0"),
        "3.8",
        imports="numpy",
    ),
    Case(
        "python=3.8, conda's numpy, and extras below pip",
        conda(
            "python=3.8", "numpy=1.21", pip=("inference-schema[numpy-support]", "azureml-defaults")
        ),
        "3.8",
        "azureml-defaults is not installed",
        "numpy, inference_schema.schema_decorators",
    ),
    Case(
        "python=3.9, the inference server's package",
        conda("python=3.9", pip=("azureml-inference-server-http~=0.7", "idna"), head=FORGE),
        "3.9",
        "azureml-inference-server-http~=0.7 is not installed",
        "flask, idna",
    ),
    Case(
        "python=3.9 with wildcards and a range",
        conda("python=3.9.*", "numpy=1.21*", "joblib>=1.1,<1.3"),
        "3.9",
        imports="numpy, joblib",
    ),
    Case("python=3.10", conda("python=3.10", "numpy=1.23", "pip=22.3"), "3.10", imports="numpy"),
    Case(
        "python=3.12 with its own setuptools",
        conda("python=3.12", "setuptools=68", "wheel", pip=("numpy==1.26.4",)),
        "3.12",
        "setuptools=68 is ignored",
        "numpy",
    ),
    Case("python=3.13", conda("python=3.13.1", pip=("idna",)), "3.13", imports="idna"),
    # Ranges
    Case("a range below the image's own", conda("python>=3.6,<3.9", "idna"), "3.8", imports="idna"),
    Case("a range with the image's own", conda("python>=3.8", "idna"), "3.11", imports="idna"),
    Case("python without a version", conda("python", "idna"), "3.11", imports="idna"),
    Case("no python at all", conda("", "idna", pip=("joblib",)), "3.11", imports="idna, joblib"),
    Case(
        "Python 2",
        conda("python=2.7", "idna"),
        says="asks for Python 2.7. Scripts run under Python 3.8 to 3.14. Port the script",
    ),
    # Pins that cannot be had
    Case(
        "pins of Python 3.7's time",
        conda("python=3.7", pip=("numpy==1.16.4", "idna==2.8")),
        says="numpy==1.16.4 has no wheel for Python 3.8. The nearest version that has one is 1.17",
    ),
    Case(
        "a slip in a name",
        conda("python=3.8", pip=("scikit-lern", "idna")),
        says="Did you mean scikit-learn",
    ),
    Case(
        "a package from git",
        conda("python=3.8", pip=("git+https://github.com/someone/thing.git",)),
        says="is source code, and images are built from wheels only",
    ),
    Case(
        "extras of conda's",
        conda("python=3.8", "dask[complete]"),
        says="a package with extras belongs below 'pip:'",
    ),
    Case("tabs", "name: x\ndependencies:\n\t- python=3.8\n", says="myenv.yml is not YAML"),
    Case(
        "no dependencies",
        "name: x\nchannels: [defaults]\n",
        says="has no list 'dependencies:'. Keys found: name, channels.",
    ),
    # Names and other parts of conda's files
    Case(
        "names that pip does not have",
        conda("python=3.8", "ruamel_yaml=0.17", "msgpack-python"),
        "3.8",
        "ruamel_yaml is called ruamel.yaml by pip",
        "ruamel.yaml, msgpack",
    ),
    Case(
        "variables, a prefix, another file below pip",
        conda("python=3.8", pip=("-r more.txt",), head="variables:\n  GREETING: hello\n")
        + "prefix: /home/somebody/miniconda3/envs/project\n",
        "3.8",
        imports="idna",
        more={"more.txt": "idna==3.10\n"},
    ),
    # What only conda has
    Case(
        "a package that only conda has",
        conda("python={conda}", "greet", "ffmpeg", pip=("idna",), head=FORGE),
        "conda",
        "the packages are conda's, since pip cannot install ffmpeg",
        "greet, idna",
    ),
    Case(
        "the same, with wheels wanted",
        conda("python={conda}", "ffmpeg", head=FORGE),
        says="ffmpeg: not a Python package. Remove the line, and add 'RUN apt-get update",
        arguments=("--no-conda",),
    ),
    Case(
        "an export with its builds and libraries",
        conda(
            "python={conda}=0", "libgreet=1.2.0=0", "greet=0.3=0", "ca-certificates=2024.7.2=h06a_0"
        ),
        says="No candidates were found for ca-certificates ==2024.7.2 h06a_0",
        arguments=("--channel", "defaults={channel}"),
    ),
    Case(
        "a channel that a package names",
        conda("python={conda}", "conda-forge::ffmpeg", "nodefaults::greet>=0.3", head=FORGE),
        "conda",
        "since pip cannot install ffmpeg",
        "greet",
        arguments=("--channel", "nodefaults={channel}"),
    ),
    # Other files
    Case(
        "requirements.txt with a marker",
        "# pinned\nnumpy==1.24.4 ; python_version < '3.12'\nidna  # any\n",
        "3.11",
        imports="numpy, idna",
        file="requirements.txt",
    ),
    Case(
        "requirements.txt and .python-version",
        "idna\n",
        "3.12",
        imports="idna",
        file="requirements.txt",
        more={".python-version": "3.12.4\n"},
    ),
    Case(
        "pyproject.toml with requires-python",
        '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.8,<3.10"\n'
        'dependencies = ["numpy<2"]\n',
        "3.9",
        imports="numpy",
        file="pyproject.toml",
    ),
    Case(
        "pyproject.toml with dynamic dependencies",
        '[project]\nname = "x"\nversion = "1"\ndynamic = ["dependencies"]\n',
        says="lists 'dependencies' under 'dynamic'",
        file="pyproject.toml",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_builds_or_is_refused(
    case: Case, inference: str, channel: tuple[str, str], tmp_path: Path
):
    """A file that names a Python from 3.8 up is never refused for that."""
    address, release = channel
    if case.python not in {"", "3.11", "conda"} and (reason := python_image(case.python)):
        pytest.skip(reason)
    script = f"import {case.imports}\ndef init(): pass\ndef run(data): return data\n"
    text = case.text.replace("{conda}", release)
    fill(tmp_path, {"score.py": script, case.file: text, **case.more})
    words = ["--channel", f"conda-forge={address}"]
    words += [word.replace("{channel}", address) for word in case.arguments]
    tag = f"{NAMES}/environment-{CASES.index(case)}:1"

    done = scorehost_build(tmp_path, tag, *words, check=False)

    said = " ".join(done.text.split())
    assert "Traceback" not in said
    assert case.says in said
    assert (done.status == 0) == bool(case.python), done.text
    if not case.python:
        assert len(done.err.strip().splitlines()) <= 6, done.err
        return
    version = docker("run", "--rm", "--network=none", tag, "python", "--version").out.split()[1]
    assert version.startswith(f"{release if case.python == 'conda' else case.python}"), version
    if case.python == "conda":
        docker("rmi", "--force", tag, inspect("image", tag)["Config"]["Labels"][BASE])


def test_the_table_is_true():
    """Each case has its row, with the Python of its image or with why it is refused."""
    rows = re.findall(r"^\| (.+?) \| (.+?) \|$", TABLE.read_text("utf-8"), re.MULTILINE)[1:]

    assert [name for name, _ in rows] == [case.name for case in CASES]
    for case, (name, outcome) in zip(CASES, rows, strict=True):
        assert outcome.startswith("refused" if not case.python else "builds"), name
        if case.python not in {"", "conda"}:
            assert f"Python {case.python}" in outcome, name
