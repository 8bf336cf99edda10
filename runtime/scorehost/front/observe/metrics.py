"""Counts and times, kept as plain numbers and shown in the format of Prometheus.

The hot path adds to lists; prometheus-client, imported at the first scrape, turns them into text.
There is one front, so the sums are right with any number of workers, and outlive each worker.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from scorehost.front.http.exchange import Exchange
from scorehost.front.observe.observer import Observer

if TYPE_CHECKING:
    from prometheus_client.core import Metric

TIME_BUCKETS: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
    0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
)  # fmt: skip
"""Seconds. Prometheus' default buckets are too coarse for fast models and end before slow ones."""
SIZE_BUCKETS: Final = tuple(64 * 4**power for power in range(11))
"""Bytes: from 64 to 64 MiB."""


class Histogram:
    """A histogram as plain numbers: counts by bucket, and the sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, values: list[float]) -> None:
        """Count values; sorted, they are counted bucket by bucket."""
        values.sort()
        self.total += sum(values)
        bounds, position, end = self.bounds, 0, len(values)
        while position < end:
            bucket = bisect_left(bounds, values[position])
            last = bucket == len(bounds)
            after = end if last else bisect_right(values, bounds[bucket], position)
            self.counts[bucket] += after - position
            position = after

    def cumulative(self) -> list[tuple[str, float]]:
        """The buckets as Prometheus expects them: each includes those before it."""
        sums, so_far = [], 0
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            so_far += count
            sums.append(("+Inf" if bound == float("inf") else repr(float(bound)), float(so_far)))
        return sums


def load_prometheus_client() -> None:
    """Import it: that takes about 20 ms, too long for the server's start and the event loop."""
    import prometheus_client  # noqa: F401


class Metrics(Observer):
    """Everything that the server counts."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.run = Histogram(TIME_BUCKETS)
        self.waited = Histogram(TIME_BUCKETS)
        self.total = Histogram(TIME_BUCKETS)
        self.request_bytes = Histogram(SIZE_BUCKETS)
        self.response_bytes = Histogram(SIZE_BUCKETS)
        self.deaths: Counter[str] = Counter()
        self.reloads: Counter[str] = Counter()

    def finished(self, exchanges: Sequence[Exchange]) -> None:
        """Count exchanges; times and sizes are those of scoring requests only."""
        self.requests.update([(each.route.label, each.status) for each in exchanges])
        scoring = [each for each in exchanges if each.route.protocol]
        self.total.add([each.ended - each.arrived for each in scoring])
        self.request_bytes.add([each.size for each in scoring])
        self.response_bytes.add([each.sent for each in scoring])
        begun = [each for each in scoring if each.begun]
        self.waited.add([each.begun - each.queued for each in begun])
        self.run.add([each.run_ns * 1e-9 for each in begun if each.run_ns >= 0])

    def worker_ended(self, reason: str) -> None:
        self.deaths[reason] += 1

    def reloaded(self, succeeded: bool) -> None:
        self.reloads["succeeded" if succeeded else "failed"] += 1


def exposition(
    counted: Metrics,
    gauges: Mapping[str, tuple[str, float]],
    build: dict[str, str],
    models: Iterable[dict[str, str]],
) -> tuple[bytes, str]:
    """Return the metrics as Prometheus reads them, and their content type.

    Parameters
    ----------
    counted : what has been counted.
    gauges : help and value by name, read at the moment of a scrape.
    build, models : labels of what runs, and of each model.
    """
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.exposition import CONTENT_TYPE_LATEST

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(counted, gauges, build, models))
    return generate_latest(registry), CONTENT_TYPE_LATEST


@dataclass(eq=False)  # by identity: a registry keeps its collectors in a dict
class _Collector:
    """Turns the numbers into prometheus-client's metrics."""

    counted: Metrics
    gauges: Mapping[str, tuple[str, float]]
    build: dict[str, str]
    models: Iterable[dict[str, str]]

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, InfoMetricFamily
        from prometheus_client.metrics_core import GaugeMetricFamily

        counted = self.counted
        yield self._counter(
            CounterMetricFamily, "scorehost_requests", "Requests by route and status.",
            ("route", "status"),
            (((route, str(status)), n) for (route, status), n in sorted(counted.requests.items())),
        )  # fmt: skip
        yield self._counter(
            CounterMetricFamily, "scorehost_worker_deaths",
            "Scoring processes that have ended, by reason.",
            ("reason",), (((reason,), n) for reason, n in sorted(counted.deaths.items())),
        )  # fmt: skip
        yield self._counter(
            CounterMetricFamily, "scorehost_reloads", "Reloads of the scoring workers, by result.",
            ("result",), (((result,), n) for result, n in sorted(counted.reloads.items())),
        )  # fmt: skip
        yield from self._histograms()
        for name, (text, value) in self.gauges.items():
            yield GaugeMetricFamily(name, text, value)
        yield InfoMetricFamily("scorehost_build", "Versions and the entry script.", self.build)
        models = InfoMetricFamily("scorehost_model", "Models in the app root.")
        for model in self.models:
            models.add_metric([], model)
        yield models

    @staticmethod
    def _counter(
        family: Any, name: str, text: str, labels: Sequence[str],
        values: Iterable[tuple[tuple[str, ...], float]],
    ) -> Any:  # fmt: skip
        metric = family(name, text, labels=labels)
        for key, value in values:
            metric.add_metric(key, value)
        return metric

    def _histograms(self) -> Iterator[Metric]:
        from prometheus_client.core import HistogramMetricFamily

        counted = self.counted
        total = "Time from the first byte of a request to the last byte of its response."
        for name, text, histogram in (
            ("scorehost_run_seconds", "Time spent in run().", counted.run),
            ("scorehost_queue_wait_seconds", "Time spent waiting for a worker.", counted.waited),
            ("scorehost_request_seconds", total, counted.total),
            ("scorehost_request_bytes", "Size of request bodies.", counted.request_bytes),
            ("scorehost_response_bytes", "Size of response bodies.", counted.response_bytes),
        ):
            yield HistogramMetricFamily(name, text, histogram.cumulative(), histogram.total)
