"""What the benchmark found, as tables for people."""

import statistics
from collections.abc import Sequence
from typing import Final, TypeVar

from scripts.benchmark.figures import COMPARED, METRICS
from scripts.benchmark.results import Results, verdicts

MOST_COLUMNS: Final = 5
"""Ways beside each other in one table; more go into the next."""


_Column = TypeVar("_Column")


def as_text(results: Results, *, ratios_only: bool = False) -> str:
    """Medians with their ranges, ratios, the bars, and what is missing."""
    parts = []
    if not ratios_only:
        groups = _groups(list(results.samples))
        parts += [_table("Medians (lowest to highest)", ways, _median_rows(results, ways)) for ways in groups]
    for compared in _groups([pair for pair in COMPARED if all(way in results.samples for way in pair)]):
        rows = _ratio_rows(results, compared)
        if rows:
            heads = [f"{ours} / {theirs}" for ours, theirs in compared]
            parts.append(_table("Ratios, median of the rounds (range)", heads, rows))
    if not ratios_only:
        parts.append(_table("Beside their bars", ["found", "at least", "aim", ""], _bar_rows(results)))
    for heading, lines in (
        ("", [f"SKIPPED {what}: {reason}" for what, reason in results.skipped.items()]),
        ("NOTES", [f"  {note}" for note in results.notes]),
        ("FAILED", [f"  {failure}" for failure in results.failures]),
    ):
        if lines:
            parts.append("\n".join([heading, *lines] if heading else lines))
    return "\n\n".join(parts)


def _groups(columns: Sequence[_Column]) -> list[Sequence[_Column]]:
    return [columns[first : first + MOST_COLUMNS] for first in range(0, len(columns), MOST_COLUMNS)]


def _median_rows(results: Results, ways: Sequence[str]) -> list[list[str]]:
    rows = []
    for name, metric in METRICS.items():
        if not any(results.samples.get(way, {}).get(name) for way in ways):
            continue
        cells = [_spread(results.of(way, name), metric.digits) for way in ways]
        for index, way in enumerate(ways):
            if None in results.samples.get(way, {}).get(name, ()):
                cells[index] += " !"
        rows.append([f"{metric.title} [{metric.unit}]" if metric.unit else metric.title, *cells])
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


def _bar_rows(results: Results) -> list[list[str]]:
    rows = []
    for verdict in verdicts(results):
        bar, value = verdict.bar, verdict.value
        found = "-" if value is None else f"{value:.2f} ({verdict.low:.2f}-{verdict.high:.2f}) {bar.unit}"
        relation = ">=" if bar.more_is_better else "<="
        limits = [f"{relation} {limit:g} {bar.unit}".rstrip() for limit in (bar.at_least, bar.aim)]
        rows.append([bar.title, found.rstrip(), *limits, verdict.standing.value])
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
