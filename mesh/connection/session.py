"""What flows in a session once it is open: segments and control frames, sealed end to end.

Each direction has one key. Segments (DATA, FIN) and control frames (ACK, RESET, PROBE) are numbered
separately, each from 0, and the nonce tells them apart: its class is 0 for segments and 1 for control, its
number that of the frame. Every header field that transit leaves alone is authenticated with the body. A body
that fails costs nothing: no state moves before it has authenticated.

Source: RFC 8439.
"""

from hashlib import blake2b
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from mesh.errors import AuthenticationError, LocalProtocolError, OvertakenError, RemoteProtocolError
from mesh.hops import DEFAULT_MAX_HOPS
from mesh.link.frames import (
    FROM_EXIT,
    MAX_SEGMENT_BYTES,
    TAG_BYTES,
    VERSION,
    BytesLike,
    Frame,
    FrameType,
    associated_data,
    nonce,
)
from mesh.trust.identity import AgentId

SEGMENT_CLASS: Final = 0
CONTROL_CLASS: Final = 1
SEGMENT_TYPES: Final = frozenset({FrameType.DATA, FrameType.FIN})
MAX_CONTROL_NUMBER: Final = 2**62
"""No end comes to it; a PROBE is echoed by its number and one."""
CONTROL_TYPES: Final = frozenset({FrameType.ACK, FrameType.RESET, FrameType.PROBE})

ID_BYTES: Final = 6
"""Of a connection's ID: short enough to be typed, and 5,000 connections have two alike once in 20 million."""


def connection_id(to_exit: bytes, to_ingress: bytes) -> str:
    """What both ends call a connection in what they tell people, from the keys of its two directions.

    Who does not know the keys can neither make it nor find it in what passes: transit agents learn nothing
    from a log. It tells nothing of the keys.
    """
    digest = blake2b(to_exit + to_ingress, digest_size=ID_BYTES, person=b"mesh conn. id")
    return digest.hexdigest()


class Session:
    """Seals and opens the frames of one connection, at one of its ends.

    Args:
        local: agent at this end.
        remote: agent at the other end.
        is_exit: whether this end is the exit's.
        connection: number of the connection.
        send_key: 32 bytes, for this direction.
        receive_key: 32 bytes, for the other.
        max_hops: links that a frame from here may cross.
    """

    __slots__ = (
        "_connection",
        "_is_exit",
        "_last_control",
        "_local",
        "_max_hops",
        "_next_control",
        "_next_segment",
        "_opener",
        "_receive_key",
        "_remote",
        "_sealer",
        "_send_key",
    )

    def __init__(
        self,
        *,
        local: AgentId,
        remote: AgentId,
        is_exit: bool,
        connection: int,
        send_key: bytes,
        receive_key: bytes,
        max_hops: int = DEFAULT_MAX_HOPS,
    ) -> None:
        self._local, self._remote = local, remote
        self._is_exit = is_exit
        self._connection = connection
        self._send_key, self._receive_key = send_key, receive_key
        self._sealer: ChaCha20Poly1305 | None = None
        self._opener: ChaCha20Poly1305 | None = None
        self._max_hops = max_hops
        self._next_segment = 0
        self._next_control = 0
        self._last_control = -1  # the highest number that authenticated

    @property
    def id(self) -> str:
        """The connection's, for people; the same at both ends."""
        if self._is_exit:
            return connection_id(self._receive_key, self._send_key)
        return connection_id(self._send_key, self._receive_key)

    def rest(self) -> None:
        """Let go of what takes memory and is soon made again, for a connection that stands idle.

        A cipher takes 2.2 KiB, and 0.6 us to make.
        """
        self._sealer = self._opener = None

    def seal_segment(self, frame_type: int, number: int, plaintext: BytesLike) -> Frame:
        """The DATA or FIN frame ``number``; to retransmit, send the same frame again.

        Raises:
            LocalProtocolError: the number is used up (a nonce seals once), or this is no segment.
        """
        if frame_type not in SEGMENT_TYPES or len(plaintext) > MAX_SEGMENT_BYTES:
            raise LocalProtocolError(f"{len(plaintext)} bytes of type {frame_type} are not a segment")
        if number < self._next_segment:
            raise LocalProtocolError(f"segment {number} has been sealed; {self._next_segment} is next")
        self._next_segment = number + 1
        return self._seal(frame_type, SEGMENT_CLASS, number, plaintext)

    def open_segment(self, frame: Frame) -> bytes:
        """The plaintext of a DATA or FIN frame. A replay opens again: the stream knows its numbers.

        Raises:
            AuthenticationError: it was not sealed by the other end, as this frame.
        """
        return self._open(SEGMENT_CLASS, SEGMENT_TYPES, frame)

    def seal_control(self, frame_type: int, payload: bytes) -> Frame:
        """The next ACK, RESET or PROBE frame.

        Raises:
            LocalProtocolError: it is too long or of another type.
        """
        if frame_type not in CONTROL_TYPES or len(payload) > MAX_SEGMENT_BYTES:
            raise LocalProtocolError(f"{len(payload)} bytes of type {frame_type} are no control frame")
        number = self._next_control
        self._next_control += 1
        return self._seal(frame_type, CONTROL_CLASS, number, payload)

    def open_control(self, frame: Frame) -> bytes:
        """The payload of an ACK, RESET or PROBE frame that is newer than all opened before.

        Raises:
            AuthenticationError: it was not sealed by the other end, as this frame.
            OvertakenError: it is not newer than all opened before; frames overtake where the path changes.
            RemoteProtocolError: its number is one that no end comes to, and that could not be echoed.
        """
        payload = self._open(CONTROL_CLASS, CONTROL_TYPES, frame)
        if frame.number <= self._last_control:
            raise OvertakenError(f"control frame {frame.number} comes after {self._last_control}")
        if frame.number > MAX_CONTROL_NUMBER:
            raise RemoteProtocolError(
                f"control frame {frame.number}; at most {MAX_CONTROL_NUMBER} is allowed"
            )
        self._last_control = frame.number
        return payload

    def _seal(self, frame_type: int, nonce_class: int, number: int, plaintext: BytesLike) -> Frame:
        type_byte = frame_type | FROM_EXIT if self._is_exit else frame_type
        body_bytes = len(plaintext) + TAG_BYTES
        covered = associated_data(
            VERSION, type_byte, self._local, self._remote, self._connection, number, body_bytes
        )
        sealer = self._sealer
        if sealer is None:
            sealer = self._sealer = ChaCha20Poly1305(self._send_key)
        return Frame(
            frame_type,
            self._is_exit,
            self._local,
            self._remote,
            self._connection,
            number,
            sealer.encrypt(nonce(nonce_class, number), plaintext, covered),
            self._max_hops,
        )

    def _open(self, nonce_class: int, types: frozenset[FrameType], frame: Frame) -> bytes:
        type_byte = frame.type if self._is_exit else frame.type | FROM_EXIT
        covered = associated_data(
            VERSION, type_byte, self._remote, self._local, self._connection, frame.number, len(frame.body)
        )
        opener = self._opener
        if opener is None:
            opener = self._opener = ChaCha20Poly1305(self._receive_key)
        # The tag vouches for the fields as they ought to be; that the frame has them is for us to see.
        try:
            plaintext = opener.decrypt(nonce(nonce_class, frame.number), frame.body, covered)
        except InvalidTag:
            plaintext = None
        if (
            plaintext is None
            or frame.type not in types
            or frame.source != self._remote
            or frame.destination != self._local
            or frame.connection != self._connection
            or frame.from_exit == self._is_exit
        ):
            raise AuthenticationError(f"frame {frame.number} of type {frame.type} does not authenticate")
        return plaintext
