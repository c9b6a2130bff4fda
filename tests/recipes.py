"""The recipes of a page: what is typed where, what is written into files, and what is to be printed."""

import re
import textwrap
from typing import NamedTuple

FENCE = re.compile(r"^ *```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
PLACE = re.compile(r"\b[Aa]t `(\w+)`")
HEADING = re.compile(r"^## (.+)$", re.MULTILINE)


class Step(NamedTuple):
    """One block of a page."""

    recipe: str
    places: tuple[str, ...]
    """The machines that were named last."""
    kind: str
    """The language of the block."""
    text: str


def steps_of(page):
    """All blocks, in order."""
    _, *parts = HEADING.split(page)
    found, places = [], ()
    for recipe, part in zip(parts[::2], parts[1::2], strict=True):
        begin = 0
        for fence in FENCE.finditer(part):
            places = tuple(PLACE.findall(part, begin, fence.start())) or places
            begin = fence.end()
            found.append(Step(recipe, places, fence[1], textwrap.dedent(fence[2])))
    return found


def lines_of(text):
    """The lines of a block for a shell; what a backslash continues is one."""
    return text.replace("\\\n", " ").splitlines()


def is_printed(line, output):
    """Whether a line with ``…`` for anything is in what was printed; spaces count as one."""
    pattern = r".*".join(r"\s+".join(map(re.escape, part.split(" "))) for part in line.split("…"))
    return re.search(pattern, output) is not None
