"""How a link begins: the first bytes of each side, which anybody can send.

    opening of the initiator
      preamble    6 bytes            "MESH", the lowest and the highest version that it speaks
      length      2 bytes            of message 1, big-endian
      message 1   48 to 112 bytes    of Noise XX: ephemeral key, ticket (16 bytes), what a later version adds,
                                     MAC (16 bytes)
    opening of the responder
      preamble    6 bytes            likewise

The link has the highest version that both speak. Both preambles are the prologue of its Noise handshake, so
nobody between the two can talk them down. An opening looks the same in every version.

The MAC is keyed by the public key of the authority that signed the initiator's certificate, as WireGuard's
mac1 is by the responder's key (the WireGuard paper, section 5.4.4). Whoever does not know that key gets no
answer, sees no certificate, and costs no Diffie-Hellman. The MAC proves no more than that: what has been seen
on the wire can be sent again, and gets an answer that only its author can read.

The ticket says who has linked there before (:mod:`mesh.link.tickets`), and is random bytes if nobody has; it
may be left out.
"""

import hmac
from collections.abc import Iterable
from hashlib import blake2s
from typing import Final, NamedTuple

from mesh.errors import AuthenticationError, RemoteProtocolError
from mesh.trust.noise import KEY_BYTES

MAGIC: Final = b"MESH"
PREAMBLE_BYTES: Final = 6
MAC_BYTES: Final = 16
TICKET_BYTES: Final = 16
MAX_ADDED_BYTES: Final = 64
"""What may stand between ephemeral key and MAC: a ticket, and what a later version adds, which this one
ignores."""

LENGTH_BYTES: Final = 2
MIN_FIRST_MESSAGE_BYTES: Final = KEY_BYTES + MAC_BYTES
MAX_FIRST_MESSAGE_BYTES: Final = MIN_FIRST_MESSAGE_BYTES + MAX_ADDED_BYTES
MAX_OPENING_BYTES: Final = PREAMBLE_BYTES + LENGTH_BYTES + MAX_FIRST_MESSAGE_BYTES
"""All that is held of somebody who has not shown the MAC."""

_KEY_CONTEXT: Final = b"mesh link mac v1"

_HTTP_REQUESTS: Final = (
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"PUT ",
    b"DELETE",
    b"OPTION",
    b"CONNEC",
    b"PATCH ",
    b"TRACE ",
    b"PRI * ",
)
"""What a request's first six bytes start with, of HTTP/1.1 (RFC 9110) and HTTP/2 (RFC 9113)."""
_HTTP_ANSWERS: Final = (b"http/", b"<!doc", b"<html")
"""What an answer starts with in lower case; some servers send a preamble of ours a bare page, as HTTP/0.9 had
it."""
_TLS_CONTENT_TYPES: Final = (0x15, 0x16)
"""Alert and handshake: RFC 8446, section 5.1."""
_TLS_MAJOR_VERSION: Final = 3


class Versions(NamedTuple):
    """The versions of the link protocol that an agent speaks: all from ``lowest`` to ``highest``."""

    lowest: int
    highest: int

    @property
    def preamble(self) -> bytes:
        """The 6 bytes that offer them."""
        return MAGIC + bytes(self)

    def common(self, others: "Versions") -> int:
        """The highest version that both speak.

        Raises:
            RemoteProtocolError: there is none.
        """
        highest = min(self.highest, others.highest)
        if highest < max(self.lowest, others.lowest):
            raise RemoteProtocolError(f"the other side speaks link protocol {others}, this agent {self}")
        return highest

    def __str__(self) -> str:
        if self.lowest == self.highest:
            return f"version {self.lowest}"
        return f"versions {self.lowest} to {self.highest}"


OWN_VERSIONS: Final = Versions(1, 1)


class Opening(NamedTuple):
    """What an initiator has opened with; its MAC is right."""

    versions: Versions
    message: bytes
    """Message 1, MAC and all."""
    byte_count: int
    """Of the whole opening."""

    @property
    def ticket(self) -> bytes:
        """What it shows as ticket; empty if there is none."""
        shown = self.message[KEY_BYTES : KEY_BYTES + TICKET_BYTES]
        return shown if len(self.message) >= MIN_FIRST_MESSAGE_BYTES + TICKET_BYTES else b""


def mac_key(authority: bytes) -> bytes:
    """The 32-byte key of the MAC of those whose certificate ``authority`` signed, from its public key."""
    return blake2s(_KEY_CONTEXT + authority).digest()


def opening_payload(versions: Versions, ephemeral: bytes, ticket: bytes, key: bytes) -> bytes:
    """The payload of this agent's message 1: ticket and MAC.

    Args:
        versions: that it offers.
        ephemeral: its ephemeral public key, 32 bytes.
        ticket: 16 bytes, or none.
        key: of :func:`mac_key`.
    """
    shown = ephemeral + ticket
    return ticket + _mac(versions.preamble + with_length(shown + bytes(MAC_BYTES))[:-MAC_BYTES], key)


def read_opening(data: bytes | bytearray, keys: Iterable[bytes]) -> Opening | None:
    """The opening at the start of ``data``, or nothing while it is not complete.

    Everything is judged as soon as it is there. Nothing costly is done.

    Args:
        data: what has come since the connection was opened.
        keys: of :func:`mac_key`, for each authority that this agent trusts.

    Raises:
        AuthenticationError: the MAC is that of none of the authorities.
        RemoteProtocolError: it is no opening; the text says what it looks like.
    """
    if len(data) < PREAMBLE_BYTES:
        return None
    versions = read_preamble(data[:PREAMBLE_BYTES])
    start = PREAMBLE_BYTES + LENGTH_BYTES
    if len(data) < start:
        return None
    length = int.from_bytes(data[PREAMBLE_BYTES:start], "big")
    if not MIN_FIRST_MESSAGE_BYTES <= length <= MAX_FIRST_MESSAGE_BYTES:
        raise RemoteProtocolError(
            f"handshake message 1 announces {length} bytes, "
            f"expected {MIN_FIRST_MESSAGE_BYTES} to {MAX_FIRST_MESSAGE_BYTES}"
        )
    end = start + length
    if len(data) < end:
        return None
    covered, mac = bytes(data[: end - MAC_BYTES]), bytes(data[end - MAC_BYTES : end])
    if not any(hmac.compare_digest(_mac(covered, key), mac) for key in keys):
        raise AuthenticationError(
            "the other side shows no authority that this agent trusts: a stranger, or of another mesh"
        )
    return Opening(versions, bytes(data[start:end]), end)


def read_preamble(preamble: bytes | bytearray) -> Versions:
    """The versions that a preamble offers.

    Raises:
        RemoteProtocolError: it is no preamble; the text says what it looks like.
    """
    preamble = bytes(preamble)
    if preamble.startswith(MAGIC):
        versions = Versions(preamble[-2], preamble[-1])
        if versions.lowest > versions.highest:
            raise RemoteProtocolError(f"a preamble that offers link protocol {versions}, which are none")
        return versions
    if preamble.startswith(_HTTP_REQUESTS):
        raise RemoteProtocolError("an HTTP client: this address is for agents, the HTTP API has its own")
    if preamble.lower().startswith(_HTTP_ANSWERS):
        raise RemoteProtocolError("the other side speaks HTTP: is it the address of an agent's acceptor?")
    if preamble[0] in _TLS_CONTENT_TYPES and preamble[1] == _TLS_MAJOR_VERSION:
        raise RemoteProtocolError("the other side speaks TLS: links are encrypted without it")
    if preamble.startswith(b"SSH-"):
        raise RemoteProtocolError("the other side speaks SSH: is it the address of an agent's acceptor?")
    raise RemoteProtocolError(f"the other side is no mesh agent: it starts with {preamble!r}")


def with_length(message: bytes) -> bytes:
    """``message`` behind its length."""
    return len(message).to_bytes(LENGTH_BYTES, "big") + message


def _mac(covered: bytes, key: bytes) -> bytes:
    return blake2s(covered, digest_size=MAC_BYTES, key=key).digest()
