"""Columns of text for people: as wide as they need to be, and no wider than a terminal that they go to."""

import io
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from mesh.escaping import escaped

UNBOUNDED: Final = 10_000
"""Characters of a line that goes to a file or another program, which cuts nothing."""

NARROWEST: Final = 78
"""In a narrower terminal lines run over: columns of a few characters could not be read at all."""

MARGIN: Final = 2
"""What whoever prints the lines may put before each."""


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], *, none: str) -> Iterator[str]:
    """Lines with aligned columns, the titles first.

    Args:
        titles: of the columns.
        rows: the cells, as many as there are titles; others in the mesh may have chosen what is in them.
        none: the one line if there is no row.
    """
    # Not above: agents and most commands print no table, and need not hold what draws one.
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    shown = [[Text(escaped(cell)) for cell in row] for row in rows]
    if not shown:
        yield none
        return
    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in titles:
        drawn.add_column(title, overflow="fold")
    for row in shown:
        drawn.add_row(*row)
    is_terminal = sys.stdout.isatty()
    out = io.StringIO()
    width = max(NARROWEST, shutil.get_terminal_size().columns - MARGIN) if is_terminal else UNBOUNDED
    Console(file=out, width=width, force_terminal=is_terminal, highlight=False).print(drawn)
    yield from (line.rstrip() for line in out.getvalue().splitlines())
