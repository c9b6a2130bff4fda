"""Drawings as SVG text: what the plots of the simulation and of the benchmark share."""

import html
from collections.abc import Iterable


def document(parts: Iterable[str], *, width: float, height: float) -> str:
    """A whole drawing on white."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="sans-serif" font-size="11">\n'
        f'<rect width="{width}" height="{height}" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def text(
    x: float,
    y: float,
    words: str,
    *,
    anchor: str = "start",
    size: int = 11,
    weight: str = "normal",
    colour: str = "#202020",
) -> str:
    """One line of text."""
    return (
        f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}" '
        f'fill="{colour}">{html.escape(words)}</text>'
    )
