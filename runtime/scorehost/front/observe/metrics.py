"""Counts and times, kept as plain numbers and shown in Prometheus' format.

The hot path adds to lists; prometheus-client, imported at the first scrape, makes the text of
them. There is one front, so sums are right with any number of workers and survive them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from scorehost.front.http.exchange import Exchange
from scorehost.front.observe.observer import Observer

if TYPE_CHECKING:
    from prometheus_client.core import Metric

TIME_BUCKETS: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
    0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
)  # fmt: skip
"""Seconds. Prometheus' usual ones end where many models begin and begin where ours end."""
SIZE_BUCKETS: Final = (
    64,
    256,
    1 << 10,
    4 << 10,
    16 << 10,
    64 << 10,
    256 << 10,
    1 << 20,
    4 << 20,
    16 << 20,
    64 << 20,
)


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
        """The buckets as Prometheus wants them: each holds those before it."""
        sums, so_far = [], 0
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            so_far += count
            sums.append(("+Inf" if bound == float("inf") else repr(float(bound)), float(so_far)))
        return sums


class Source(Protocol):
    """What the metrics ask at the moment of a scrape."""

    def gauges(self) -> dict[str, tuple[str, float]]:
        """Help and value by name."""

    def build(self) -> dict[str, str]:
        """Labels of what runs."""

    def models(self) -> list[dict[str, str]]:
        """Labels of each model."""


def load_prometheus_client() -> None:
    """Import it: it takes about 20 ms, so neither the start nor the event loop should."""
    import prometheus_client  # noqa: F401


class Metrics(Observer):
    """Everything that is counted."""

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
        """Count exchanges; times and sizes are of scoring requests only."""
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


def exposition(counted: Metrics, source: Source) -> tuple[bytes, str]:
    """Return the metrics as Prometheus reads them, and their content type.

    Parameters
    ----------
    counted : what has been counted.
    source : is asked for what is read at the moment of a scrape.
    """
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.exposition import CONTENT_TYPE_LATEST

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(counted, source))
    return generate_latest(registry), CONTENT_TYPE_LATEST


class _Collector:
    """Makes prometheus-client's metrics of the numbers."""

    def __init__(self, counted: Metrics, source: Source) -> None:
        self._counted = counted
        self._source = source

    def collect(self) -> Iterator[Metric]:
        """Make prometheus-client's metrics of the numbers."""
        from prometheus_client.core import CounterMetricFamily, InfoMetricFamily
        from prometheus_client.metrics_core import GaugeMetricFamily

        counted = self._counted
        yield self._counter(
            CounterMetricFamily, "scorehost_requests", "Requests by route and status.",
            ("route", "status"),
            (((route, str(status)), n) for (route, status), n in sorted(counted.requests.items())),
        )  # fmt: skip
        yield self._counter(
            CounterMetricFamily, "scorehost_worker_deaths",
            "Scoring processes that ended, by reason.",
            ("reason",), (((reason,), n) for reason, n in sorted(counted.deaths.items())),
        )  # fmt: skip
        yield self._counter(
            CounterMetricFamily, "scorehost_reloads", "Reloads of the scoring workers, by result.",
            ("result",), (((result,), n) for result, n in sorted(counted.reloads.items())),
        )  # fmt: skip
        yield from self._histograms()
        for name, (text, value) in self._source.gauges().items():
            yield GaugeMetricFamily(name, text, value)
        build = self._source.build()
        yield InfoMetricFamily("scorehost_build", "Versions and the entry script.", build)
        models = InfoMetricFamily("scorehost_model", "Models in the app root.")
        for model in self._source.models():
            models.add_metric([], model)
        yield models

    @staticmethod
    def _counter(
        family: Any, name: str, text: str, labels: Sequence[str],
        values: Iterable[tuple[tuple[str, ...], float]],
    ) -> Metric:  # fmt: skip
        metric = family(name, text, labels=labels)
        for key, value in values:
            metric.add_metric(key, value)
        made: Metric = metric
        return made

    def _histograms(self) -> Iterator[Metric]:
        from prometheus_client.core import HistogramMetricFamily

        counted = self._counted
        for name, text, histogram in (
            ("scorehost_run_seconds", "Time in run().", counted.run),
            ("scorehost_queue_wait_seconds", "Wait for a worker.", counted.waited),
            ("scorehost_request_seconds", "Request's first byte to answer's last.", counted.total),
            ("scorehost_request_bytes", "Size of request bodies.", counted.request_bytes),
            ("scorehost_response_bytes", "Size of answers' bodies.", counted.response_bytes),
        ):
            yield HistogramMetricFamily(name, text, histogram.cumulative(), histogram.total)
