"""``GET /metrics``: the figures of the dashboard in Prometheus' text format."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mesh.agent.dashboard.metric_help import HELP
from mesh.alarms import AlarmCount

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""Prometheus' exposition format, text version 0.0.4."""

PREFIX: Final = "mesh_"
COUNTER_SUFFIX: Final = "_total"
AGE_HELP: Final = "Seconds since the agent gave these figures: 0 unless it is too busy to answer."

ALARMS_HELP: Final = "What members of the mesh have done to others, by its kind and by who did it."


class _Figures(Collector):
    """Shows one set of figures, once."""

    def __init__(self, figures: Mapping[str, int], alarms: Sequence[AlarmCount], age_s: float) -> None:
        self._figures = figures
        self._alarms = alarms
        self._age_s = age_s

    def collect(self) -> Iterator[Metric]:
        for name, value in sorted(self._figures.items()):
            help_text = HELP.get(name, name.removesuffix(COUNTER_SUFFIX).replace("_", " ").capitalize() + ".")
            kind = CounterMetricFamily if name.endswith(COUNTER_SUFFIX) else GaugeMetricFamily
            yield kind(PREFIX + name, help_text, value=value)
        by_member = CounterMetricFamily(PREFIX + "alarms_by_member", ALARMS_HELP, labels=("kind", "member"))
        for alarm in self._alarms:
            by_member.add_metric((alarm.kind.value, alarm.member), alarm.times)
        yield by_member
        yield GaugeMetricFamily(PREFIX + "snapshot_age_seconds", AGE_HELP, value=self._age_s)


class MetricsRenderer:
    """Renders figures, and what the kernel says of this process (memory, CPU time, open descriptors)."""

    def __init__(self) -> None:
        self._process = ProcessCollector(registry=None)

    def render(self, figures: Mapping[str, int], age_s: float, alarms: Sequence[AlarmCount] = ()) -> bytes:
        """The exposition of ``figures`` (name to value); names ending in ``_total`` are counters.

        Args:
            figures: by name.
            age_s: since the agent gave them.
            alarms: by kind and member.
        """
        registry = CollectorRegistry()  # of one scrape: concurrent ones cannot see each other's figures
        registry.register(_Figures(figures, alarms, age_s))
        registry.register(self._process)
        return generate_latest(registry)
