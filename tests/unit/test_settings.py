"""Settings: kinds of value, precedence, config files, near misses, rules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorehost import settings as settings_module
from scorehost import values
from scorehost.errors import SettingError, UsageError
from scorehost.names import nearest_flag, nearest_variable
from scorehost.settings import Settings, declarations
from scorehost.sources import Resolved, is_uuid, resolve

UUID = "12345678-1234-1234-1234-123456789012"


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty app root, which is the working directory too."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def resolved(root: Path, *, flags: dict[str, str] | None = None, **environ: str) -> Resolved:
    return resolve(flags or {}, {"AML_APP_ROOT": str(root), **environ})


def write(file: Path, document: object) -> Path:
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    return file


# -- declarations -------------------------------------------------------------------------


def test_every_setting_is_declared_once_and_completely():
    known = declarations().values()

    assert len({item.variable for item in known}) == len(known)
    assert len({item.flag for item in known}) == len(known)
    for item in known:
        assert item.flag.startswith("--")
        assert item.help.endswith(".")
        assert item.section


def test_every_default_is_accepted_when_it_is_written_down():
    for item in declarations().values():
        written = item.show(item.default)
        if item.default is not None:
            assert item.kind(written) == item.default, item.variable


def test_defaults_of_the_contract():
    settings = Settings()

    assert settings.entry_script == "main.py"
    assert (settings.host, settings.port, settings.health_port) == ("127.0.0.1", 5001, None)
    assert (settings.worker_count, settings.worker_timeout) == (1, 300)
    assert settings.worker_preload is False
    assert settings.scoring_timeout_ms == 3_600_000
    assert (settings.service_name, settings.service_version) == ("ML service", "1.0")
    assert (settings.service_path_prefix, settings.workspace_name) == ("", "")
    assert settings.log_level == "INFO"
    assert settings.cors_origins == ()
    assert settings.server_version_header is True
    assert settings.app_insights_enabled is False
    assert settings.app_insights_key is None
    assert settings.app_insights_log_response is True


def test_a_secret_is_not_in_the_representation():
    assert "geheim" not in repr(Settings(app_insights_key="geheim"))


def test_settings_survive_the_way_to_a_worker(tmp_path: Path):
    settings = Settings(
        app_root=tmp_path,
        worker_count=None,
        cors_origins=("https://a.example", "https://b.example"),
        app_insights_key=UUID,
        worker_timeout=1.5,
    )

    assert Settings.from_json(settings.to_json()) == settings


# -- kinds of value -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "raw", "value"),
    [
        ("SERVER_PORT", "8000", 8000),
        ("SERVER_PORT", " 8000 ", 8000),
        ("WORKER_COUNT", "auto", None),
        ("WORKER_COUNT", "AUTO", None),
        ("WORKER_COUNT", "4", 4),
        ("WORKER_TIMEOUT", "2.5", 2.5),
        ("WORKER_TIMEOUT", "0", 0),
        ("WORKER_PRELOAD", "True", True),
        ("WORKER_PRELOAD", "1", True),
        ("WORKER_PRELOAD", "off", False),
        ("SCOREHOST_MAX_BODY_BYTES", "1k", 1024),
        ("SCOREHOST_MAX_BODY_BYTES", "2 MiB", 2 << 20),
        ("SCOREHOST_MAX_BODY_BYTES", "17", 17),
        ("AZUREML_LOG_LEVEL", "debug", "DEBUG"),
        ("AZUREML_LOG_LEVEL", "warn", "WARNING"),
        ("AML_CORS_ORIGINS", "a.com, b.com,,", ("a.com", "b.com")),
        ("AML_CORS_ORIGINS", "*", ("*",)),
        ("SCOREHOST_LOG_FORMAT", "JSON", "json"),
        ("SERVER_VERSION_LOG_RESPONSE_ENABLED", "TRUE", True),
        ("SERVER_VERSION_LOG_RESPONSE_ENABLED", "1", False),
        ("SERVER_VERSION_LOG_RESPONSE_ENABLED", "perhaps", False),
        ("SERVICE_NAME", "  a name ", "  a name "),
        ("SCOREHOST_DEBUG_HOST", "0.0.0.0", "0.0.0.0"),
        ("SCOREHOST_DEBUG_HOST", " 192.168.1.5 ", "192.168.1.5"),
        ("SCOREHOST_DEBUG_HOST", "LocalHost", "127.0.0.1"),
        ("SCOREHOST_DEBUG_HOST", "[0:0::1]", "::1"),
        ("SCOREHOST_DEBUG_HOST", "::", "::"),
        ("SCOREHOST_DEBUG_HOSTS", "Scorer, ml.Example.com.,,", ("scorer", "ml.example.com")),
        ("SCOREHOST_DEBUG_HOSTS", "*", ("*",)),
        ("SCOREHOST_DEBUG_HOSTS", "10.0.0.7", ("10.0.0.7",)),
    ],
)
def test_accepted(root: Path, variable: str, raw: str, value: object):
    found = resolved(root, **{variable: raw})

    name = next(name for name, item in declarations().items() if item.variable == variable)
    assert getattr(found.settings, name) == value
    assert str(found.sources[name]) == f"variable {variable}"


@pytest.mark.parametrize(
    ("variable", "raw", "accepted"),
    [
        ("SERVER_PORT", "http", "a whole number from 0 to 65535"),
        ("SERVER_PORT", "65536", "a whole number from 0 to 65535"),
        ("SERVER_PORT", "-1", "a whole number from 0 to 65535"),
        ("SERVER_PORT", "1.0", "a whole number from 0 to 65535"),
        ("WORKER_COUNT", "0", "a whole number from 1 to 512, or auto"),
        ("WORKER_COUNT", "many", "a whole number from 1 to 512, or auto"),
        ("WORKER_TIMEOUT", "-1", "a number of seconds of at least 0"),
        ("WORKER_TIMEOUT", "nan", "a number of seconds of at least 0"),
        ("WORKER_TIMEOUT", "inf", "a number of seconds of at least 0"),
        ("WORKER_PRELOAD", "perhaps", "true or false (also 1, 0, yes, no, on, off)"),
        ("SCORING_TIMEOUT_MS", "0", "a whole number of at least 1"),
        (
            "SCOREHOST_MAX_BODY_BYTES",
            "1X",
            "a size in bytes, with or without K, M, G or T (powers of 1024)",
        ),
        *(
            (
                "SCOREHOST_DEBUG_HOST",
                raw,
                "an IP address of this machine, such as 127.0.0.1, or 0.0.0.0 for all of them",
            )
            for raw in ("*", "my-laptop", "127.0.0.1:5678", "127.1", "999.0.0.1", "unix:/s", " ")
        ),
        *(
            (
                "SCOREHOST_DEBUG_HOSTS",
                raw,
                "host names without scheme or port, separated by commas, or * for any",
            )
            for raw in ("http://scorer", "scorer:5001", "a, b/c", "*.example.com", "a b", "[::1]")
        ),
        ("SCOREHOST_LOG_FORMAT", "xml", "one of text, json"),
        ("AZUREML_LOG_LEVEL", "LOUD", "one of CRITICAL, ERROR, WARNING, INFO, DEBUG"),
    ],
)
def test_refused_with_name_value_and_what_is_accepted(
    root: Path, variable: str, raw: str, accepted: str
):
    with pytest.raises(SettingError) as caught:
        resolved(root, **{variable: raw})

    assert str(caught.value) == (
        f"{variable} is {raw!r}, which is not accepted. It takes {accepted}."
    )


def test_a_refused_secret_is_masked():
    item = declarations()["app_insights_key"]

    assert item.show("geheim") == "***"


@given(st.integers(min_value=0, max_value=1 << 60))
def test_a_size_is_read_as_it_was_written(number: int):
    assert values.size(values.as_size(number)) == number


def test_an_unknown_home_folder_is_refused():
    with pytest.raises(values.Refusal):
        values.path("~nobody-of-this-name/x")


# -- precedence ---------------------------------------------------------------------------


def test_command_line_over_environment_over_file_over_default(root: Path):
    write(root / "config.json", {"SERVER_PORT": 1, "WORKER_COUNT": 2, "SERVICE_NAME": "file"})

    found = resolved(root, flags={"port": "3"}, SERVER_PORT="2", WORKER_COUNT="4")

    assert found.settings.port == 3
    assert found.settings.worker_count == 4
    assert found.settings.service_name == "file"
    assert found.settings.service_version == "1.0"
    assert [str(found.sources[name]) for name in ("port", "worker_count", "service_name")] == [
        "flag --port",
        "variable WORKER_COUNT",
        f"file {root}/config.json",
    ]
    assert str(found.sources["service_version"]) == "default"


def test_a_command_may_have_defaults_of_its_own(root: Path):
    found = resolve({}, {"AML_APP_ROOT": str(root)}, {"host": "0.0.0.0"})

    assert found.settings.host == "0.0.0.0"
    assert str(found.sources["host"]) == "default"


def test_an_empty_variable_is_not_set(root: Path):
    write(root / "config.json", {"SERVER_PORT": 7})

    assert resolved(root, SERVER_PORT="", WORKER_COUNT="").settings.port == 7


def test_a_value_that_is_overruled_is_not_even_read(root: Path):
    write(root / "config.json", {"SERVER_PORT": "x", "WORKER_COUNT": "x"})

    settings = resolved(root, flags={"port": "1"}, SERVER_PORT="y", WORKER_COUNT="2").settings

    assert (settings.port, settings.worker_count) == (1, 2)


# -- the config file ----------------------------------------------------------------------


def test_the_file_that_is_named_comes_before_those_that_lie_there(root: Path):
    write(root / "config.json", {"SERVICE_NAME": "implicit"})
    named = write(root / "other.json", {"SERVICE_NAME": "named"})

    by_variable = resolved(root, AZUREML_CONFIG_FILE=str(named))
    by_flag = resolved(root, flags={"config_file": str(named)})

    assert by_variable.settings.service_name == by_flag.settings.service_name == "named"
    assert by_variable.config_file == named


def test_the_app_root_comes_before_the_scripts_folder(root: Path):
    (root / "src").mkdir()
    write(root / "src" / "score.py", "")
    write(root / "src" / "config.json", {"SERVICE_NAME": "beside"})
    beside = resolved(root, AZUREML_ENTRY_SCRIPT="src/score.py")
    write(root / "config.json", {"SERVICE_NAME": "root"})

    both = resolved(root, AZUREML_ENTRY_SCRIPT="src/score.py")

    assert beside.settings.service_name == "beside"
    assert both.settings.service_name == "root"


def test_values_of_a_file_are_read_like_the_environments(root: Path):
    document = {
        "WORKER_PRELOAD": True,
        "WORKER_TIMEOUT": 1.5,
        "AML_CORS_ORIGINS": ["https://a.example", "https://b.example"],
        "SERVICE_VERSION": 2,
        "HEALTH_PORT": None,
    }
    write(root / "config.json", document)

    settings = resolved(root).settings

    assert settings.worker_preload is True
    assert settings.worker_timeout == 1.5
    assert settings.cors_origins == ("https://a.example", "https://b.example")
    assert settings.service_version == "2"
    assert settings.health_port is None


def test_a_byte_order_mark_is_no_obstacle(root: Path):
    (root / "config.json").write_text('{"SERVICE_NAME": "ü"}', "utf-8-sig")

    assert resolved(root).settings.service_name == "ü"


def test_a_refused_value_names_key_and_file(root: Path):
    file = write(root / "config.json", {"WORKER_COUNT": {"a": 1}})

    with pytest.raises(SettingError, match=f"WORKER_COUNT in {file} is "):
        resolved(root)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is not JSON: Expecting value"),
        ('{"a": 1,}', "is not JSON: "),
        ("[1]", "is JSON, but not an object."),
    ],
)
def test_a_named_file_must_be_right(root: Path, content: str, said: str):
    file = write(root / "mine.json", content)

    with pytest.raises(UsageError, match=f"The config file {file} ") as caught:
        resolved(root, AZUREML_CONFIG_FILE=str(file))

    assert said in str(caught.value)


def test_a_named_file_must_be_there(root: Path):
    with pytest.raises(UsageError, match=r"nowhere\.json cannot be read: No such file"):
        resolved(root, AZUREML_CONFIG_FILE=str(root / "nowhere.json"))


def test_a_models_config_beside_the_script_is_left_alone(root: Path):
    file = write(
        root / "config.json",
        {
            "_name_or_path": "bert-base-uncased",
            "architectures": ["BertForMaskedLM"],
            "hidden_size": 768,
            "model_type": "bert",
            "service_name": "x",
            "torch_dtype": "float32",
        },
    )

    found = resolved(root)

    assert found.settings == Settings(app_root=root)
    assert list(found.warnings) == [f"{file} is ignored: none of its keys is a setting."]
    assert found.config_file is None


def test_a_file_with_nothing_but_a_slip_says_what_was_meant(root: Path):
    file = write(root / "config.json", {"SCORING_TIMEOUT": 5000})

    assert list(resolved(root).warnings) == [
        f"{file} is ignored: none of its keys is a setting. "
        "Did you mean SCORING_TIMEOUT_MS by SCORING_TIMEOUT?"
    ]


@pytest.mark.parametrize("content", ["[1, 2]", "{broken", "", " " * (1 << 20) + "{}"])
def test_a_file_that_merely_lies_there_may_be_anything(root: Path, content: str):
    file = write(root / "config.json", content)

    (notice,) = resolved(root).notices

    assert notice.startswith(f"The config file {file} ")
    assert notice.endswith(". It is ignored.")


def test_the_search_goes_on_after_a_foreign_file(root: Path):
    (root / "src").mkdir()
    write(root / "src" / "score.py", "")
    write(root / "config.json", {"model_type": "bert"})
    write(root / "src" / "config.json", {"SERVICE_NAME": "ours"})

    assert resolved(root, AZUREML_ENTRY_SCRIPT="src/score.py").settings.service_name == "ours"


def test_unknown_keys_of_a_file_of_ours_are_named_with_the_nearest(root: Path):
    file = write(
        root / "config.json", {"SERVICE_NAME": "x", "WORKER_COUNTS": 2, "SOMETHING_ELSE": 1}
    )

    assert list(resolved(root).warnings) == [
        f"Unknown setting WORKER_COUNTS (file {file}). Did you mean WORKER_COUNT?",
        f"Unknown setting SOMETHING_ELSE (file {file}).",
    ]


def test_a_file_cannot_name_another(root: Path):
    write(root / "config.json", {"SERVICE_NAME": "x", "AZUREML_CONFIG_FILE": "other.json"})

    found = resolved(root)

    assert found.settings.config_file is None
    assert "AZUREML_CONFIG_FILE" in found.notices[0]


# -- unknown names ------------------------------------------------------------------------


def test_an_unknown_variable_of_our_own_is_named(root: Path):
    found = resolved(root, SCOREHOST_PRELAOD="1", SCOREHOST_XYZZY="1", PATH="/bin", HOME="/")

    assert [str(unknown) for unknown in found.unknown] == [
        "Unknown setting SCOREHOST_PRELAOD (variable). Did you mean WORKER_PRELOAD?",
        "Unknown setting SCOREHOST_XYZZY (variable).",
    ]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("SCOREHOST_PORT", "SERVER_PORT"),
        ("SCOREHOST_WORKERS", "WORKER_COUNT"),
        ("SCOREHOST_MODEL_DIR", "AZUREML_MODEL_DIR"),
        ("SCOREHOST_LOG_LEVEL", "AZUREML_LOG_LEVEL"),
        ("AZUREML_ENTRY_SCRPT", "AZUREML_ENTRY_SCRIPT"),
    ],
)
def test_the_variable_that_was_meant(written: str, meant: str):
    assert nearest_variable(written) == meant


@pytest.mark.parametrize(
    ("written", "meant"),
    [("--prot", "--port"), ("--worker-count", "--workers"), ("--sampel", "--sample")],
)
def test_the_flag_that_was_meant(written: str, meant: str):
    assert nearest_flag(written, ["--sample"]) == meant


def test_other_peoples_variables_are_left_alone_unless_all_but_one_of_ours(root: Path):
    found = resolved(
        root,
        AZUREML_RUN_ID="1",
        AZUREML_ARM_SUBSCRIPTION="1",
        AML_CLOUD="x",
        WORKER_NAME="x",
        AZUREML_ENTRY_SCRIPTS="score.py",
    )

    assert [unknown.name for unknown in found.unknown] == ["AZUREML_ENTRY_SCRIPTS"]


def test_what_a_cluster_says_about_its_services_is_no_setting(root: Path):
    found = resolved(
        root,
        SERVER_PORT="tcp://10.0.171.239:80",
        SCOREHOST_PORT="tcp://10.0.171.240:80",
        SCOREHOST_SERVICE_HOST="10.0.171.240",
        SCOREHOST_SERVICE_PORT="80",
        SCOREHOST_SERVICE_PORT_HTTP="80",
        SCOREHOST_PORT_80_TCP_ADDR="10.0.171.240",
        SCOREHOST_PORT_80_TCP="tcp://10.0.171.240:80",
    )

    assert found.settings.port == 5001
    assert list(found.warnings) == [
        "SERVER_PORT is ignored: it is 'tcp://10.0.171.239:80', which a cluster sets for a service "
        "of that name."
    ]


# -- one setting that decides about another -----------------------------------------------


@pytest.mark.parametrize("key", [UUID, UUID.upper().replace("1", "A")])
def test_app_insights_with_a_uuid(root: Path, key: str):
    found = resolved(root, AML_APP_INSIGHTS_ENABLED="true", AML_APP_INSIGHTS_KEY=key)

    assert found.settings.app_insights_enabled is True
    assert list(found.warnings) == []


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({"AML_APP_INSIGHTS_KEY": "geheim"}, "AML_APP_INSIGHTS_KEY is not a UUID"),
        ({"AML_APP_INSIGHTS_KEY": UUID + "\n"}, "AML_APP_INSIGHTS_KEY is not a UUID"),
        ({}, "AML_APP_INSIGHTS_KEY is not set"),
    ],
)
def test_app_insights_without_a_uuid_is_disabled_and_says_so(
    root: Path, environ: dict[str, str], reason: str
):
    found = resolved(root, AML_APP_INSIGHTS_ENABLED="true", **environ)

    assert found.settings.app_insights_enabled is False
    assert str(found.sources["app_insights_enabled"]) == f"rule {reason}"
    assert list(found.warnings) == [f"Application Insights is disabled: {reason}."]


@pytest.mark.parametrize("word", ["false", "True ", "1", "perhaps"])
def test_app_insights_is_enabled_by_the_word_true_alone(root: Path, word: str):
    found = resolved(root, AML_APP_INSIGHTS_ENABLED=word, AML_APP_INSIGHTS_KEY="geheim")

    enabled = word.strip().lower() == "true"
    assert bool(found.notices) is enabled  # disabled by the rule, which is worth a word


def test_a_health_port_that_is_the_scoring_port_opens_none(root: Path):
    assert resolved(root, HEALTH_PORT="5001").settings.health_port is None
    assert resolved(root, HEALTH_PORT="5000").settings.health_port == 5000
    assert resolved(root, HEALTH_PORT="0", SERVER_PORT="0").settings.health_port == 0


def test_a_key_needs_its_certificate(root: Path):
    with pytest.raises(SettingError, match="a SCOREHOST_TLS_CERTIFICATE beside it"):
        resolved(root, SCOREHOST_TLS_KEY="key.pem")


def test_a_model_folder_that_is_not_there_is_worth_a_word(root: Path):
    (root / "m").mkdir()

    missing = resolved(root, AZUREML_MODEL_DIR=str(root / "nowhere"))

    assert "does not exist" in missing.notices[0]
    assert list(resolved(root, AZUREML_MODEL_DIR=str(root / "m")).notices) == []


@given(st.text(max_size=40))
def test_only_uuids_are_uuids(text: str):
    import re

    expected = re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", text)
    assert is_uuid(text) is (expected is not None)


# -- places -------------------------------------------------------------------------------


def test_the_app_root_of_the_images_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(settings_module, "DEFAULT_APP_ROOT", tmp_path / "azureml-app")
    outside = Settings().root

    (tmp_path / "azureml-app").mkdir()

    assert outside == tmp_path
    assert Settings().root == tmp_path / "azureml-app"


def test_the_script_is_below_the_source_directory_or_the_app_root(root: Path):
    (root / "src").mkdir()
    settings = Settings(app_root=root, source_directory="src", entry_script="score.py")

    write(root / "score.py", "")
    in_root = settings.script
    write(root / "src" / "score.py", "")

    assert in_root == root / "score.py"
    assert settings.script == root / "src" / "score.py"


def test_a_script_that_is_nowhere_is_named_where_it_should_be(root: Path):
    settings = Settings(app_root=root / "app", entry_script="score.py")

    assert settings.script == root / "app" / "score.py"


@pytest.mark.parametrize(
    "environ",
    [
        {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_PORT": "tcp://10.0.0.1:443"},
        {"container": "podman"},
        {"DOTNET_RUNNING_IN_CONTAINER": "true"},
        {"SCOREHOST_HOST": "0.0.0.0"},
        {"SCOREHOST_DEBUG": "1", "SCOREHOST_DEBUG_ON_DEMAND": "1"},
        {"SCOREHOST_DEBUG_SERVICE_HOST": "10.0.0.2", "SCOREHOST_DEBUG_PORT": "tcp://10.0.0.2:80"},
    ],
)
def test_nothing_else_opens_the_debugger(root: Path, environ: dict[str, str]):
    """No place that merely looks like a container, and no other address."""
    assert resolved(root, **environ).settings.debug_host == "127.0.0.1"


def test_debug_mode_has_one_worker_that_is_not_forked(root: Path):
    found = resolved(root, SCOREHOST_DEBUG="1", WORKER_COUNT="3", WORKER_PRELOAD="true")

    assert (found.settings.worker_count, found.settings.worker_preload) == (1, False)
    assert found.sources["worker_count"].kind == "rule"
    assert found.notices == (
        "Debug mode has one worker; WORKER_COUNT has no effect.",
        "Debug mode does not fork workers; WORKER_PRELOAD has no effect.",
    )


@pytest.mark.parametrize(
    ("environ", "kept"),
    [
        ({}, "off"),
        ({"SCOREHOST_DEBUG": "1"}, "all"),
        ({"SCOREHOST_DEBUG": "1", "SCOREHOST_RECORD": "errors"}, "errors"),
        ({"SCOREHOST_RECORD": "all"}, "all"),
    ],
)
def test_requests_are_kept_in_debug_mode_or_when_asked(
    root: Path, environ: dict[str, str], kept: str
):
    assert resolved(root, **environ).settings.recorded == kept


def test_production_wants_nothing_of_development(root: Path):
    assert not resolved(root).settings.develops
    assert resolved(root, SCOREHOST_RELOAD="1").settings.develops
