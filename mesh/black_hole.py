"""Telling a path that loses packets of full size, and choosing smaller ones for it.

If a part of a path has a smaller MTU and the ICMP message that says so is filtered, large packets vanish
while small ones pass (RFC 2923, section 2.1). A TCP connection stands still with its first large segment, and
all that is queued behind it, pings too; the peer takes the silence for death. The kernel can probe for it,
but does not by default (``net.ipv4.tcp_mtu_probing``), and a connection that stands cannot be told to use
smaller segments: so the dialing end dials anew with a smaller TCP_MAXSEG, which holds for both directions.
"""

import enum
from math import inf
from types import MappingProxyType
from typing import Final

import msgspec

MANY_TIMEOUTS: Final = 2
"""As many retransmissions of one segment by its timer are no coincidence."""

HINTS_WITHIN_S: Final = 30.0
"""Two links that end in a way that hints at a black hole count if there is no more than this between them."""

KEEP_S: Final = 3600.0
"""How long segments stay small: then a new link tries full ones again, since paths change."""


class PathFigures(msgspec.Struct, frozen=True):
    """What the kernel knows of a TCP connection: ``TCP_INFO``."""

    timeouts: int
    """How often the oldest segment has been repeated because its timer ran out."""
    unacknowledged: int
    """Segments on their way."""
    since_ack_s: float
    """Since the latest acknowledgement came."""
    since_data_s: float
    """Since the latest data came."""


class Evidence(enum.Enum):
    """What the end of a link says of its path."""

    NONE = "none"
    HINT = "hint"
    """The peer's kernel acknowledges what is sent, but nothing comes: its process may stand still, or what
    it sends gets lost, all but acknowledgements."""
    STRONG = "strong"
    """What is sent is repeated in vain while what the peer sends arrives."""


def evidence(figures: PathFigures | None, timeout_s: float) -> Evidence:
    """Judge a link that has ended.

    Args:
        figures: as the link ended; ``None`` if the kernel does not say.
        timeout_s: silence after which a peer is dead; it speaks several times in that time.
    """
    if figures is None:
        return Evidence.NONE
    lately_s = timeout_s / 2
    is_acknowledged, is_heard = figures.since_ack_s < lately_s, figures.since_data_s < lately_s
    if figures.unacknowledged and figures.timeouts and (is_acknowledged or is_heard):
        return Evidence.STRONG if figures.timeouts >= MANY_TIMEOUTS else Evidence.HINT
    if not figures.unacknowledged and is_acknowledged and not is_heard:
        return Evidence.HINT
    return Evidence.NONE


class State(enum.Enum):
    """How large segments are."""

    FULL = "full"
    REDUCED = "reduced"
    LEAST = "least"


MAX_SEGMENT_BYTES: Final = MappingProxyType({State.FULL: None, State.REDUCED: 1220, State.LEAST: 536})
"""Of TCP. 1,220 fit into the least MTU of IPv6, 1,280 bytes (RFC 8200, section 5), and 536 are what any IPv4
path has to take (RFC 9293, section 3.7.1)."""

TRANSITIONS: Final = MappingProxyType(
    {State.FULL: State.REDUCED, State.REDUCED: State.LEAST, State.LEAST: State.LEAST}
)
"""What follows when full-sized packets seem to get lost."""


class SegmentLimit:
    """How large the segments of the links to one address may be."""

    __slots__ = ("_hint_at", "_since", "state")

    def __init__(self) -> None:
        self.state = State.FULL
        self._hint_at = -inf
        self._since = 0.0

    def link_ended(self, found: Evidence, now: float) -> bool:
        """Take note of how a link has ended; whether segments are to be smaller from now on."""
        previous_hint_at, self._hint_at = self._hint_at, now if found is Evidence.HINT else -inf
        if found is Evidence.NONE or (found is Evidence.HINT and now - previous_hint_at > HINTS_WITHIN_S):
            return False
        self._hint_at = -inf
        before, self.state, self._since = self.state, TRANSITIONS[self.state], now
        return self.state is not before

    def max_segment_bytes(self, now: float) -> int | None:
        """For a new link; ``None`` leaves it to the kernel."""
        if self.state is not State.FULL and now - self._since >= KEEP_S:
            self.state = State.FULL
        return MAX_SEGMENT_BYTES[self.state]
