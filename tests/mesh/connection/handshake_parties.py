"""An ingress and an exit that open a session, each with keys that are the same in every test."""

from mesh.connection.opening_payloads import OpenReply, OpenRequest
from mesh.connection.party import Party
from mesh.connection.session_handshake import SessionInitiator, SessionResponder
from mesh.link.frames import Frame
from mesh.trust.identity import AgentId, Instance
from mesh.trust.noise.primitives import key_pair
from scripts.lab.frames import changed

CONNECTION = 0x0102030405060708
INGRESS_STATIC = key_pair(bytes([1]) * 32)
EXIT_STATIC = key_pair(bytes([2]) * 32)
INGRESS_EPHEMERAL = key_pair(bytes([3]) * 32)
EXIT_EPHEMERAL = key_pair(bytes([4]) * 32)
INGRESS = Party(AgentId(b"i" * 16), Instance(b"I" * 16), INGRESS_STATIC.public)
EXIT = Party(AgentId(b"e" * 16), Instance(b"E" * 16), EXIT_STATIC.public)
REQUEST = OpenRequest("my-api", 65_536)
ACCEPTED = OpenReply(accepted=True, credit=65_536, renews_keys=True)
REJECTED = OpenReply(accepted=False, code="refused", reason="the target refused")


def initiator(**changes) -> SessionInitiator:
    fields = {
        "local": INGRESS,
        "remote": EXIT,
        "connection": CONNECTION,
        "static": INGRESS_STATIC,
        "ephemeral": INGRESS_EPHEMERAL,
    }
    return SessionInitiator(**(fields | changes))


def responder(**changes) -> SessionResponder:
    fields = {
        "local": EXIT,
        "remote": INGRESS,
        "connection": CONNECTION,
        "static": EXIT_STATIC,
        "ephemeral": EXIT_EPHEMERAL,
    }
    return SessionResponder(**(fields | changes))


def altered(frame: Frame, **changes) -> Frame:
    return changed(frame, **changes)


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


OPEN = initiator().open_frame(REQUEST)
