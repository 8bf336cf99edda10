"""Where each setting's value comes from: command line, environment, config file, default.

The first of the four that has a value wins. Names that no setting has are kept, with the
nearest one that is known. Nothing here reads the process environment: ``cli.py`` passes it in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scorehost.config_file import ConfigFile, find_config_file
from scorehost.errors import SettingError
from scorehost.names import nearest_variable
from scorehost.settings import MASK, Declaration, Settings, declarations
from scorehost.values import Refusal

OWN_PREFIX = "SCOREHOST_"
SHARED_PREFIXES = ("AZUREML_", "AML_", "SCORING_", "WORKER_")
"""Others set variables of these names too: only what is all but one of ours is a mistake."""
ALMOST = 0.9


@dataclass(frozen=True)
class Source:
    """Where a value came from.

    Parameters
    ----------
    kind : "flag", "variable", "file", "default", or "rule" when another setting decided.
    name : the flag, variable, key and file, or reason.
    """

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
    """Settings, and how they came about.

    Parameters
    ----------
    settings : the values.
    sources : where each came from, by field name.
    unknown : names nobody knows.
    notices : what else the person should hear, one line each.
    config_file : the config file that was read.
    """

    settings: Settings
    sources: Mapping[str, Source]
    unknown: Sequence[Unknown] = ()
    notices: Sequence[str] = ()
    config_file: Path | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """Everything that is worth a warning in the log."""
        return (*map(str, self.unknown), *self.notices)


def resolve(
    flags: Mapping[str, str],
    environ: Mapping[str, str],
    defaults: Mapping[str, Any] | None = None,
    spelling: Mapping[str, str] | None = None,
) -> Resolved:
    """Read every setting from its four places.

    Parameters
    ----------
    flags : what the command line gave, as text, by field name.
    environ : the process environment.
    defaults : defaults of the command that asks, by field name, where they differ.
    spelling : what was typed for a setting, by field name, where it is not its flag.

    Raises
    ------
    SettingError
        A value is not accepted.
    UsageError
        The config file that was named cannot be used.
    """
    reading = _Reading(dict(defaults or {}))
    reading.take_flags(flags, spelling or {})
    reading.take_variables(environ)
    file, notices = find_config_file(Settings(**reading.values), reading.by_variable)
    reading.notices += notices
    if file is not None:
        reading.take_file(file)
    reading.apply_rules()
    return Resolved(
        Settings(**reading.values),
        reading.sources,
        tuple(reading.unknown),
        tuple(reading.notices),
        file.path if file is not None else None,
    )


@dataclass
class _Reading:
    """What has been read so far, the strongest place first: what is there already, stays."""

    values: dict[str, Any]
    known: dict[str, Declaration] = field(default_factory=declarations)
    unknown: list[Unknown] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.by_variable = {item.variable: name for name, item in self.known.items()}
        self.sources = {name: Source("default") for name in self.known}

    def take_flags(self, flags: Mapping[str, str], spelling: Mapping[str, str]) -> None:
        for name, raw in flags.items():
            flag = spelling.get(name, self.known[name].flag)
            self._take(name, Source("flag", flag), flag, raw)

    def take_variables(self, environ: Mapping[str, str]) -> None:
        for variable, raw in environ.items():
            name = self.by_variable.get(variable)
            if name is None:
                self._judge(variable, raw)
            elif _is_service_link(variable, raw):
                self.notices.append(
                    f"{variable} is ignored: it is {raw!r}, which a cluster sets for a service of "
                    "that name."
                )
            elif raw != "":  # a template that filled in nothing means: not set
                self._take(name, Source("variable", variable), variable, raw)

    def take_file(self, file: ConfigFile) -> None:
        for key, raw in file.entries.items():
            name = self.by_variable.get(key)
            if name is None:
                source = Source("file", str(file.path))
                self.unknown.append(Unknown(key, source, nearest_variable(key)))
            elif name == "config_file":
                self.notices.append(f"{key} in {file.path} has no effect there.")
            else:
                shown = f"{key} in {file.path}"
                self._take(name, Source("file", str(file.path)), shown, raw)

    def _take(self, name: str, source: Source, shown: str, raw: str) -> None:
        if self.sources[name].kind != "default":
            return
        self.values[name] = parse_value(shown, self.known[name], raw)
        self.sources[name] = source

    def _judge(self, variable: str, raw: str) -> None:
        """Warn about a variable that nobody knows, if it was meant for us."""
        if variable.startswith(OWN_PREFIX):
            if not _is_service_link(variable, raw):
                near = nearest_variable(variable)
                self.unknown.append(Unknown(variable, Source("variable"), near))
        elif variable.startswith(SHARED_PREFIXES):
            near = nearest_variable(variable, ALMOST)
            if near is not None:
                self.unknown.append(Unknown(variable, Source("variable"), near))

    # -- one setting that decides about another -------------------------------------------

    def apply_rules(self) -> None:
        settings = Settings(**self.values)
        if settings.app_insights_enabled:
            self._check_key(settings.app_insights_key)
        if settings.model_dir is not None and not settings.model_dir.exists():
            source = self.sources["model_dir"]
            self.notices.append(
                f"AZUREML_MODEL_DIR ({source}) is {str(settings.model_dir)!r}, "
                "which does not exist."
            )
        if settings.debug:
            self._prepare_debugging(settings)
        if settings.health_port == settings.port != 0:
            self._overrule("health_port", None, "the same port as SERVER_PORT")
        if settings.tls_key is not None and settings.tls_certificate is None:
            raise SettingError(
                "SCOREHOST_TLS_KEY", str(settings.tls_key), "a SCOREHOST_TLS_CERTIFICATE beside it"
            )

    def _prepare_debugging(self, settings: Settings) -> None:
        """A debugger is attached to one worker, which is not forked."""
        if settings.worker_count != 1:
            self._overrule("worker_count", 1, "debug mode has one worker")
            self.notices.append("Debug mode has one worker; WORKER_COUNT has no effect.")
        if settings.worker_preload:
            self._overrule("worker_preload", False, "debug mode does not fork workers")
            self.notices.append("Debug mode does not fork workers; WORKER_PRELOAD has no effect.")

    def _check_key(self, key: str | None) -> None:
        problem = "is not set" if not key else "is not a UUID"
        if key and is_uuid(key):
            return
        reason = f"AML_APP_INSIGHTS_KEY {problem}"
        self._overrule("app_insights_enabled", False, reason)
        self.notices.append(f"Application Insights is disabled: {reason}.")

    def _overrule(self, name: str, value: object, reason: str) -> None:
        self.values[name] = value
        self.sources[name] = Source("rule", reason)


def parse_value(shown: str, declaration: Declaration, raw: str) -> Any:
    """Turn text into a setting's value, or say what would have been accepted."""
    try:
        return declaration.kind(raw)
    except Refusal as refusal:
        value = MASK if declaration.secret else raw
        raise SettingError(shown, value, str(refusal)) from None


_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def is_uuid(value: str) -> bool:
    """Whether this is a UUID in its usual form."""
    return _UUID.fullmatch(value) is not None


# A cluster tells every container about every service: the service "server" makes SERVER_PORT,
# the service "scorehost" makes SCOREHOST_PORT, SCOREHOST_SERVICE_HOST and more.
_LINK_NAME = re.compile(r"\w+_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)")
_LINK_VALUE = re.compile(r"(tcp|udp|sctp)://.*")


def _is_service_link(variable: str, raw: str) -> bool:
    if variable.endswith("_PORT") and _LINK_VALUE.fullmatch(raw):
        return True
    return _LINK_NAME.fullmatch(variable) is not None
