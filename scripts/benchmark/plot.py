"""The figures of one run as SVG: a group of bars for each figure, a bar for each way, its range as a line."""

import statistics
from typing import Final

from scripts import svg
from scripts.benchmark.figures import METRICS
from scripts.benchmark.results import Results, verdicts

WIDTH: Final = 900
LEFT: Final = 130
"""Room for the names of ways."""
RIGHT: Final = 150
"""Room for the figures."""
ROW: Final = 15
SPAN: Final = WIDTH - LEFT - RIGHT

COLOURS: Final = {"mesh": "#3060a0", "ssh": "#d08040", "socat": "#909060", "plain": "#909090"}
OTHER: Final = "#508060"
STANDINGS: Final = {
    "aim reached": "#308030",
    "reached": "#606020",
    "MISSED": "#c03030",
    "not measured": "#808080",
}


def draw(results: Results) -> str:
    """The drawing, an SVG document."""
    parts = [svg.text(LEFT, 18, "Medians, with the range of the rounds", size=14)]
    y = 30
    for name, metric in METRICS.items():
        found = {way: values for way in results.samples if (values := results.of(way, name))}
        if not found:
            continue
        y += 8
        parts.append(svg.text(LEFT, y + 11, f"{metric.title} [{metric.unit}]", weight="bold"))
        y += ROW
        top = max(1e-9, *map(max, found.values()))
        for way, values in found.items():
            parts += _row(way, values, top=top, digits=metric.digits, y=y)
            y += ROW
    y += 14
    parts.append(svg.text(LEFT, y + 11, "Beside their bars: found, at least, aim", weight="bold"))
    y += ROW
    for verdict in verdicts(results):
        bar = verdict.bar
        value = "-" if verdict.value is None else f"{verdict.value:.2f}"
        words = f"{bar.title}: {value} ({bar.at_least:g}, {bar.aim:g}) {bar.unit} {verdict.standing.value}"
        parts.append(svg.text(LEFT, y + 11, words, colour=STANDINGS[verdict.standing.value]))
        y += ROW
    return svg.document(parts, width=WIDTH, height=y + 10)


def _row(way: str, values: list[float], *, top: float, digits: int, y: int) -> list[str]:
    width = SPAN * max(statistics.median(values), 0.0) / top
    low, high = (LEFT + SPAN * max(value, 0.0) / top for value in (min(values), max(values)))
    colour = COLOURS.get(way.partition("-")[0], OTHER)
    line = y + ROW / 2 - 1
    return [
        svg.text(LEFT - 6, y + 11, way, anchor="end"),
        f'<rect x="{LEFT}" y="{y + 2}" width="{width:.1f}" height="{ROW - 5}" fill="{colour}"/>',
        f'<line x1="{low:.1f}" y1="{line}" x2="{high:.1f}" y2="{line}" stroke="#202020"/>',
        svg.text(LEFT + SPAN + 8, y + 11, f"{statistics.median(values):,.{digits}f}"),
    ]
