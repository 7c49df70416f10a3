"""The text of a scrape, in the format that the scraper accepts: Prometheus text, or OpenMetrics.

This module is imported with the first scrape, because prometheus_client takes a megabyte.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector, CollectorRegistry

from state.agents.measures import Durations
from web.metrics.catalogue import METRICS, Metric, Sample


class _Collected(Collector):
    """The samples of one scrape, as families in the order of the catalogue."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._by_name: dict[str, list[Sample]] = {}
        for sample in samples:
            self._by_name.setdefault(f"gatehouse_{sample.name}", []).append(sample)

    def collect(self) -> Iterator[Family]:
        """Yield each metric that has a value."""
        for metric in METRICS:
            if metric.name in self._by_name:
                yield _family(metric, self._by_name[metric.name])


def render(samples: Iterable[Sample], accept: str) -> tuple[bytes, str]:
    """Return the text of these samples and its media type, as the scraper's Accept header asks."""
    encode, media_type = choose_encoder(accept)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(samples))
    return encode(registry), media_type


def _family(metric: Metric, samples: list[Sample]) -> Family:
    if metric.kind == "histogram":
        histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for sample in samples:
            if isinstance(sample.value, Durations):
                histogram.add_metric(sample.labels, list(sample.value.cumulated()), sum_value=None)
        return histogram
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.labels)
    for sample in samples:
        if not isinstance(sample.value, Durations):
            family.add_metric(sample.labels, float(sample.value))
    return family
