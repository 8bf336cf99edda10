"""Live reload: starts new workers when a file changes, or on request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping
from pathlib import Path
from typing import Any, Final

from scorehost.config_file import LARGEST, read_entries
from scorehost.dev.watching import Watched, Watcher
from scorehost.front.features import Parts
from scorehost.front.http.exchange import DONE, Exchange
from scorehost.front.observe.log import Log
from scorehost.front.observe.observer import Observer
from scorehost.front.phase import LEAVING
from scorehost.profile import Profile
from scorehost.settings import Settings, declarations

_FOR_WORKERS: Final = frozenset(
    {
        "log_level", "model_dir", "nan", "service_name", "service_path_prefix", "service_version",
        "workspace_name", "app_insights_enabled", "app_insights_key", "app_insights_log_response",
    }
)  # fmt: skip
"""Settings that new workers take from a config file that has changed."""


class LiveReload(Observer):
    """Starts new workers when something has changed.

    Parameters
    ----------
    settings, profile : what is watched, and how settings are read again.
    log : receives what has changed.
    spawn : runs a coroutine on the event loop.

    Attributes
    ----------
    note : which folders are watched, for people; "" when none are.
    """

    _parts: Parts

    def __init__(
        self,
        settings: Settings,
        profile: Profile,
        log: Log,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._settings = settings
        self._profile = profile
        self._log = log
        self._spawn = spawn
        self.note = ""
        self._watcher: Watcher | None = None
        self._awaiting_reload: list[Exchange] = []
        self._config_file: Path | None = None
        self._config_places: frozenset[Path] = frozenset()
        self._config_warnings: frozenset[str] = frozenset()

    def connect(self, parts: Parts) -> None:
        """Take the server that is to be reloaded."""
        self._parts = parts

    def report(self) -> str:
        """The report of the last failed start or reload, framed; "" when that did not fail."""
        failure = self._parts.pool.lifecycle.last_failure
        return "" if failure is None else self.details(failure)["report"]

    @staticmethod
    def details(failure: Mapping[str, Any]) -> dict[str, str]:
        """What failed, in full: the error, a hint and the framed report."""
        from scorehost.diagnosis.report import Report

        report = Report.from_dict(failure)
        return {"error": report.error, "hint": report.hint, "report": report.text()}

    def start(self) -> None:
        if not self._settings.reload:
            return
        if self._profile.resolve is not None:
            resolved = self._profile.resolve()
            self._config_file = resolved.config_file
            self._config_warnings = frozenset(resolved.warnings)
        watched = Watched(self._settings)
        self._config_places = frozenset(watched.config_files)
        self._watcher = Watcher(
            watched,
            lambda paths: self._parts.from_thread(self._files_changed, paths),
            lambda text: self._parts.from_thread(self._log.error, text),
        )
        self._watcher.start()
        self.note = f"watching {', '.join(map(str, watched.folders()))}"
        self._log.info(f"live reload: {self.note}")

    def close(self) -> None:
        if self._watcher is not None:
            self._watcher.stop()

    def reloaded(self, succeeded: bool) -> None:
        del succeeded
        self._answer_reloads()

    def _files_changed(self, paths: list[Path]) -> None:
        if self._parts.context.phase.now >= LEAVING:
            return
        configs = self._config_places.intersection(paths)
        if configs and not self._read_settings_again(configs) and configs.issuperset(paths):
            return
        names = ", ".join(self._short(path) for path in paths[:5])
        more = f" and {len(paths) - 5} more" if len(paths) > 5 else ""
        self._log.info(f"changed: {names}{more}")
        self._parts.pool.reload(anew=True)

    def _short(self, path: Path) -> str:
        root = self._settings.root
        return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)

    def _read_settings_again(self, changed: Collection[Path]) -> bool:
        """New workers take their settings from the changed file; the server itself can't.

        Returns whether one of the changed files is the config file: what lies where a config file
        may lie can just as well belong to a model.
        """
        if self._profile.resolve is None:
            return False
        try:
            resolved = self._profile.resolve()
            before, now = self._config_file, resolved.config_file
            if before is not None and before != now and before.is_file():
                read_entries(before, LARGEST)  # it was skipped as broken: this raises what is wrong
        except Exception as error:  # whatever a half-written file may cause
            self._log.error(
                f"the config file cannot be used, so the settings stay as they are: {error}"
            )
            return False
        for text in resolved.warnings:
            if text not in self._config_warnings:
                self._log.warning(text)
        files = {file.absolute() for file in (before, now) if file}
        self._config_file = now
        self._config_warnings = frozenset(resolved.warnings)
        self._take(resolved.settings)
        return not files.isdisjoint(changed)

    def _take(self, new: Settings) -> None:
        """Give the settings to workers that start from now on."""
        old = self._parts.launcher.settings
        changed = {
            name: item.variable
            for name, item in declarations().items()
            if getattr(new, name) != getattr(old, name)
        }
        later = [variable for name, variable in changed.items() if name not in _FOR_WORKERS]
        if later:
            self._log.warning(
                f"restart the server for changes to {', '.join(later)} to take effect"
            )
        self._parts.launcher.settings = new

    def reload_by_hand(self, exchange: Exchange) -> None:
        """Reload, and answer when that is over."""
        self._awaiting_reload.append(exchange)
        lifecycle = self._parts.pool.lifecycle
        before = lifecycle.last_failure
        self._parts.pool.reload(anew=True)
        if not lifecycle.reloading:
            self._spawn(self._tell_when_started(before))

    async def _tell_when_started(self, failure_before: object) -> None:
        """Answer after a start: when no worker was serving, there was nothing to reload."""
        lifecycle, dispatcher = self._parts.pool.lifecycle, self._parts.dispatcher
        while lifecycle.last_failure is failure_before and not dispatcher.serving:  # noqa: ASYNC110 - rare, and brief
            await asyncio.sleep(0.05)
        self._answer_reloads()

    def _answer_reloads(self) -> None:
        waiting, self._awaiting_reload = self._awaiting_reload, []
        if not waiting:
            return
        lifecycle = self._parts.pool.lifecycle
        status, document = 200, {"message": "Reloaded.", "generation": lifecycle.generation}
        if lifecycle.last_failure is not None:
            status, document = 500, {"message": "The reload failed.", "report": self.report()}
        for exchange in waiting:
            if exchange.state != DONE:
                self._parts.endpoints.json(exchange, status, document)
