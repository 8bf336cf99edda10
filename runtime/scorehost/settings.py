"""Every setting, declared once: variable, flag, type, default and help stand together.

The command line, ``scorehost config``, the documentation table and the start-up report are all
made from these declarations. Precedence: command line, environment, config file, default.
Nothing here reads the process environment; ``cli.py`` passes it in, once.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeAlias

from scorehost.errors import SettingError

Parser: TypeAlias = Callable[[str], Any]

OWN_PREFIX = "SCOREHOST_"
DEFAULT_APP_ROOT = Path("/var/azureml-app")
"""Where the retired service's images, and ours, keep the app."""


class _Rejected(ValueError):
    """A parser's refusal; its text says what would have been accepted."""


def text(value: str) -> str:
    """Any text."""
    return value


def path(value: str) -> Path:
    """A path; ``~`` is the home folder."""
    return Path(value).expanduser()


def boolean(value: str) -> bool:
    """true or false."""
    lowered = value.strip().lower()
    if lowered in {"true", "1", "yes", "on"}:
        return True
    if lowered in {"false", "0", "no", "off", ""}:
        return False
    raise _Rejected("true or false (also 1, 0, yes, no, on, off)")


def whole(low: int, high: int | None = None) -> Parser:
    """Make a parser of whole numbers between two bounds."""
    bounds = f"from {low} to {high}" if high is not None else f"of at least {low}"

    def parse(value: str) -> int:
        try:
            number = int(value.strip().replace("_", ""))
        except ValueError:
            raise _Rejected(f"a whole number {bounds}") from None
        if number < low or (high is not None and number > high):
            raise _Rejected(f"a whole number {bounds}")
        return number

    return parse


def seconds(low: float = 0.0) -> Parser:
    """Make a parser of durations in seconds."""

    def parse(value: str) -> float:
        try:
            number = float(value.strip())
        except ValueError:
            raise _Rejected(f"a number of seconds of at least {low:g}") from None
        if not low <= number < float("inf"):
            raise _Rejected(f"a number of seconds of at least {low:g}")
        return number

    return parse


_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def size(value: str) -> int:
    """A size in bytes; K, M, G and T are powers of 1024."""
    match = re.fullmatch(r"\s*(\d+)\s*([KMGT]?)(?:i?B)?\s*", value, re.IGNORECASE)
    if match is None:
        raise _Rejected("a size in bytes, with or without K, M, G or T (powers of 1024)")
    return int(match[1]) * _UNITS[match[2].upper()]


def choice(*accepted: str) -> Parser:
    """Make a parser of one word out of a few."""

    def parse(value: str) -> str:
        lowered = value.strip().lower()
        if lowered not in accepted:
            raise _Rejected("one of " + ", ".join(accepted))
        return lowered

    return parse


def worker_count(value: str) -> int | None:
    """A number of scoring workers, or ``auto`` (None) to count CPUs and memory."""
    if value.strip().lower() == "auto":
        return None
    try:
        return int(whole(1, 512)(value))
    except _Rejected:
        raise _Rejected("a whole number from 1 to 512, or auto") from None


def comma_list(value: str) -> tuple[str, ...]:
    """Names separated by commas."""
    return tuple(part.strip() for part in value.split(",") if part.strip())


_LEVELS = ("CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG")


def log_level(value: str) -> str:
    """A level of Python's logging, by name."""
    upper = value.strip().upper()
    upper = {"WARN": "WARNING", "FATAL": "CRITICAL"}.get(upper, upper)
    if upper not in _LEVELS:
        raise _Rejected("one of " + ", ".join(_LEVELS))
    return upper


@dataclass(frozen=True)
class Declaration:
    """How one setting is named, read and explained."""

    variable: str
    parse: Parser
    default: Any
    help: str
    section: str
    flag: str
    metavar: str
    secret: bool = False
    positional: bool = False


def setting(
    variable: str,
    parse: Parser,
    default: Any = None,
    *,
    help: str,  # noqa: A002 - the word argparse uses, and the reader expects
    section: str,
    flag: str | None = None,
    metavar: str = "VALUE",
    secret: bool = False,
    positional: bool = False,
) -> Any:
    """Declare a field of :class:`Settings`.

    Parameters
    ----------
    variable : environment variable and config file key.
    parse : text to value; refuses with what it accepts.
    default : the value when nothing is set.
    help : one line for the command line and the documentation.
    section : heading it stands under.
    flag : long option; made from the variable when not given.
    metavar : what the help shows for the value.
    secret : masked wherever settings are printed.
    positional : also the command's positional argument.
    """
    made = "--" + variable.lower().removeprefix(OWN_PREFIX.lower()).replace("_", "-")
    declaration = Declaration(
        variable, parse, default, help, section, flag or made, metavar, secret, positional
    )
    return field(default=default, metadata={"declaration": declaration})


MIB = 1 << 20


@dataclass(frozen=True)
class Settings:
    """What a server was told to do. Made once, in ``cli.py``, and passed on."""

    # -- Places ---------------------------------------------------------------------------
    app_root: Path | None = setting(
        "AML_APP_ROOT", path, section="Places", metavar="DIR",
        help="Folder of the app; /var/azureml-app when that exists, else the current directory.",
    )
    source_directory: str | None = setting(
        "AZUREML_SOURCE_DIRECTORY", text, section="Places", metavar="DIR",
        help="Folder inside the app root that holds the entry script.",
    )
    entry_script: str = setting(
        "AZUREML_ENTRY_SCRIPT", text, "main.py", section="Places", metavar="SCRIPT",
        positional=True, flag="--entry-script",
        help="The entry script, relative to the app root or to the source directory.",
    )
    model_dir: Path | None = setting(
        "AZUREML_MODEL_DIR", path, section="Places", metavar="DIR", flag="--model-dir",
        help="Folder of the model, handed to the script; from the app root when unset.",
    )
    config_file: Path | None = setting(
        "AZUREML_CONFIG_FILE", path, section="Places", metavar="FILE", flag="--config-file",
        help="JSON file of settings; config.json in the app root or beside the script if unset.",
    )

    # -- Addresses ------------------------------------------------------------------------
    host: str = setting(
        "SCOREHOST_HOST", text, "127.0.0.1", section="Addresses", metavar="HOST",
        help="Address to listen on; unix:PATH for a UNIX socket.",
    )
    port: int = setting(
        "SERVER_PORT", whole(0, 65535), 5001, section="Addresses", metavar="PORT", flag="--port",
        help="Port of the scoring routes; 0 picks a free one.",
    )
    health_port: int | None = setting(
        "HEALTH_PORT", whole(0, 65535), section="Addresses", metavar="PORT",
        help="A second port that answers only probes and metrics.",
    )
    tls_certificate: Path | None = setting(
        "SCOREHOST_TLS_CERTIFICATE", path, section="Addresses", metavar="FILE",
        help="Certificate chain (PEM); with it the scoring port speaks TLS.",
    )
    tls_key: Path | None = setting(
        "SCOREHOST_TLS_KEY", path, section="Addresses", metavar="FILE",
        help="Private key (PEM) of the certificate.",
    )

    # -- Workers --------------------------------------------------------------------------
    worker_count: int | None = setting(
        "WORKER_COUNT", worker_count, 1, section="Workers", metavar="N|auto", flag="--workers",
        help="Scoring workers; auto counts the CPUs and memory the container may use.",
    )
    worker_timeout: float = setting(
        "WORKER_TIMEOUT", seconds(), 300.0, section="Workers", metavar="SECONDS",
        help="Longest init(), import included; it never bounds run(). 0 means no limit.",
    )
    worker_preload: bool = setting(
        "WORKER_PRELOAD", boolean, False, section="Workers", metavar="BOOL", flag="--preload",
        help="Run init() once and fork the workers from it, so that they share the model.",
    )
    on_init_failure: str = setting(
        "SCOREHOST_ON_INIT_FAILURE", choice("exit", "hold"), "exit", section="Workers",
        metavar="exit|hold",
        help="After a failed start: exit with status 3, or stay up, live but not ready.",
    )
    max_requests: int = setting(
        "SCOREHOST_MAX_REQUESTS", whole(0), 0, section="Workers", metavar="N",
        help="Replace a worker after this many requests; 0 never.",
    )
    max_worker_memory: int = setting(
        "SCOREHOST_MAX_WORKER_MEMORY", size, 0, section="Workers", metavar="BYTES",
        help="Replace a worker whose resident memory is above this; 0 never.",
    )

    # -- Limits ---------------------------------------------------------------------------
    scoring_timeout_ms: int = setting(
        "SCORING_TIMEOUT_MS", whole(1), 3_600_000, section="Limits", metavar="MS",
        help="Longest scoring of one request, from its beginning to the last byte of the result.",
    )
    interrupt_grace: float = setting(
        "SCOREHOST_INTERRUPT_GRACE", seconds(), 2.0, section="Limits", metavar="SECONDS",
        help="How long code may go on after its deadline before its worker is killed.",
    )
    max_queue_length: int | None = setting(
        "SCOREHOST_MAX_QUEUE_LENGTH", whole(0), section="Limits", metavar="N",
        help="Requests that may wait for a worker; 100 for each worker when unset.",
    )
    max_queue_wait_ms: int | None = setting(
        "SCOREHOST_MAX_QUEUE_WAIT_MS", whole(1), section="Limits", metavar="MS",
        help="Longest wait for a worker before a 503; no limit when unset.",
    )
    max_queue_bytes: int = setting(
        "SCOREHOST_MAX_QUEUE_BYTES", size, 512 * MIB, section="Limits", metavar="BYTES",
        help="Bytes of bodies that may wait for a worker, or be arriving.",
    )
    max_body_bytes: int = setting(
        "SCOREHOST_MAX_BODY_BYTES", size, 100 * MIB, section="Limits", metavar="BYTES",
        help="Largest request body.",
    )
    max_header_bytes: int = setting(
        "SCOREHOST_MAX_HEADER_BYTES", size, 64 << 10, section="Limits", metavar="BYTES",
        help="Largest request line plus headers.",
    )
    header_timeout: float = setting(
        "SCOREHOST_HEADER_TIMEOUT", seconds(0.1), 20.0, section="Limits", metavar="SECONDS",
        help="Longest time for the headers of a request to arrive.",
    )
    body_timeout: float = setting(
        "SCOREHOST_BODY_TIMEOUT", seconds(0.1), 30.0, section="Limits", metavar="SECONDS",
        help="Longest silence while a body arrives, or while a client takes no answer.",
    )
    idle_timeout: float = setting(
        "SCOREHOST_IDLE_TIMEOUT", seconds(0.1), 620.0, section="Limits", metavar="SECONDS",
        help="How long a kept-alive connection may be idle; longer than any usual proxy's.",
    )
    max_connections: int = setting(
        "SCOREHOST_MAX_CONNECTIONS", whole(1), 10_000, section="Limits", metavar="N",
        help="Connections held open at once; past it the ones idle longest are closed.",
    )

    # -- Shutdown -------------------------------------------------------------------------
    shutdown_delay: float = setting(
        "SCOREHOST_SHUTDOWN_DELAY", seconds(), 0.0, section="Shutdown", metavar="SECONDS",
        help="After SIGTERM, how long to go on accepting while load balancers notice.",
    )
    shutdown_grace: float = setting(
        "SCOREHOST_SHUTDOWN_GRACE", seconds(), 30.0, section="Shutdown", metavar="SECONDS",
        help="Longest shutdown, delay included; what is unanswered then is lost.",
    )

    # -- Answers --------------------------------------------------------------------------
    service_name: str = setting(
        "SERVICE_NAME", text, "ML service", section="Answers",
        help="Title in the swagger documents.",
    )
    service_version: str = setting(
        "SERVICE_VERSION", text, "1.0", section="Answers",
        help="Version in the swagger documents.",
    )
    service_path_prefix: str = setting(
        "SERVICE_PATH_PREFIX", text, "", section="Answers", metavar="PATH",
        help="Path a proxy puts before the routes, for the swagger documents.",
    )
    workspace_name: str = setting(
        "WORKSPACE_NAME", text, "", section="Answers",
        help="Name of the workspace; handed to the script.",
    )
    hostname: str = setting(
        "HOSTNAME", text, "", section="Answers",
        help="Name of this host, in logs.",
    )
    cors_origins: tuple[str, ...] = setting(
        "AML_CORS_ORIGINS", comma_list, (), section="Answers", metavar="ORIGINS",
        help="Origins that browsers may call from, separated by commas, or *.",
    )
    server_version_header: bool = setting(
        "SERVER_VERSION_LOG_RESPONSE_ENABLED", boolean, True, section="Answers", metavar="BOOL",
        help="Send x-ms-server-version with every answer.",
    )
    nan: str = setting(
        "SCOREHOST_NAN", choice("null", "literal", "error"), "null", section="Answers",
        metavar="null|literal|error",
        help="NaN and infinity in a result: null, the words NaN and Infinity, or an error.",
    )

    # -- Logs -----------------------------------------------------------------------------
    log_level: str = setting(
        "AZUREML_LOG_LEVEL", log_level, "INFO", section="Logs", metavar="LEVEL",
        flag="--log-level",
        help="Lowest level that is logged, by the server and by the script's loggers.",
    )
    log_format: str = setting(
        "SCOREHOST_LOG_FORMAT", choice("text", "json"), "text", section="Logs",
        metavar="text|json",
        help="One line of text or one JSON object for each event.",
    )
    access_log: bool = setting(
        "SCOREHOST_ACCESS_LOG", boolean, True, section="Logs", metavar="BOOL",
        help="Log a line for each request.",
    )
    log_probes: bool = setting(
        "SCOREHOST_LOG_PROBES", boolean, False, section="Logs", metavar="BOOL",
        help="Log probes and metrics requests too.",
    )
    termination_log: Path | None = setting(
        "SCOREHOST_TERMINATION_LOG", path, section="Logs", metavar="FILE",
        help="Where the last report goes; /dev/termination-log where that exists.",
    )
    app_insights_enabled: bool = setting(
        "AML_APP_INSIGHTS_ENABLED", boolean, False, section="Logs", metavar="BOOL",
        help="Handed to the script; false when the key is no UUID.",
    )
    app_insights_key: str | None = setting(
        "AML_APP_INSIGHTS_KEY", text, section="Logs", secret=True,
        help="Instrumentation key, a UUID; handed to the script.",
    )
    app_insights_log_response: bool = setting(
        "APP_INSIGHTS_LOG_RESPONSE_ENABLED", boolean, True, section="Logs", metavar="BOOL",
        help="Handed to the script.",
    )

    def to_json(self) -> str:
        """Everything as one JSON object, for a worker process."""
        return json.dumps({item.name: _plain(getattr(self, item.name)) for item in fields(self)})

    @classmethod
    def from_json(cls, document: str) -> Settings:
        """Rebuild what :meth:`to_json` wrote."""
        raw = json.loads(document)
        values: dict[str, Any] = {}
        for item in fields(cls):
            value = raw[item.name]
            if value is not None and "Path" in str(item.type):
                value = Path(value)
            values[item.name] = tuple(value) if isinstance(value, list) else value
        return cls(**values)

    @property
    def root(self) -> Path:
        """The app root as an absolute path."""
        if self.app_root is not None:
            return self.app_root.absolute()
        return DEFAULT_APP_ROOT if DEFAULT_APP_ROOT.is_dir() else Path.cwd()

    @property
    def script(self) -> Path:
        """The entry script as an absolute path, whether it exists or not.

        A path on the command line is also accepted relative to the current directory.
        """
        entry = Path(self.entry_script)
        if entry.is_absolute():
            return entry
        base = self.root
        if self.source_directory:
            base = base / self.source_directory
        for candidate in (base / entry, self.root / entry, Path.cwd() / entry):
            if candidate.is_file():
                return candidate
        return base / entry

    @property
    def queue_limit(self) -> int | None:
        """Requests that may wait, when that was set."""
        return self.max_queue_length


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def declarations() -> dict[str, Declaration]:
    """Every declaration by its field's name, in reading order."""
    return {item.name: item.metadata["declaration"] for item in fields(Settings)}


@dataclass(frozen=True)
class Source:
    """Where a value came from: kind ("flag", "variable", "file", "default") and its name."""

    kind: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}".strip()


@dataclass(frozen=True)
class Unknown:
    """A name that no setting has."""

    name: str
    source: Source
    nearest: str | None

    def __str__(self) -> str:
        hint = f" Did you mean {self.nearest}?" if self.nearest else ""
        return f"Unknown setting {self.name} ({self.source}).{hint}"


@dataclass(frozen=True)
class Resolved:
    """Settings, where each value came from, and the names nobody knows."""

    settings: Settings
    sources: Mapping[str, Source]
    unknown: Sequence[Unknown]


def resolve(
    flags: Mapping[str, str],
    environ: Mapping[str, str],
    defaults: Mapping[str, Any] | None = None,
) -> Resolved:
    """Read every setting from its four places.

    Parameters
    ----------
    flags : what the command line gave, as text, by field name.
    environ : the process environment.
    defaults : defaults of the command that asks, by field name, where they differ.

    Raises
    ------
    SettingError
        A value is not accepted, or the config file cannot be read.
    """
    known = declarations()
    values: dict[str, Any] = dict(defaults or {})
    sources = {name: Source("default") for name in known}

    def take(given: Mapping[str, tuple[str, str]], kind: str) -> None:
        for name, (shown, raw) in given.items():
            values[name] = parse_value(shown, known[name], raw)
            sources[name] = Source(kind, shown)

    by_variable = {item.variable: name for name, item in known.items()}
    from_environ = {
        name: (variable, environ[variable])
        for variable, name in by_variable.items()
        if environ.get(variable, "") != ""
    }
    from_flags = {name: (known[name].flag, raw) for name, raw in flags.items()}
    take(from_environ, "variable")
    take(from_flags, "flag")
    file = find_config_file(Settings(**values))
    unknown = [
        Unknown(name, Source("variable"), nearest(name, by_variable))
        for name in environ
        if name.startswith(OWN_PREFIX) and name not in by_variable
    ]
    if file is not None:
        entries = read_config_file(file)
        take(
            {
                by_variable[key]: (f"{key} in {file}", raw)
                for key, raw in entries.items()
                if key in by_variable
                and by_variable[key] not in from_environ
                and by_variable[key] not in from_flags
            },
            "file",
        )
        unknown += [
            Unknown(key, Source("file", str(file)), nearest(key, by_variable))
            for key in entries
            if key not in by_variable
        ]
    return Resolved(Settings(**values), sources, unknown)


def parse_value(shown: str, declaration: Declaration, raw: str) -> Any:
    """Turn text into a setting's value, or say what would have been accepted."""
    try:
        return declaration.parse(raw)
    except _Rejected as refusal:
        value = "***" if declaration.secret else raw
        raise SettingError(shown, value, str(refusal)) from None


def nearest(name: str, names: Mapping[str, str]) -> str | None:
    """The known name that looks most like this one, if any does."""
    matches = difflib.get_close_matches(name.upper(), list(names), n=1, cutoff=0.75)
    return matches[0] if matches else None


def find_config_file(settings: Settings) -> Path | None:
    """The config file that applies: named, in the app root, or beside the script."""
    if settings.config_file is not None:
        return settings.config_file
    for folder in (settings.root, settings.script.parent):
        if (folder / "config.json").is_file():
            return folder / "config.json"
    return None


def read_config_file(file: Path) -> dict[str, str]:
    """Read a config file: one JSON object, names as in the environment.

    Raises
    ------
    SettingError
        The file is not there or is not one JSON object.
    """
    name = f"the config file {file}"
    try:
        document = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise SettingError(name, error.strerror, "a readable JSON file") from error
    except ValueError as error:
        raise SettingError(name, str(error), "one JSON object") from error
    if not isinstance(document, dict):
        raise SettingError(name, type(document).__name__, "one JSON object")
    return {str(key): _as_text(value) for key, value in document.items() if value is not None}


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(str(item) for item in value)
    return str(value)
