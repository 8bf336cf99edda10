"""What will be built, before any engine is asked: the plan, the Dockerfile, the command."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scorehost import cli
from scorehost.errors import UsageError
from scorehost.images.context import Context
from scorehost.images.dockerfile import render
from scorehost.images.family import read_family
from scorehost.images.plan import Plan, Wishes, make_plan
from scorehost.images.wheels import Sources
from support.image_names import NAMES, NO_NAMES
from support.server import fill

FAMILY = read_family()
SCRIPT = "def init(): pass\ndef run(data): return data\n"


def plan(folder: Path, **wishes: Any) -> Plan:
    return make_plan(Wishes(folder, wishes.pop("tag", "app:1"), **wishes), FAMILY)


@pytest.fixture
def app(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    fill(folder, {"score.py": SCRIPT, "helper.py": ""})
    return folder


# -- the plan -------------------------------------------------------------------------------


def test_the_usual_folder(app: Path):
    """Script, packages, models and steps are found where they usually are."""
    fill(
        app,
        {
            "myenv.yml": "dependencies: [scipy]",
            "azureml-models/m/1/m.pkl": "x",
            "Dockerfile.steps": "RUN true",
            ".dockerignore": "data",
            "data/big.csv": "x",
        },
    )

    made = plan(app)

    assert made.entry_script == "score.py"
    assert made.base == FAMILY.images["inference-cpu"].reference
    assert [str(place) for _, place in made.files] == ["helper.py", "myenv.yml", "score.py"]
    assert [str(place) for _, place in made.model_files] == ["azureml-models/m/1/m.pkl"]
    assert made.steps == "RUN true"
    assert ".dockerignore excludes 1 file" in made.notes


def test_main_py_is_a_script_too(tmp_path: Path):
    fill(tmp_path, {"main.py": SCRIPT})

    assert plan(tmp_path).entry_script == "main.py"


def test_debug(app: Path):
    """The debugger, both switches, and the address behind a published port."""
    made = plan(app, debug=True)

    assert made.debugger == "debugpy"
    assert made.variables == {
        "SCOREHOST_DEBUG": "1",
        "SCOREHOST_DEBUG_HOST": "0.0.0.0",
        "SCOREHOST_RELOAD": "1",
    }
    assert 'SCOREHOST_DEBUG_HOST="0.0.0.0"' in render(made, "1000:1000")


def test_only_debug_opens_the_debugger(app: Path):
    assert "SCOREHOST_DEBUG_HOST" not in plan(app).variables
    assert "SCOREHOST_DEBUG_HOST" not in render(plan(app), "1000:1000")


def test_who_builds_a_debug_image_may_keep_the_debugger_inside(app: Path):
    made = plan(app, debug=True, variables=["SCOREHOST_DEBUG_HOST=127.0.0.1"])

    assert made.variables["SCOREHOST_DEBUG_HOST"] == "127.0.0.1"


def test_debug_beside_packages(app: Path):
    """The debugger is no requirement of the environment file, whose lock and hashes stay valid."""
    fill(app, {"requirements.txt": "idna==3.10 --hash=sha256:aa\n"})
    (app / "myenv.yml").unlink(missing_ok=True)

    made = plan(app, debug=True)

    assert made.debugger == "debugpy"
    assert made.environment.lines.requirements == ["idna==3.10 --hash=sha256:aa"]
    assert not plan(app).debugger


def test_variables(app: Path):
    """The command line's win over the environment file's."""
    fill(app, {"myenv.yml": "variables: {A: 1, B: 2}\ndependencies: [scipy]"})

    assert plan(app, variables=["B=x=y"]).variables == {"A": "1", "B": "x=y"}


def test_a_secret_that_is_named(app: Path):
    fill(app, {".env": "X=1"})

    assert ".env" in [str(place) for _, place in plan(app, allowed_secrets=["./.env"]).files]


@pytest.mark.parametrize(
    ("files", "wishes", "said"),
    [
        ({}, {"tag": "My-Model:1"}, "Did you mean my-model:1"),
        ({}, {"tag": "a b"}, "is not a valid image name"),
        ({}, {"entry_script": "scor.py"}, "Did you mean --entry-script score.py"),
        ({}, {"entry_script": "../score.py"}, "must be in the folder"),
        ({}, {"docker_file": Path("steps")}, "--docker-file steps does not exist"),
        ({"Dockerfile.steps": "FROM debian\nRUN true"}, {}, "has a FROM"),
        ({"Dockerfile.steps": "RUN a \\\n  b\n\n  from debian"}, {}, "has a FROM"),
        ({"Dockerfile.steps": "RUN <<EOF\na\nEOF\nFROM debian"}, {}, "has a FROM"),
        ({"Dockerfile.steps": "\ufeffFROM debian"}, {}, "has a FROM"),
        (
            {"myenv.yml": "dependencies: ['python=3.6.2']"},
            {"strict": True},
            "not accept the nearest",
        ),
        ({"myenv.yml": "dependencies: ['python=2.7']"}, {}, "Port the script to Python 3"),
        (
            {},
            {"python": "3.15"},
            r"--python 3\.15 cannot be had\. Scripts run under Python 3\.8 to",
        ),
        (
            {},
            {"python": "three"},
            r"--python three is not a version\. Write it like --python 3\.10",
        ),
        ({".dockerignore": "score.py"}, {}, "The entry script score.py would be missing from"),
        ({}, {"sample": "request.json"}, "The sample request.json would be missing from"),
        ({".env": "PASSWORD=x"}, {}, r"\.env: environment variables.*(\n.*)*--allow-secret \.env"),
        ({}, {"variables": ["A"]}, "--env A is not of the form"),
        ({}, {"variables": ["A-B=1"]}, "--env A-B=1 is not of the form"),
        ({}, {"variables": ["A=1\n2"]}, "more than one line"),
        ({}, {"variables": ["A=1\r2"]}, "more than one line"),
        ({}, {"models": ["m=nowhere.pkl"]}, "nowhere.pkl does not exist"),
        ({}, {"base_image": ""}, "--base-image '' is not a valid image name"),
        ({}, {"base_image": "base:1\nRUN id"}, "is not a valid image name"),
    ],
)
def test_what_cannot_be_planned(
    app: Path, files: dict[str, str], wishes: dict[str, Any], said: str
):
    """One clear message, before anything is built."""
    fill(app, files)

    with pytest.raises(UsageError, match=said):
        plan(app, **wishes)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"predict.py": ""}, "has no score.py. It has predict.py: choose one"),
        ({"scores.py": ""}, "Did you mean --entry-script scores.py"),
        ({"readme.txt": ""}, "no Python files"),
    ],
)
def test_no_script(tmp_path: Path, files: dict[str, str], said: str):
    fill(tmp_path, files)

    with pytest.raises(UsageError, match=said):
        plan(tmp_path)


def test_a_file_for_a_folder(app: Path):
    with pytest.raises(
        UsageError, match=r"takes the folder that contains it: .* --entry-script score.py"
    ):
        plan(app / "score.py")
    with pytest.raises(UsageError, match="does not exist"):
        plan(app / "nowhere")


@pytest.mark.parametrize("tag", NAMES)
def test_names_of_images(app: Path, tag: str):
    assert plan(app, tag=tag).tag == tag


@pytest.mark.parametrize("reference", [*NAMES, f"base@sha256:{'a' * 64}", "a" * 64])
def test_names_of_base_images(app: Path, reference: str):
    """They may be pinned, or be an engine's own number."""
    assert plan(app, base_image=reference).base == reference


@pytest.mark.parametrize("tag", [*NO_NAMES, "Team/a"])
def test_no_names_of_images(app: Path, tag: str):
    """What an engine refuses is refused at once."""
    with pytest.raises(UsageError, match="is not a valid image name"):
        plan(app, tag=tag)


@pytest.mark.parametrize(
    "steps",
    [
        'RUN python -c "\\\nfrom pathlib import Path; \\\n# why\n\nprint(Path())"\n',
        "RUN python3 <<EOF\nfrom pathlib import Path\nEOF\nRUN true\n",
        "RUN cat <<-'A' 1<<B\nfrom a\n\tA\nfrom b\nB\n",
        "COPY <<EOF /notes\nfrom me\nEOF\n",
        "# From here on\nRUN true\n",
    ],
)
def test_a_from_that_begins_nothing(app: Path, steps: str):
    """Python's own, in the middle of an instruction or in a document, is no instruction."""
    fill(app, {"Dockerfile.steps": steps})

    assert plan(app).steps == steps


def test_steps_that_windows_wrote(app: Path):
    """No mark and no carriage return gets into the middle of the Dockerfile."""
    fill(app, {"Dockerfile.steps": "RUN true\r\nRUN id\r\n".encode("utf-8-sig")})

    assert plan(app).steps == "RUN true\nRUN id\n"


# -- the Dockerfile -------------------------------------------------------------------------


def instructions(text: str) -> list[str]:
    lines = text.replace("\\\n", "").splitlines()
    return [line.split()[0] for line in lines if line and not line.startswith("#")]


def test_the_whole_dockerfile(app: Path):
    """What changes seldom comes first, the script last; root only until the app is copied."""
    fill(
        app,
        {
            "myenv.yml": "dependencies: [scipy]",
            "azureml-models/m/1/m.pkl": "x",
            "Dockerfile.steps": "RUN apt-get update\n",
            "request.json": "{}",
        },
    )
    made = plan(app, base_image="base:1", variables=["A=1"], sample="request.json")
    made = replace(made, labels={"title": "app"})

    assert render(made, "10001:0").partition("\n\n")[2] == (
        "# Packages are installed in a stage that is discarded; only their files are kept.\n"
        "FROM base:1 AS packages\n"
        "USER root\n"
        "COPY .scorehost/packages/ /tmp/packages/\n"
        'RUN ["python", "/tmp/packages/overlay.py", "/overlay", "--no-index", "--find-links", '
        '"/tmp/packages", "--no-deps", "--require-hashes", "--requirement", '
        '"/tmp/packages/requirements.lock"]\n'
        "\n"
        "FROM base:1\n"
        "USER root\n"
        "\n"
        "# The packages of myenv.yml; a new script leaves this layer unchanged.\n"
        "COPY --from=packages /overlay/opt/scorehost/replaced /opt/scorehost/\n"
        "RUN xargs --arg-file=/opt/scorehost/replaced --delimiter='\\n' --no-run-if-empty rm -rf\n"
        "COPY --from=packages /overlay/ /\n"
        'RUN ["python", "-m", "pip", "check"]\n'
        "\n"
        "# Dockerfile.steps, unchanged.\n"
        "RUN apt-get update\n"
        "USER root\n"
        "\n"
        "# The list of the installed packages.\n"
        'RUN ["/opt/scorehost/bin/python", "/opt/scorehost/sbom.py", '
        '"/opt/scorehost/sbom.cdx.json"]\n'
        "\n"
        "# How the container runs.\n"
        'ENV AZUREML_ENTRY_SCRIPT="score.py" \\\n'
        '    A="1"\n'
        "WORKDIR /var/azureml-app\n"
        "USER 10001\n"
        "\n"
        "# What changes most often comes last.\n"
        "COPY --chown=10001:0 .scorehost/models/ /var/azureml-app/\n"
        "COPY --chown=10001:0 .scorehost/app/ /var/azureml-app/\n"
        "\n"
        "# Check that the script loads, finds its models and starts.\n"
        'RUN ["env", "PYTHONDONTWRITEBYTECODE=1", "scorehost", "check", "--sample", '
        '"request.json"]\n'
        "\n"
        'LABEL title="app" \\\n'
        '    org.opencontainers.image.base.name="base:1"\n'
    )


def test_the_smallest_dockerfile(app: Path):
    """No packages: one stage. No models, no check: neither is mentioned."""
    text = render(plan(app, check=False), "1:0")

    assert instructions(text) == ["FROM", "USER", "RUN", "ENV", "WORKDIR", "USER", "COPY", "LABEL"]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ('say "x"', r'"say \"x\""'),
        ("$HOME", r'"\$HOME"'),
        ("a\\b", r'"a\\b"'),
        ("ü ', x", '"ü \', x"'),
    ],
)
def test_values_are_taken_as_they_are(app: Path, value: str, written: str):
    """The builder replaces nothing in them."""
    text = render(plan(app, variables=[f"A={value}"]), "1:0")

    assert f"A={written}\n" in text


def test_nothing_of_an_index_is_in_the_image(app: Path):
    """Neither its address, which may hold a password, nor its certificates."""
    fill(app, {"requirements.txt": "--index-url https://u:p@mirror.example/simple\nscipy"})
    sources = Sources(index_url="https://other.example/simple", ca_bundle=Path("/etc/bundle.pem"))

    text = render(plan(app, sources=sources), "1:0")

    assert "mirror" not in text
    assert "other" not in text
    assert "bundle" not in text


# -- the context ----------------------------------------------------------------------------


def test_modes_are_ours(tmp_path: Path, app: Path):
    """Whoever runs the container can read; the user and group 0 can write."""
    (app / "score.py").chmod(0o600)
    fill(app, {"tool.sh": "#!/bin/sh"})
    (app / "tool.sh").chmod(0o700)
    context = Context(tmp_path / "context")

    context.add_files("app", plan(app).files)

    place = tmp_path / "context" / ".scorehost" / "app"
    modes = {file.name: oct(file.stat().st_mode & 0o777) for file in (place, *place.iterdir())}
    expected = {"app": "0o775", "score.py": "0o664", "helper.py": "0o664", "tool.sh": "0o775"}
    assert modes == expected
    assert oct((app / "score.py").stat().st_mode & 0o777) == "0o600"


@pytest.mark.parametrize(
    ("steps", "there"), [("RUN true", False), ("COPY a /b", True), ("RUN x\n  add a /b", True)]
)
def test_files_for_the_users_own_copy(tmp_path: Path, app: Path, steps: str, there: bool):
    """They lie at the top of the context when a step of the user's takes them from there."""
    context = Context(tmp_path / "context")

    context.add_for_steps(steps, plan(app).files)

    assert (tmp_path / "context" / "score.py").exists() is there


# -- the command ----------------------------------------------------------------------------


def test_dry_run(app: Path, capsys: pytest.CaptureFixture[str]):
    """It shows the Dockerfile; no engine is needed, and nothing is written."""
    before = sorted(app.rglob("*"))

    status = cli.run(["build", str(app), "--dry-run"], {"PATH": ""})

    out = capsys.readouterr().out
    assert status == 0
    assert out.startswith("# Made by scorehost")
    assert 'ENV AZUREML_ENTRY_SCRIPT="score.py"' in out
    assert sorted(app.rglob("*")) == before


def test_help(capsys: pytest.CaptureFixture[str]):
    assert cli.run(["build", "--help"], {}) == 0
    out = capsys.readouterr().out
    assert "--model NAME[:VERSION]=PATH" in out
    assert all(len(line) < 100 for line in out.splitlines())


def test_a_name_is_needed(app: Path):
    with pytest.raises(UsageError, match="-t my-model:1"):
        cli.run(["build", str(app)], {"PATH": ""})


def test_a_cache_that_cannot_be_written(app: Path):
    """It is said what to name instead, before anything is built."""
    environ = {"PATH": "", "XDG_CACHE_HOME": "/dev/null"}

    with pytest.raises(UsageError, match=r"scorehost/bases, .* cannot be written.*XDG_CACHE_HOME"):
        cli.run(["build", str(app), "-t", "app:1", "--engine", "/bin/true"], environ)


def test_no_engine(app: Path, capsys: pytest.CaptureFixture[str]):
    """Neither command is installed: what that is and how to get one."""
    status = cli.run(["build", str(app), "-t", "app:1"], {"PATH": "", "HOME": str(app)})

    assert status == 1
    said = capsys.readouterr().err
    assert "Neither docker nor podman is installed." in said
    assert "apt-get install docker.io" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--wheelhouse", "nowhere"], "--wheelhouse nowhere does not exist"),
        (["--ca-bundle", "nowhere"], "--ca-bundle nowhere does not exist"),
        (["--locked", "--upgrade"], "Use one or the other"),
        (["--locked", "--lock"], "not allowed with"),
        (["--tags"], "unrecognized"),
    ],
)
def test_arguments_that_cannot_be_used(app: Path, arguments: list[str], said: str):
    with pytest.raises(UsageError, match=said):
        cli.run(["build", str(app), "-t", "app:1", *arguments], {"PATH": ""})


# -- the family -----------------------------------------------------------------------------


def test_the_family():
    """Parents come before children, and older Pythons before newer ones."""
    images = FAMILY.images

    assert list(images) == ["foundation", "inference-cpu", "foundation-cuda", "inference-gpu"]
    assert images["inference-cpu"].parent is images["foundation"]
    assert list(FAMILY.interpreters) == [f"3.{minor}" for minor in range(8, 15)]
    assert all(version == each.python for version, each in FAMILY.interpreters.items())
    assert FAMILY.reference("somebody/else:1") == "somebody/else:1"


def test_upstream_images_are_pinned():
    """By tag and digest."""
    for upstream in FAMILY.upstream.values():
        name, _, digest = upstream.pinned.partition("@sha256:")
        assert ":" in name
        assert len(digest) == 64
