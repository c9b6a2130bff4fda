"""Who offers a key, out of a snapshot of the routes."""

from mesh.connection.candidates import Offer
from mesh.connection.session_handshake import Party
from mesh.routing.routes import RouteSnapshot


def offers_of(snapshot: RouteSnapshot, key: str) -> tuple[Offer, ...]:
    """Who offers ``key`` within reach, in the order of the snapshot."""
    offers = []
    for candidate in snapshot.candidates.get(key, ()):
        record = snapshot.records[candidate.agent_id]
        party = Party(id=candidate.agent_id, instance=record.instance, session_key=record.session_key)
        # Links are quantised one by one; their sum would tell paths apart that measure alike.
        rtt_step = max(0, candidate.rtt_steps - 1).bit_length()
        offers.append(Offer(party, record.body.draining, candidate.hop_count, rtt_step, record.name))
    return tuple(offers)
