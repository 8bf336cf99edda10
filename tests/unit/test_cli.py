"""The command line: commands, flags, help, and what is said about mistakes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from scorehost import __version__, cli, drop_in
from scorehost.commands import COMMANDS
from scorehost.commands.arguments import CommandLine, Parsed
from scorehost.commands.reference import reference
from scorehost.errors import UsageError
from scorehost.settings import declarations
from scorehost.sources import Resolved, resolve

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run ``scorehost`` in this process; status, standard output and error."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, environ: Mapping[str, str] = {}) -> tuple[int, str, str]:
        environ = {"AML_APP_ROOT": str(tmp_path), **environ}
        status = cli.guarded("scorehost", cli.run, arguments, environ)
        said = capsys.readouterr()
        return status, said.out, said.err

    return call


def read(*arguments: str) -> Parsed:
    parsed = CommandLine("serve", takes_script=True).read(arguments)
    assert parsed is not None
    return parsed


# -- scorehost itself ---------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"], ["help"]])
def test_alone_it_says_what_it_can_do(run: Run, arguments: Sequence[str]):
    status, out, err = run(*arguments)

    assert (status, err) == (0, "")
    for name, does in COMMANDS.items():
        assert name in out
        assert does in out


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_version(run: Run, flag: str):
    assert run(flag) == (0, f"scorehost {__version__}\n", "")


def test_module_and_command_are_the_same():
    command = Path(sys.executable).parent / "scorehost"

    answers = [
        subprocess.run(words, capture_output=True, text=True, timeout=30, check=True).stdout
        for words in (
            [str(command), "--version"],
            [sys.executable, "-m", "scorehost", "--version"],
        )
    ]

    assert answers == [f"scorehost {__version__}\n"] * 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["srve"], "srve is not a command. Did you mean serve?"),
        (["score.py"], "score.py is not a command. Did you mean 'scorehost serve score.py'?"),
        (["xyzzy"], f"xyzzy is not a command. The commands are {', '.join(COMMANDS)}."),
        (["serve", "--prot", "1"], "Unknown option --prot. Did you mean --port?"),
        (["serve", "--prot=1"], "Unknown option --prot. Did you mean --port?"),
        (
            ["serve", "--worker-count", "2"],
            "Unknown option --worker-count. Did you mean --workers?",
        ),
        (["serve", "--xyzzy"], "Unknown option --xyzzy."),
        (["serve", "a.py", "b.py"], "Unexpected argument 'b.py'."),
        (["serve", "--port"], "argument --port: expected one argument."),
        (
            ["serve", "--port", "http"],
            "--port is 'http', which is not accepted. It takes a whole number from 0 to 65535.",
        ),
        (
            ["serve", "--preload=perhaps"],
            "--preload is 'perhaps', which is not accepted. "
            "It takes true or false (also 1, 0, yes, no, on, off).",
        ),
        (["check", "--sampel", "x"], "Unknown option --sampel. Did you mean --sample?"),
        (
            ["check", "--sample", "nowhere.json"],
            "Cannot read the sample nowhere.json: No such file or directory.",
        ),
        (
            ["config", "--json", "--markdown"],
            "argument --markdown: not allowed with argument --json.",
        ),
        (["models", "--version", "1"], "--version requires a model name."),
        (["models", "m", "--version", "new"], "--version is 'new'. It takes a whole number."),
    ],
)
def test_a_mistake_is_one_line_and_status_2(run: Run, arguments: Sequence[str], said: str):
    assert run(*arguments) == (2, "", f"scorehost: {said}\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command(run: Run, command: str):
    status, out, err = run(command, "--help")

    assert (status, err) == (0, "")
    assert out.startswith(f"usage: scorehost {command} [options]")
    assert COMMANDS[command] in out


def test_help_of_serve_has_every_setting(run: Run):
    _, out, _ = run("serve", "--help")

    text = " ".join(out.split())
    for item in declarations().values():
        assert f"{item.flag} " in text
        assert item.help in text
        assert f"[{item.variable}" in text


# -- flags --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "flags"),
    [
        ([], {}),
        (["--port", "1"], {"port": "1"}),
        (["--port=1"], {"port": "1"}),
        (["--port", "1", "--port", "2"], {"port": "2"}),
        (["--model_dir", "m"], {"model_dir": "m"}),
        (["--preload"], {"worker_preload": "true"}),
        (["--preload", "false"], {"worker_preload": "false"}),
        (["--preload", "No"], {"worker_preload": "No"}),
        (["--preload=off"], {"worker_preload": "off"}),
        (["--no-preload"], {"worker_preload": "false"}),
        (["--no_access_log"], {"access_log": "false"}),
        (["--preload", "--port", "1"], {"worker_preload": "true", "port": "1"}),
        (["--preload", "score.py"], {"worker_preload": "true", "entry_script": "score.py"}),
        (["score.py", "--preload"], {"worker_preload": "true", "entry_script": "score.py"}),
        (["--port", "1", "score.py"], {"port": "1", "entry_script": "score.py"}),
        (["--workers", "auto"], {"worker_count": "auto"}),
        (["--service-path-prefix", ""], {"service_path_prefix": ""}),
        (["--shutdown-delay", "-1"], {"shutdown_delay": "-1"}),
    ],
)
def test_flags(arguments: Sequence[str], flags: dict[str, str]):
    assert read(*arguments).flags == flags


@pytest.mark.parametrize(
    "shorthand",
    [
        "--model-dir", "--host", "--port", "--health-port", "--workers", "--config-file",
        "--log-format", "--on-init-failure", "--log-level",
    ],
)  # fmt: skip
def test_the_flags_everybody_uses(shorthand: str):
    assert list(read(shorthand, "x").flags.values()) == ["x"]


def test_every_flag_sets_its_setting():
    for name, item in declarations().items():
        assert read(f"{item.flag}=1").flags == {name: "1"}


def test_a_script_on_the_command_line_lies_where_the_shell_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.py").touch()

    assert read("here.py").flags["entry_script"] == str(tmp_path / "here.py")
    assert read("elsewhere.py").flags["entry_script"] == "elsewhere.py"


def test_a_refused_value_is_named_as_it_was_typed():
    with pytest.raises(UsageError, match=r"^--worker_count is '0'"):
        resolve({"worker_count": "0"}, {}, spelling={"worker_count": "--worker_count"})


# -- config and models --------------------------------------------------------------------


def test_config_as_data(run: Run, tmp_path: Path):
    (tmp_path / "config.json").write_text('{"SERVICE_NAME": "from file", "WORKER_COUNTS": 1}')
    key = "12345678-1234-1234-1234-123456789012"
    environ = {"SERVER_PORT": "8000", "AML_APP_INSIGHTS_KEY": key, "SCOREHOST_WORKERS": "1"}

    status, out, _ = run("config", "--workers", "auto", "--json", environ=environ)

    found: dict[str, Any] = json.loads(out)
    settings = found["settings"]
    assert status == 0
    assert settings["SERVER_PORT"]["value"] == 8000
    assert settings["SERVER_PORT"]["default"] == 5001
    assert settings["SERVER_PORT"]["source"] == {"kind": "variable", "name": "SERVER_PORT"}
    assert settings["WORKER_COUNT"]["value"] is None
    assert settings["WORKER_COUNT"]["source"] == {"kind": "flag", "name": "--workers"}
    assert settings["SERVICE_NAME"]["value"] == "from file"
    assert settings["SERVICE_NAME"]["source"]["kind"] == "file"
    assert settings["SERVICE_VERSION"]["source"] == {"kind": "default", "name": ""}
    assert settings["AML_APP_INSIGHTS_KEY"]["value"] == "***"
    assert key not in out
    assert [(one["name"], one["nearest"]) for one in found["unknown"]] == [
        ("SCOREHOST_WORKERS", "WORKER_COUNT"),
        ("WORKER_COUNTS", "WORKER_COUNT"),
    ]
    assert found["config_file"] == str(tmp_path / "config.json")


def test_config_has_every_setting(run: Run):
    _, table, _ = run("config")
    _, document, _ = run("config", "--json")

    variables = {item.variable for item in declarations().values()}
    assert set(json.loads(document)["settings"]) == variables
    assert variables <= set(table.split())


def test_config_as_a_table(run: Run):
    environ = {"AML_APP_INSIGHTS_KEY": "geheim", "AML_APP_INSIGHTS_ENABLED": "true"}

    _, out, _ = run("config", "--port", "8000", environ=environ)

    rows = [line.split() for line in out.splitlines()]
    assert ["SERVER_PORT", "8000", "flag", "--port"] in rows
    assert ["HEALTH_PORT", "-", "default"] in rows
    assert ["AML_APP_INSIGHTS_KEY", "***", "variable", "AML_APP_INSIGHTS_KEY"] in rows
    assert ["AML_APP_INSIGHTS_ENABLED", "false", "rule"] in [row[:3] for row in rows]
    assert "Application Insights is disabled: AML_APP_INSIGHTS_KEY is not a UUID." in out
    assert "geheim" not in out


def test_models_lists_what_there_is(run: Run, tmp_path: Path):
    _, empty, _ = run("models")
    for place in ("a/1/model.pkl", "a/10/model.pkl", "b/1/x", "b/1/y"):
        file = tmp_path / "azureml-models" / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()

    _, out, _ = run("models")
    _, data, _ = run("models", "--json")

    assert empty == f"There are no models in {tmp_path}/azureml-models.\n"
    assert out.splitlines()[0] == f"a  1, 10  {tmp_path}/azureml-models/a/10/model.pkl"
    assert [(one["name"], one["versions"], one["path"]) for one in json.loads(data)] == [
        ("a", [1, 10], f"{tmp_path}/azureml-models/a/10/model.pkl"),
        ("b", [1], None),
    ]


def test_models_explains_a_name(run: Run, tmp_path: Path):
    file = tmp_path / "azureml-models" / "a" / "1" / "model.pkl"
    file.parent.mkdir(parents=True)
    file.touch()

    found = run("models", "a")
    data = json.loads(run("models", "a", "--version", "1", "--json")[1])
    status, missing, _ = run("models", "aa")

    assert found[0] == 0
    assert found[1].splitlines()[0] == str(file)
    assert data["path"] == str(file)
    assert [one["path"] for one in data["tried"]][-1] == str(file.parent)
    assert status == 3
    assert f"{tmp_path}/azureml-models/aa: does not exist" in missing
    assert f"{tmp_path}/aa: does not exist" in missing


# -- the reference ------------------------------------------------------------------------


def test_the_reference_is_current(run: Run):
    """docs/configuration.md is what `scorehost config --markdown` prints."""
    page = Path(__file__).parents[2] / "docs" / "configuration.md"

    assert page.read_text("utf-8") == reference() == run("config", "--markdown")[1]


# -- azmlinfsrv ---------------------------------------------------------------------------


@pytest.fixture
def settle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Resolved]:
    """What the drop-in command makes of a command line and an environment."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "score.py").touch()

    def call(*arguments: str, **environ: str) -> Resolved:
        return drop_in.settle(drop_in.read(drop_in.make_parser(), arguments), environ)

    return call


def test_its_flags_set_the_same_settings(settle: Callable[..., Resolved], tmp_path: Path):
    key = "12345678-1234-1234-1234-123456789012"

    settings = settle(
        "--entry_script", "score.py",
        "--model_dir", "m",
        "--port", "8347",
        "--health_port", "8348",
        "--worker_count", "2",
        "--appinsights_instrumentation_key", key,
        "--access_control_allow_origins", "a.com, b.com",
    ).settings  # fmt: skip

    assert settings.script == tmp_path / "score.py"
    assert settings.model_dir == Path("m")
    assert (settings.port, settings.health_port, settings.worker_count) == (8347, 8348, 2)
    assert (settings.app_insights_enabled, settings.app_insights_key) == (True, key)
    assert settings.cors_origins == ("a.com", "b.com")
    assert (settings.host, settings.root) == ("0.0.0.0", tmp_path)


def test_its_config_file(settle: Callable[..., Resolved], tmp_path: Path):
    (tmp_path / "mine.json").write_text('{"AZUREML_ENTRY_SCRIPT": "score.py"}')

    resolved = settle("--config_file", "mine.json")

    assert resolved.settings.script == tmp_path / "score.py"
    assert resolved.config_file == Path("mine.json")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--entry-script", "score.py"],
        ["--entry_script=score.py"],
        ["--entry", "score.py", "--rest"],
    ],
)
def test_its_flags_may_be_spelled_otherwise(
    settle: Callable[..., Resolved], tmp_path: Path, arguments: Sequence[str]
):
    assert settle(*arguments).settings.script == tmp_path / "score.py"


def test_its_script_lies_where_the_shell_is_though_the_app_root_is_elsewhere(
    settle: Callable[..., Resolved], tmp_path: Path
):
    settings = settle("--entry_script", "score.py", AML_APP_ROOT="/var").settings

    assert settings.script == tmp_path / "score.py"
    assert settings.root == Path("/var")


def test_a_key_that_is_no_uuid_disables_app_insights(settle: Callable[..., Resolved]):
    resolved = settle("--entry_script", "score.py", "--appinsights_instrumentation_key", "x")

    assert resolved.settings.app_insights_enabled is False
    assert resolved.warnings == (
        "Application Insights is disabled: AML_APP_INSIGHTS_KEY is not a UUID.",
    )


def test_its_separate_health_port(settle: Callable[..., Resolved]):
    script = ("--entry_script", "score.py")

    assert settle(*script).settings.health_port is None
    assert settle(*script, SEPERATE_HEALTH_ENDPOINT="true").settings.health_port == 5000
    given = settle(*script, "--health_port", "6000", SEPERATE_HEALTH_ENDPOINT="true")
    assert given.settings.health_port == 6000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--entry_scrpt", "x"], "Unexpected '--entry_scrpt'. Did you mean --entry_script?"),
        (["--entry_script", "score.py", "more"], "Unexpected 'more'."),
        (["--worker_count", "0"], "--worker_count is '0', which is not accepted."),
        (["--port", "x"], "--port is 'x', which is not accepted."),
        ([], "No entry script: name one with --entry_script or AZUREML_ENTRY_SCRIPT"),
    ],
)
def test_its_mistakes(settle: Callable[..., Resolved], arguments: Sequence[str], said: str):
    with pytest.raises(UsageError) as caught:
        settle(*arguments)

    assert str(caught.value).startswith(said)


def test_without_a_script_it_takes_main(settle: Callable[..., Resolved], tmp_path: Path):
    (tmp_path / "main.py").touch()

    assert settle().settings.script == tmp_path / "main.py"
    assert settle(AZUREML_ENTRY_SCRIPT="score.py").settings.script == tmp_path / "score.py"


REPORT = """\

scorehost {version}, started as azmlinfsrv


Server Settings
---------------
Entry Script Name: {root}/score.py
Model Directory: m
Config File: None
Worker Count: 2
Worker Timeout (seconds): 300
Server Port: 8347
Health Port: 8347
Application Insights Enabled: false
Application Insights Key: None
Inferencing HTTP server version: azmlinfsrv/{version}
CORS for the specified origins: None
Create dedicated endpoint for health: None


Server Routes
---------------
Liveness Probe: GET   127.0.0.1:8347/
Score:          POST  127.0.0.1:8347/score

"""


def test_its_startup_report(settle: Callable[..., Resolved], tmp_path: Path):
    resolved = settle(
        "--entry_script", "score.py", "--model_dir", "m", "--port", "8347", "--worker_count", "2"
    )

    assert drop_in.startup_report(resolved) == REPORT.format(version=__version__, root=tmp_path)


def test_its_startup_report_with_everything(settle: Callable[..., Resolved], tmp_path: Path):
    (tmp_path / "c.json").write_text("{}")
    key = "12345678-1234-1234-1234-123456789012"

    report = drop_in.startup_report(
        settle(
            "--entry_script", "score.py",
            "--health_port", "5000",
            "--worker_count", "auto",
            "--appinsights_instrumentation_key", key,
            "--access_control_allow_origins", "a.com, b.com",
            "--config_file", "c.json",
            SERVER_VERSION_LOG_RESPONSE_ENABLED="false",
            WORKER_TIMEOUT="2.5",
        )
    )  # fmt: skip

    lines = report.splitlines()
    for line in (
        "Model Directory: None",
        "Config File: c.json",
        "Worker Count: auto",
        "Worker Timeout (seconds): 2.5",
        "Server Port: 5001",
        "Health Port: 5000",
        "Application Insights Enabled: true",
        "Application Insights Key: provided",
        "Inferencing HTTP server version: None",
        "CORS for the specified origins: a.com, b.com",
        "Create dedicated endpoint for health: true",
        "Liveness Probe: GET   127.0.0.1:5000/",
        "Score:          POST  127.0.0.1:5001/score",
    ):
        assert line in lines
    assert key not in report


def test_its_help(capsys: pytest.CaptureFixture[str]):
    assert drop_in.run(["--help"], {}) == 0

    out = capsys.readouterr().out
    for flag in drop_in.FLAGS:
        assert flag in out
    assert "--rest" not in out
