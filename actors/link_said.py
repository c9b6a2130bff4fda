"""What a link tells the route table of a frame in which its peer says or asks what is known of the mesh."""

from actors.messages import route_table as messages
from mesh import link_bodies
from mesh.frames import Frame, FrameType
from mesh.identity import AgentId


def said_of_records(
    peer_id: AgentId, frame: Frame
) -> messages.DigestArrived | messages.PagesWanted | messages.PagesArrived:
    """What the peer's DIGEST, WANT_PAGES or PAGES says.

    Raises:
        RemoteProtocolError: its body cannot be read.
    """
    if frame.type == FrameType.DIGEST:
        return messages.DigestArrived(peer_id, link_bodies.decode_digest(frame.body))
    if frame.type == FrameType.PAGES:
        return messages.PagesArrived(peer_id, link_bodies.decode_pages(frame.body))
    return messages.PagesWanted(peer_id, link_bodies.decode_want_pages(frame.body))
