"""Every setting, declared once: variable, flag, type, default and help stand together.

The command line, ``scorehost config``, the documentation table and the start-up report are all
made from these declarations. Values come from the command line, the environment, a config file
or the default; ``sources.py`` puts them together. Nothing here reads the process environment.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from scorehost.values import (
    Kind,
    address,
    boolean,
    choice,
    comma_list,
    host_names,
    log_level,
    only_true,
    path,
    seconds,
    size,
    text,
    whole,
    worker_count,
)

DEFAULT_APP_ROOT = Path("/var/azureml-app")
"""Where the retired service's images, and ours, keep the app."""

PREFIXES = ("SCOREHOST_", "AZUREML_", "AML_")
"""What a flag leaves out of its variable's name."""

MASK = "***"
"""Stands wherever a secret would."""


@dataclass(frozen=True)
class Declaration:
    """How one setting is named, read and explained."""

    variable: str
    kind: Kind
    default: Any
    help: str
    section: str
    flag: str
    metavar: str
    secret: bool = False
    positional: bool = False

    def show(self, value: Any) -> str:
        """Return a value as a person would write it; "" for none, and secrets masked."""
        if value is None:
            return self.kind.none
        return MASK if self.secret else self.kind.show(value)

    def as_variable(self, value: Any) -> str:
        """Return a value as the environment variable has it."""
        return self.kind.none if value is None else self.kind.variable(value)


def setting(
    variable: str,
    kind: Kind,
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
    kind : what values it takes, and how they are written.
    default : the value when nothing is set.
    help : one line for the command line and the documentation.
    section : heading it stands under.
    flag : long option; made from the variable when not given.
    metavar : what the help shows for the value.
    secret : masked wherever settings are printed.
    positional : also the command's positional argument.
    """
    declaration = Declaration(
        variable,
        kind,
        default,
        help,
        section,
        flag or "--" + without_prefix(variable).lower().replace("_", "-"),
        metavar,
        secret,
        positional,
    )
    return field(default=default, repr=not secret, metadata={"declaration": declaration})


def without_prefix(variable: str) -> str:
    """The part of a variable's name that says what it sets."""
    for prefix in PREFIXES:
        if variable.startswith(prefix):
            return variable[len(prefix) :]
    return variable


MIB = 1 << 20


@dataclass(frozen=True)
class Settings:
    """What a server was told to do. Made once, in ``cli.py``, and passed on."""

    # A table: what belongs to one setting stays together, in as few lines as it can.
    # fmt: off

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
    python: str | None = setting(
        "SCOREHOST_PYTHON", text, section="Places", metavar="PATH",
        help="The script's own Python, or its environment's folder; the server's when unset.",
    )
    model_dir: Path | None = setting(
        "AZUREML_MODEL_DIR", path, section="Places", metavar="DIR", flag="--model-dir",
        help="Folder of the model, passed to the script; from the app root when unset.",
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
        help="Private key (PEM) of the certificate; unless set, it is in the certificate's file.",
    )

    # -- Workers --------------------------------------------------------------------------
    worker_count: int | None = setting(
        "WORKER_COUNT", worker_count, 1, section="Workers", metavar="N|auto", flag="--workers",
        help="Scoring workers; auto counts the CPUs and memory the container may use.",
    )
    worker_timeout: float = setting(
        "WORKER_TIMEOUT", seconds(), 300.0, section="Workers", metavar="SECONDS",
        help="Time limit for import and init() together, not for run(); 0: no limit.",
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
        help="Replace a worker after this many requests; 0: never.",
    )
    max_worker_memory: int = setting(
        "SCOREHOST_MAX_WORKER_MEMORY", size, 0, section="Workers", metavar="BYTES",
        help="Replace a worker whose resident memory exceeds this; 0: never.",
    )

    # -- Limits ---------------------------------------------------------------------------
    scoring_timeout_ms: int = setting(
        "SCORING_TIMEOUT_MS", whole(1), 3_600_000, section="Limits", metavar="MS",
        help="Time limit for one request, from when it begins to the last byte of the result.",
    )
    interrupt_grace: float = setting(
        "SCOREHOST_INTERRUPT_GRACE", seconds(), 2.0, section="Limits", metavar="SECONDS",
        help="How long code may keep running after its deadline before its worker is killed.",
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
        help="Total size of the bodies that may be waiting for a worker or being received.",
    )
    max_untaken_bytes: int = setting(
        "SCOREHOST_MAX_UNTAKEN_BYTES", size, 512 * MIB, section="Limits", metavar="BYTES",
        help="Total size of answers that their clients have not taken yet.",
    )
    max_body_bytes: int = setting(
        "SCOREHOST_MAX_BODY_BYTES", size, 100 * MIB, section="Limits", metavar="BYTES",
        help="Largest request body.",
    )
    max_header_bytes: int = setting(
        "SCOREHOST_MAX_HEADER_BYTES", size, 64 << 10, section="Limits", metavar="BYTES",
        help="Largest request line plus headers, each of which counts for 32 bytes more.",
    )
    header_timeout: float = setting(
        "SCOREHOST_HEADER_TIMEOUT", seconds(0.1), 20.0, section="Limits", metavar="SECONDS",
        help="Longest time for the headers of a request to arrive.",
    )
    body_timeout: float = setting(
        "SCOREHOST_BODY_TIMEOUT", seconds(0.1), 30.0, section="Limits", metavar="SECONDS",
        help="Longest time for 8 KiB of a body to arrive, or of a response to be taken.",
    )
    idle_timeout: float = setting(
        "SCOREHOST_IDLE_TIMEOUT", seconds(0.1), 620.0, section="Limits", metavar="SECONDS",
        help="How long a kept-alive connection may be idle; longer than any usual proxy's.",
    )
    max_connections: int = setting(
        "SCOREHOST_MAX_CONNECTIONS", whole(1), 10_000, section="Limits", metavar="N",
        help="Maximum number of open connections; above it, others make room (docs/limits.md).",
    )

    # -- Shutdown -------------------------------------------------------------------------
    shutdown_delay: float = setting(
        "SCOREHOST_SHUTDOWN_DELAY", seconds(), 0.0, section="Shutdown", metavar="SECONDS",
        help="How long to keep accepting requests after SIGTERM, while load balancers notice.",
    )
    shutdown_grace: float = setting(
        "SCOREHOST_SHUTDOWN_GRACE", seconds(), 30.0, section="Shutdown", metavar="SECONDS",
        help="Time limit for shutdown, delay included; requests still unanswered then are lost.",
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
        help="Path that a proxy adds before the routes, for the swagger documents.",
    )
    workspace_name: str = setting(
        "WORKSPACE_NAME", text, "", section="Answers",
        help="Name of the workspace; passed to the script.",
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
        "SERVER_VERSION_LOG_RESPONSE_ENABLED", only_true, True, section="Answers", metavar="BOOL",
        flag="--server-version-header",
        help="Send x-ms-server-version with every response; any value but true means no.",
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
        help="Lowest level to log, for the server and for the script's loggers; the access log is "
        "at INFO. What the script prints is logged at every level.",
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
        help="File for the last report; /dev/termination-log when unset, if that exists.",
    )
    app_insights_enabled: bool = setting(
        "AML_APP_INSIGHTS_ENABLED", only_true, False, section="Logs", metavar="BOOL",
        help="Passed to the script; false unless the key is a UUID.",
    )
    app_insights_key: str | None = setting(
        "AML_APP_INSIGHTS_KEY", text, section="Logs", secret=True,
        help="Instrumentation key, a UUID; passed to the script.",
    )
    app_insights_log_response: bool = setting(
        "APP_INSIGHTS_LOG_RESPONSE_ENABLED", boolean, True, section="Logs", metavar="BOOL",
        help="Passed to the script.",
    )

    # -- Debugging ------------------------------------------------------------------------
    debug: bool = setting(
        "SCOREHOST_DEBUG", boolean, False, section="Debugging", metavar="BOOL",
        help="Debug mode: a debugger, detailed errors, the /debug route, and a single worker.",
    )
    debug_host: str = setting(
        "SCOREHOST_DEBUG_HOST", address, "127.0.0.1", section="Debugging", metavar="ADDRESS",
        help="Address that the debugger listens on; with 0.0.0.0 other machines can connect to it.",
    )
    debug_port: int = setting(
        "SCOREHOST_DEBUG_PORT", whole(1, 65535), 5678, section="Debugging", metavar="PORT",
        help="Port of the debugger.",
    )
    debug_wait: float = setting(
        "SCOREHOST_DEBUG_WAIT", seconds(), 0.0, section="Debugging", metavar="SECONDS",
        help="In debug mode, how long the script waits for a debugger before it is imported.",
    )
    debug_on_demand: bool = setting(
        "SCOREHOST_DEBUG_ON_DEMAND", boolean, False, section="Debugging", metavar="BOOL",
        help="Let 'scorehost debug open' attach a debugger to a running worker.",
    )
    debug_hosts: tuple[str, ...] = setting(
        "SCOREHOST_DEBUG_HOSTS", host_names, (), section="Debugging", metavar="NAMES",
        help="Names that /debug may be reached by, besides addresses and localhost; * for any.",
    )
    reload: bool = setting(
        "SCOREHOST_RELOAD", boolean, False, section="Debugging", metavar="BOOL",
        help="Reload when the script, a module beside it, the config file or a model changes.",
    )
    record: str = setting(
        "SCOREHOST_RECORD", choice("auto", "off", "errors", "all"), "auto", section="Debugging",
        metavar="off|errors|all",
        help="Requests to keep for 'scorehost replay'; auto: all in debug mode, otherwise none.",
    )
    record_folder: Path | None = setting(
        "SCOREHOST_RECORD_FOLDER", path, section="Debugging", metavar="DIR",
        help="Folder for kept requests; .scorehost/requests in the app root when unset.",
    )
    record_count: int = setting(
        "SCOREHOST_RECORD_COUNT", whole(1), 100, section="Debugging", metavar="N",
        help="Maximum number of requests to keep; the oldest are deleted first.",
    )
    record_bytes: int = setting(
        "SCOREHOST_RECORD_BYTES", size, 64 * MIB, section="Debugging", metavar="BYTES",
        help="Maximum size of all kept requests; one over a quarter of this is not kept.",
    )
    # fmt: on

    def to_json(self) -> str:
        """Return everything as one JSON object, for a worker process."""
        return json.dumps({name: getattr(self, name) for name in declarations()}, default=str)

    @classmethod
    def from_json(cls, document: str) -> Settings:
        """Rebuild what :meth:`to_json` wrote."""
        raw = json.loads(document)
        values: dict[str, Any] = {
            name: None if raw[name] is None else item.kind.from_json(raw[name])
            for name, item in declarations().items()
        }
        return cls(**values)

    def changed_variables(self) -> dict[str, str]:
        """Return every setting that differs from its default, as environment variables."""
        return {
            item.variable: item.as_variable(getattr(self, name))
            for name, item in declarations().items()
            if getattr(self, name) != item.default
        }

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
    def recorded(self) -> str:
        """Which requests are kept: "off", "errors" or "all"."""
        if self.record != "auto":
            return self.record
        return "all" if self.debug else "off"

    @property
    def record_place(self) -> Path:
        """The folder of kept requests."""
        return self.record_folder or self.root / ".scorehost" / "requests"

    @property
    def develops(self) -> bool:
        """Whether anything is wanted that production does without."""
        return self.debug or self.debug_on_demand or self.reload or self.recorded != "off"


def declarations() -> dict[str, Declaration]:
    """Every declaration by its field's name, in reading order."""
    return {item.name: item.metadata["declaration"] for item in fields(Settings)}
