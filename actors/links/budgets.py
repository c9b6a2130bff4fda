"""What each peer may have its links bring, whichever link that is: a new one begins no new burst."""

from typing import Final, NamedTuple

from mesh.link.own_frames import DigestBudgets, digest_budgets
from mesh.remembered import Remembered
from mesh.routing.ways_back import OpenBudgets, open_budgets
from mesh.token_bucket import TokenBucket

TOLD_RATE: Final = 1.0
"""Lines a second about OPENs of one link that are not passed on; all are counted."""

TOLD_BURST: Final = 5.0
"""At once."""


class PeerBudgets(NamedTuple):
    """Of all peers of an agent."""

    digests: DigestBudgets
    opens: OpenBudgets
    told: Remembered[str, TokenBucket]
    """Lines about each peer, by its name in logs."""


def peer_budgets() -> PeerBudgets:
    """Those of all peers of an agent, which its links share."""
    return PeerBudgets(
        digest_budgets(), open_budgets(), Remembered(lambda: TokenBucket(TOLD_RATE, TOLD_BURST))
    )
