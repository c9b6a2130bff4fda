"""``GET /metrics``: the figures of the dashboard in Prometheus' text format."""

from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mesh.dashboard.metric_help import HELP

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""Prometheus' exposition format, text version 0.0.4."""

PREFIX: Final = "mesh_"
COUNTER_SUFFIX: Final = "_total"


class _Figures(Collector):
    """Shows one set of figures, once."""

    def __init__(self, figures: Mapping[str, int]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        for name, value in sorted(self._figures.items()):
            help_text = HELP.get(name, name.removesuffix(COUNTER_SUFFIX).replace("_", " ").capitalize() + ".")
            kind = CounterMetricFamily if name.endswith(COUNTER_SUFFIX) else GaugeMetricFamily
            yield kind(PREFIX + name, help_text, value=value)


class MetricsRenderer:
    """Renders figures, and what the kernel says of this process (memory, CPU time, open descriptors)."""

    def __init__(self) -> None:
        self._process = ProcessCollector(registry=None)

    def render(self, figures: Mapping[str, int]) -> bytes:
        """The exposition of ``figures`` (name to value); names ending in ``_total`` are counters."""
        registry = CollectorRegistry()  # of one scrape: concurrent ones cannot see each other's figures
        registry.register(_Figures(figures))
        registry.register(self._process)
        return generate_latest(registry)
