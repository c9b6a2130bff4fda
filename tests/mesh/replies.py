"""An exit's answer, whichever it is."""

from mesh.frames import Frame
from mesh.session import OpenReply, SessionResponder
from mesh.session_sealing import Session


def reply_with(responder: SessionResponder, reply: OpenReply) -> tuple[Frame, Session | None]:
    """The ACCEPT and its session, or the REJECT."""
    if reply.accepted:
        return responder.accept(reply.credit, reply.socket_tag)
    return responder.reject(reply.code, reply.reason), None
