"""What the benchmark found: samples in, medians, ranges and ratios out, as a table and as JSON."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec


class Metric(msgspec.Struct, frozen=True):
    """One figure of a way."""

    title: str
    unit: str
    digits: int
    ratio: bool = True
    """Whether ways are compared by it."""


METRICS: Final[Mapping[str, Metric]] = {
    "bulk_up": Metric("bulk up, 1 connection", "MB/s", 0),
    "bulk_down": Metric("bulk down, 1 connection", "MB/s", 0),
    "bulk_up_16": Metric("bulk up, 16 connections", "MB/s", 0),
    "bulk_down_16": Metric("bulk down, 16 connections", "MB/s", 0),
    "cpu_up": Metric("CPU, bulk up", "s/GiB", 2),
    "cpu_down": Metric("CPU, bulk down", "s/GiB", 2),
    "ping_p50": Metric("64-octet ping-pong, p50", "us", 0),
    "ping_p99": Metric("64-octet ping-pong, p99", "us", 0),
    "busy_p50": Metric("ping-pong under bulk, p50", "us", 0),
    "busy_p99": Metric("ping-pong under bulk, p99", "us", 0),
    "connect_p50": Metric("new connection, p50", "us", 0),
    "connect_p99": Metric("new connection, p99", "us", 0),
    "connect_rate": Metric("new connections, 64 at once", "1/s", 0),
    "connect_cpu": Metric("CPU per connection", "ms", 2),
    "idle_memory": Metric("memory per idle connection, all", "KiB", 1),
}
"""In the order of the table. Megabytes are 10**6 octets; GiB and KiB are 2**30 and 2**10."""

COMPARED: Final = (
    ("mesh-2", "ssh-L"),
    ("mesh-3", "ssh-J"),
    ("mesh-2", "plain"),
    ("mesh-3", "plain"),
)
"""Ours and what it is measured against: as many encrypted legs, or no tunnel at all."""


class Results(msgspec.Struct):
    """All samples, one a round; ``None`` stands for a measurement that failed in its round."""

    samples: dict[str, dict[str, list[float | None]]] = {}
    """Way to metric to samples."""
    idle_memory_kib: dict[str, dict[str, float]] = {}
    """Way to role to memory for each idle connection."""
    skipped: dict[str, str] = {}
    """Way to why it was not measured."""
    failures: list[str] = []
    machine: dict[str, str] = {}
    options: dict[str, float] = {}

    def add(self, way: str, metric: str, value: float | None) -> None:
        """Keep one sample."""
        if metric not in METRICS:
            raise ValueError(f"no such metric: {metric}")
        self.samples.setdefault(way, {}).setdefault(metric, []).append(value)

    def of(self, way: str, metric: str) -> list[float]:
        """The samples that did not fail."""
        return [value for value in self.samples.get(way, {}).get(metric, ()) if value is not None]

    def ratios(self, ours: str, theirs: str, metric: str) -> list[float]:
        """Ours divided by theirs, round by round, where both succeeded."""
        pairs = zip(
            self.samples.get(ours, {}).get(metric, ()),
            self.samples.get(theirs, {}).get(metric, ()),
            strict=False,
        )
        return [own / other for own, other in pairs if own is not None and other]


def as_json(results: Results) -> dict[str, Any]:
    """Everything, with the medians and ratios worked out."""
    return {
        "machine": results.machine,
        "options": results.options,
        "skipped": results.skipped,
        "failures": results.failures,
        "samples": results.samples,
        "medians": {
            way: {
                metric: statistics.median(found) for metric in by_metric if (found := results.of(way, metric))
            }
            for way, by_metric in results.samples.items()
        },
        "ratios": {
            f"{ours} / {theirs}": {
                metric: {"median": statistics.median(found), "low": min(found), "high": max(found)}
                for metric in METRICS
                if (found := results.ratios(ours, theirs, metric))
            }
            for ours, theirs in COMPARED
            if ours in results.samples and theirs in results.samples
        },
        "idle_memory_kib": results.idle_memory_kib,
    }


def as_text(results: Results, ways: Sequence[str], *, ratios_only: bool = False) -> str:
    """Tables for people: medians with their ranges, ratios, memory, and what is missing."""
    parts = []
    if not ratios_only:
        parts.append(_table("Medians (lowest to highest)", ways, _median_rows(results, ways)))
    compared = [pair for pair in COMPARED if all(way in results.samples for way in pair)]
    if compared:
        heads = [f"{ours} / {theirs}" for ours, theirs in compared]
        parts.append(_table("Ratios, median of the rounds (range)", heads, _ratio_rows(results, compared)))
    if results.idle_memory_kib:
        lines = ["Memory for each idle connection, KiB"]
        for way, by_role in results.idle_memory_kib.items():
            roles = ", ".join(f"{role} {kib:.1f}" for role, kib in by_role.items())
            lines.append(f"  {way}: {roles}")
        parts.append("\n".join(lines))
    if results.skipped:
        parts.append("\n".join(f"SKIPPED {way}: {reason}" for way, reason in results.skipped.items()))
    if results.failures:
        parts.append("\n".join(["FAILED", *(f"  {failure}" for failure in results.failures)]))
    return "\n\n".join(parts)


def _median_rows(results: Results, ways: Sequence[str]) -> list[list[str]]:
    rows = []
    for name, metric in METRICS.items():
        if not any(results.samples.get(way, {}).get(name) for way in ways):
            continue
        cells = [_spread(results.of(way, name), metric.digits) for way in ways]
        for index, way in enumerate(ways):
            if None in results.samples.get(way, {}).get(name, ()):
                cells[index] += " !"
        rows.append([f"{metric.title} [{metric.unit}]", *cells])
    return rows


def _ratio_rows(results: Results, compared: Sequence[tuple[str, str]]) -> list[list[str]]:
    rows = []
    for name, metric in METRICS.items():
        if not metric.ratio:
            continue
        cells = [_spread(results.ratios(ours, theirs, name), 2) for ours, theirs in compared]
        if any(cell != "-" for cell in cells):
            rows.append([metric.title, *cells])
    return rows


def _spread(values: Sequence[float], digits: int) -> str:
    if not values:
        return "-"
    middle = f"{statistics.median(values):,.{digits}f}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):,.{digits}f}-{max(values):,.{digits}f})"


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [["", *heads], *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads) + 1)]
    text = [title]
    for line in lines:
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        text.append("  " + "  ".join(cells).rstrip())
    return "\n".join(text)
