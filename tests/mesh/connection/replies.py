"""An exit's answer, whichever it is, and what is in the payloads of the session's handshake."""

from typing import Any

import msgspec

from mesh.connection.opening_payloads import OpenReply
from mesh.connection.session import Session
from mesh.connection.session_handshake import SessionResponder
from mesh.link.frames import Frame


def reply_with(responder: SessionResponder, reply: OpenReply) -> tuple[Frame, Session | None]:
    """The ACCEPT and its session, or the REJECT."""
    if reply.accepted:
        return responder.accept(
            reply.credit,
            reply.socket_tag,
            wants_client=reply.wants_client,
            took_early=reply.took_early,
            early=reply.early,
        )
    return responder.reject(reply.code, reply.reason), None


def padded(payload: Any) -> bytes:
    """A payload as it stands in front of its padding."""
    data = msgspec.msgpack.encode(payload)
    return len(data).to_bytes(2, "big") + data


def unpadded(payload: bytes) -> Any:
    """What a payload says."""
    return msgspec.msgpack.decode(payload[2 : 2 + int.from_bytes(payload[:2], "big")])
