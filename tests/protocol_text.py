"""The text and the tables of ``docs/PROTOCOL.md`` and ``docs/IMPLEMENTATION.md``."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTOCOL = (ROOT / "docs" / "PROTOCOL.md").read_text(encoding="utf-8")
IMPLEMENTATION = (ROOT / "docs" / "IMPLEMENTATION.md").read_text(encoding="utf-8")
TEXT = f"{PROTOCOL}\n{IMPLEMENTATION}"


def tables(text):
    """Every table as a list of rows, each a list of cells without backticks around them; header first."""
    for block in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        rows = [
            [cell.strip().strip("`") for cell in line.strip()[1:-1].split("|")] for line in block.splitlines()
        ]
        yield [rows[0], *rows[2:]]


def table(*head, after=""):
    """The rows of the one table that starts with these columns, behind the line ``after``."""
    text = TEXT[TEXT.index(after) :]
    found = [rows for rows in tables(text) if tuple(rows[0][: len(head)]) == head]
    assert found, f"no table with the columns {head}"
    return found[0][1:]


LIMITS = [row for rows in tables(TEXT) if rows[0][:2] == ["name", "value"] for row in rows[1:]]
