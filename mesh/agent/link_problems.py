"""Why an agent that is to dial others is linked with nobody."""

from collections.abc import Collection
from typing import Final

from actors.links.dialer import State
from actors.messages.peer_directory import PeerStatus
from mesh.agent.dashboard.status import CONNECTED
from mesh.config.schema import Config
from mesh.routing.counterparts import some_of

NO_LINK: Final = "no link to any peer, so nothing beyond this agent is in reach"

NOT_DIALED: Final = "not dialed yet"


def link_problems(config: Config, peers: Collection[PeerStatus]) -> tuple[str, ...]:
    """One line if ``config`` has peers and none is linked, neither one of these nor another; else nothing.

    Peers that are this agent itself do not count: a name may stand for all relays, this one among them.
    """
    if any(peer.state == CONNECTED for peer in peers):
        return ()
    by_address = {peer.address: peer for peer in peers}
    dialed = ((address, by_address.get(address)) for address in (str(each.address) for each in config.peers))
    missing = [
        f"{address}: {NOT_DIALED if peer is None else peer.problem or peer.state}"
        for address, peer in dialed
        if peer is None or peer.state != State.ITSELF.value
    ]
    return (f"{NO_LINK}: {some_of(missing, apart='; ')}",) if missing else ()
