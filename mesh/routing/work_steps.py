"""How much of what peers say is taken in one step, so that data has its turn between two of them."""

from collections.abc import Iterator, Sequence
from typing import Final

from mesh.link.bodies import WantedPages

STEP_VERIFIED: Final = 8
"""Records verified in one step: 130 us each, so that data waits for a millisecond of it and not for ten."""

STEP_RECORDS: Final = 64
"""Records looked at in one step: 20 us at the most for each that need not be verified."""


def wanted_in_steps(wanted: Sequence[WantedPages]) -> Iterator[tuple[WantedPages, ...]]:
    """``wanted`` in its order, in parts that take a step each.

    A page looked up counts as much as a record verified: one that is here is copied and sealed, up to 32,000
    bytes of it.
    """
    part: list[WantedPages] = []
    room = STEP_VERIFIED
    for wants in wanted:
        first = 0
        while first < len(wants.digests):
            digests = wants.digests[first : first + room]
            part.append(WantedPages(wants.agent_id, digests))
            first += len(digests)
            room -= len(digests)
            if not room:
                yield tuple(part)
                part, room = [], STEP_VERIFIED
    if part:
        yield tuple(part)
