"""Why an agent that is to dial others is linked with nobody."""

from collections.abc import Collection
from typing import Final

from actors.links.dialer import State
from actors.messages.peer_directory import PeerStatus
from mesh.agent.dashboard.status import CONNECTED
from mesh.config.schema import Config

MAX_PEERS_SAID: Final = 3
"""Peers that the line names before it only counts."""

NO_LINK: Final = "no link to any peer, so nothing beyond this agent is in reach"


def link_problems(config: Config, peers: Collection[PeerStatus]) -> tuple[str, ...]:
    """One line if ``config`` has peers and none is linked, neither one of these nor another; else nothing.

    Peers that are this agent itself do not count: a name may stand for all relays, this one among them.
    """
    if any(peer.state == CONNECTED for peer in peers):
        return ()
    by_address = {peer.address: peer for peer in peers}
    dialed = [by_address.get(str(section.address)) for section in config.peers]
    missing = [peer for peer in dialed if peer is None or peer.state != State.ITSELF.value]
    if not missing:
        return ()
    said = [f"{peer.address}: {peer.problem or peer.state}" for peer in missing if peer is not None]
    more = len(missing) - len(said[:MAX_PEERS_SAID])
    if more:
        said = [*said[:MAX_PEERS_SAID], f"{more:,} more" if said else "none has been dialed yet"]
    return (f"{NO_LINK}: {'; '.join(said)}",)
