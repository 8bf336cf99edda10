"""All observers of one server, called as one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from scorehost.front.observe.log import Log
from scorehost.front.observe.observer import Observer


class Observers:
    """Calls each hook of the observers that override it.

    Parameters
    ----------
    observers : in the order in which they are called.
    log : receives an error when one raises.

    Attributes
    ----------
    script_failed, replying, streaming, ending, finished, worker_ended, reloaded : call the hook of
        that name; None where no observer overrides it, so that the request path calls nothing.
    """

    def __init__(self, observers: Iterable[Observer], log: Log) -> None:
        self._observers = tuple(observers)
        self._log = log
        self.script_failed = self._hook("script_failed")
        self.replying = self._hook("replying")
        self.streaming = self._hook("streaming")
        self.ending = self._hook("ending")
        self.finished = self._hook("finished")
        self.worker_ended = self._hook("worker_ended")
        self.reloaded = self._hook("reloaded")

    def _hook(self, name: str) -> Callable[..., None] | None:
        usual = getattr(Observer, name)
        wanted = [each for each in self._observers if getattr(type(each), name) is not usual]
        if not wanted:
            return None

        def call(*arguments: Any) -> None:
            for each in wanted:
                try:
                    getattr(each, name)(*arguments)
                except Exception as error:  # noqa: PERF203 - one feature must not break another
                    self._log.error(f"{type(each).__name__} failed: {error!r}")

        return call
