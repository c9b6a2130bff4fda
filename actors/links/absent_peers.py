"""Peers without a link: those that are dialed, and those that were linked and are not any more.

A peer that is dialed shows what its dialer is about. One that dials shows nothing by itself: it is remembered
who it was, why its link ended, and since when it is gone.
"""

from typing import Final

import msgspec

from actors.messages import peer_directory as messages
from mesh.trust.identity import AgentId

MAX_LOST: Final = 64
"""Peers that are remembered; beyond it the one that was lost first is forgotten."""

LOST_KEPT_S: Final = 3_600.0
"""How long, unless it is dialed: one that comes back dials within seconds, and is no news after an hour."""

LOST: Final = "lost"
LEFT: Final = "left"
"""States of a peer that nobody dials from here."""


class AbsentPeers:
    """Remembers them; times are monotonic seconds."""

    def __init__(self) -> None:
        self._dialed: dict[str, messages.PeerStatus] = {}
        """By the address that is dialed."""
        self._lost: dict[AgentId, messages.PeerStatus] = {}
        """The one that was lost first at the front."""

    def reported(self, report: messages.DialerReported, now: float) -> None:
        """This is what a dialer is about."""
        before = self._dialed.pop(report.address, None)
        if report.state is not None:
            self._dialed[report.address] = messages.PeerStatus(
                peer_id=report.peer_id,
                name="",
                state=report.state,
                address=report.address,
                is_dialer=True,
                rtt_s=None,
                problem=report.problem,
                since_s=now if before is None else before.since_s,
            )

    def lost(self, link: messages.LinkEstablished, ended: messages.LinkEnded, now: float) -> None:
        """The only link of this peer has ended."""
        self._lost.pop(link.peer_id, None)
        self._lost[link.peer_id] = messages.PeerStatus(
            peer_id=link.peer_id,
            name=link.peer_name,
            state=LEFT if ended.has_left else LOST,
            address=link.address,
            is_dialer=link.is_dialer,
            rtt_s=None,
            problem=ended.why or None,
            since_s=now,
        )
        if len(self._lost) > MAX_LOST:
            del self._lost[next(iter(self._lost))]

    def found(self, peer_id: AgentId) -> None:
        """It is linked."""
        self._lost.pop(peer_id, None)

    def statuses(self, now: float) -> tuple[messages.PeerStatus, ...]:
        """Those that are dialed, with the names of those that were linked before; then the others."""
        ids = {each.peer_id for each in self._dialed.values()}
        self._lost = {
            each: lost for each, lost in self._lost.items() if each in ids or now < lost.since_s + LOST_KEPT_S
        }
        dialed = tuple(map(self._named, self._dialed.values()))
        return (*dialed, *(lost for each, lost in self._lost.items() if each not in ids))

    def _named(self, dialed: messages.PeerStatus) -> messages.PeerStatus:
        """The same with its name, and with why its last link ended, as far as that is known."""
        lost = None if dialed.peer_id is None else self._lost.get(dialed.peer_id)
        if lost is None:
            return dialed
        before = f"the last link ended: {lost.problem}" if lost.problem else ""
        problem = "; ".join(part for part in (dialed.problem, before) if part)
        since_s = min(dialed.since_s, lost.since_s)
        return msgspec.structs.replace(dialed, name=lost.name, problem=problem or None, since_s=since_s)
