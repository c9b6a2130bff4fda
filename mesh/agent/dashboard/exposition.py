"""Prometheus' text format, version 0.0.4.

Written here and not by ``prometheus_client``, which takes some 8 µs a line: an agent with a thousand keys has
24,000 lines. What is written is tested with its parser.

Source: "Exposition formats", prometheus.io/docs/instrumenting/exposition_formats.
"""

import enum
import functools
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Final

import msgspec

from mesh.histogram import Histogram

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class FamilyKind(enum.StrEnum):
    """What the numbers of a family are."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Family(msgspec.Struct, frozen=True):
    """All series of one name."""

    name: str
    kind: FamilyKind
    help: str


_IN_LABEL: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_IN_HELP: Final = str.maketrans({"\\": r"\\", "\n": r"\n"})


def labels(named: Mapping[str, str]) -> str:
    """Names and values of labels, as they stand between braces."""
    return ",".join(f'{name}="{value.translate(_IN_LABEL)}"' for name, value in named.items())


@functools.cache
def _bucket_ends(bounds: tuple[float, ...]) -> tuple[str, ...]:
    """What stands between the labels of a histogram and the counts of its ranges."""
    return (*(f'le="{bound!r}"}} ' for bound in bounds), 'le="+Inf"} ')


class Exposition:
    """Puts families together, each once and whole."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, family: Family, series: Iterable[tuple[str, float]]) -> None:
        """Add a family that is no histogram.

        Args:
            family: what it is.
            series: labels, as :func:`labels` has them, each with its value. Of those that are the same the
                first counts, for a scrape that has one twice is refused as a whole.
        """
        self._begin(family)
        name = family.name
        values: dict[str, float] = {}
        for each, value in series:
            values.setdefault(each, value + 0)  # a truth becomes a number, and what is none is an error here
        self._lines += [
            f"{name}{{{each}}} {value!r}" if each else f"{name} {value!r}" for each, value in values.items()
        ]

    def add_histograms(self, family: Family, series: Iterable[tuple[str, Histogram]]) -> None:
        """Add a family of histograms; see :meth:`add`."""
        self._begin(family)
        lines, name = self._lines, family.name
        found: dict[str, Histogram] = {}
        for each, histogram in series:
            found.setdefault(each, histogram)
        for each, histogram in found.items():
            begin = f"{name}_bucket{{{each}," if each else f"{name}_bucket{{"
            beside = f"{{{each}}}" if each else ""
            sums = tuple(accumulate(tuple(histogram.counts)))  # copied at once: they may rise meanwhile
            ends = _bucket_ends(histogram.bounds)
            lines += [f"{begin}{end}{count}" for end, count in zip(ends, sums, strict=True)]
            lines.append(f"{name}_sum{beside} {histogram.total!r}")
            lines.append(f"{name}_count{beside} {sums[-1]}")

    def text(self) -> bytes:
        """All of it."""
        return "\n".join((*self._lines, "")).encode(errors="replace")

    def _begin(self, family: Family) -> None:
        self._lines.append(f"# HELP {family.name} {family.help.translate(_IN_HELP)}")
        self._lines.append(f"# TYPE {family.name} {family.kind}")
