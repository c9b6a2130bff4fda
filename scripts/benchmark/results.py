"""What the benchmark found: samples in; medians, ranges, ratios and standings out."""

import statistics
from collections.abc import Iterator
from typing import Any

import msgspec

from scripts.benchmark.figures import BARS, COMPARED, COMPILED, METRICS, Bar, Standing, standing


class Results(msgspec.Struct):
    """All samples, one a round; ``None`` stands for a measurement that failed in its round."""

    samples: dict[str, dict[str, list[float | None]]] = {}
    """Way to metric to samples."""
    skipped: dict[str, str] = {}
    """Way or measure to why it was not taken."""
    notes: list[str] = []
    """What a reader has to know of how figures were taken."""
    failures: list[str] = []
    machine: dict[str, str] = {}
    options: dict[str, float] = {}

    def add(self, way: str, metric: str, value: float | None) -> None:
        """Keep one sample."""
        if metric not in METRICS:
            raise ValueError(f"no such metric: {metric}")
        self.samples.setdefault(way, {}).setdefault(metric, []).append(value)

    def note(self, text: str) -> None:
        """Keep ``text``, once."""
        if text not in self.notes:
            self.notes.append(text)

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


class Verdict(msgspec.Struct, frozen=True):
    """A bar, and what was found: median and range in the bar's unit, ``None`` where nothing was."""

    bar: Bar
    value: float | None
    low: float | None
    high: float | None
    standing: Standing


def verdicts(results: Results) -> list[Verdict]:
    """Each figure that has a bar, beside it."""
    found = []
    for bar in _bars(results):
        if bar.against:
            values = results.ratios(bar.way, bar.against, bar.metric)
        else:
            values = [value / bar.scale for value in results.of(bar.way, bar.metric)]
        if values:
            value = statistics.median(values)
            found.append(Verdict(bar, value, min(values), max(values), standing(bar, value)))
        else:
            found.append(Verdict(bar, None, None, None, Standing.NOT_MEASURED))
    return found


def _bars(results: Results) -> Iterator[Bar]:
    """All; and again for those ways that have been measured compiled."""
    for bar in BARS:
        yield bar
        way = bar.way + COMPILED
        if bar.metric in results.samples.get(way, {}):
            yield msgspec.structs.replace(bar, title=f"{bar.title}, compiled", way=way)


def as_json(results: Results) -> dict[str, Any]:
    """Everything, with the medians, ratios and standings worked out."""
    return {
        "machine": results.machine,
        "options": results.options,
        "skipped": results.skipped,
        "notes": results.notes,
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
                if METRICS[metric].ratio and (found := results.ratios(ours, theirs, metric))
            }
            for ours, theirs in COMPARED
            if ours in results.samples and theirs in results.samples
        },
        "bars": msgspec.to_builtins(verdicts(results)),
    }
