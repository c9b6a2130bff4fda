"""What a link tells the route table of pages that its peer wants or passes on."""

from actors.messages import route_table as messages
from mesh import link_bodies
from mesh.frames import Frame, FrameType
from mesh.identity import AgentId


def pages_message(peer_id: AgentId, frame: Frame) -> messages.PagesWanted | messages.PagesArrived:
    """What the peer's WANT_PAGES or PAGES says.

    Raises:
        RemoteProtocolError: its body cannot be read.
    """
    if frame.type == FrameType.PAGES:
        return messages.PagesArrived(peer_id, link_bodies.decode_pages(frame.body))
    return messages.PagesWanted(peer_id, link_bodies.decode_want_pages(frame.body))
