"""Why an agent is linked with nobody, if it should be.

An agent that has ``peers`` is to have a link. One that only accepts waits for others, and is ready while
nobody has come yet, or all have left in order; one that has lost those that it had is not. Alone by design
is one that neither dials nor accepts.
"""

from collections.abc import Collection
from typing import Final

from actors.links.absent_peers import LOST
from actors.links.dialer import State
from actors.messages.peer_directory import PeerStatus
from mesh.agent.dashboard.states import CONNECTED
from mesh.config.schema import Config
from mesh.escaping import escaped
from mesh.routing.counterparts import some_of

NO_LINK: Final = "no link to any peer, so nothing beyond this agent is in reach"

ALL_LOST: Final = "every peer is lost, so nobody reaches this agent"

NOT_DIALED: Final = "not dialed yet"


def link_problems(config: Config, peers: Collection[PeerStatus]) -> tuple[tuple[str, float | None], ...]:
    """One line if there should be a link and there is none, and since when; else nothing.

    Peers that are this agent itself do not count: a name may stand for all relays, this one among them.

    Returns:
        The line, and since when in the monotonic seconds of ``peers``; ``None`` if nobody knows.
    """
    if any(peer.state == CONNECTED for peer in peers):
        return ()
    by_address = {peer.address: peer for peer in peers if peer.state != LOST}
    dialed = [(address, by_address.get(address)) for address in (str(each.address) for each in config.peers)]
    absent = [(address, peer) for address, peer in dialed if peer is None or peer.state != State.ITSELF.value]
    missing = [f"{address}: {_why(peer)}" for address, peer in absent]
    if missing:
        found = [peer.since_s for _, peer in absent if peer is not None]
        return ((f"{NO_LINK}: {some_of(missing, apart='; ')}", max(found, default=None)),)
    lost = [peer for peer in peers if peer.state == LOST]
    if not lost:
        return ()
    said = [f"{escaped(peer.name)} at {peer.address}: {peer.problem}" for peer in lost]
    return ((f"{ALL_LOST}: {some_of(said, apart='; ')}", max(peer.since_s for peer in lost)),)


def _why(peer: PeerStatus | None) -> str:
    if peer is None:
        return NOT_DIALED
    why = peer.problem or peer.state
    return f"{escaped(peer.name)}: {why}" if peer.name else why
