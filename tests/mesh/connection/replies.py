"""An exit's answer, whichever it is."""

from mesh.connection.session import Session
from mesh.connection.session_handshake import OpenReply, SessionResponder
from mesh.link.frames import Frame


def reply_with(responder: SessionResponder, reply: OpenReply) -> tuple[Frame, Session | None]:
    """The ACCEPT and its session, or the REJECT."""
    if reply.accepted:
        return responder.accept(reply.credit, reply.socket_tag)
    return responder.reject(reply.code, reply.reason), None
