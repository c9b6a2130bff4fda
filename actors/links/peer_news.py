"""What a peer says to the route table, as the route table hears it."""

from typing import assert_never

from actors.messages import route_table as messages
from mesh.link import effects
from mesh.trust.identity import AgentId


def told_to_routes(peer_id: AgentId, news: effects.PeerNews) -> messages.FromPeers:
    """The message for what ``peer_id`` has said."""
    match news:
        case effects.RecordsCame(records=records):
            return messages.RecordsArrived(peer_id, records)
        case effects.DigestCame(digest=digest):
            return messages.DigestArrived(peer_id, digest)
        case effects.PagesWanted(wanted=pages):
            return messages.PagesWanted(peer_id, pages)
        case effects.PagesCame(pages=given):
            return messages.PagesArrived(peer_id, given)
        case effects.RevocationsCame(lists=lists):
            return messages.RevocationsArrived(peer_id, lists)
        case effects.RevocationsWanted(wanted=wanted):
            return messages.RevocationsWanted(peer_id, wanted)
        case _:
            assert_never(news)
