"""What flows in a session once it is open: segments and control frames, sealed end to end.

Each direction has one key. Segments (DATA, FIN) and control frames (ACK, RESET, PROBE, SESSION_KEYS) are
numbered separately, each from 0, and the nonce tells them apart: its class is 0 for segments and 1 for
control, its number that of the frame. Every header field that transit leaves alone is authenticated with the
body. A body that fails costs nothing: no state moves before it has authenticated.

The keys are replaced now and then (``rekeying.py``); numbers go on. While both ends change to new keys, what
does not open with one opens with the other, whatever was lost or overtaken on the way.

Source: RFC 8439.
"""

from hashlib import blake2b, sha256
from typing import Final, TypeVar

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
_Each = TypeVar("_Each")
SEGMENT_TYPES: Final = frozenset({FrameType.DATA, FrameType.FIN})
MAX_CONTROL_NUMBER: Final = 2**62
"""No end comes to it; a PROBE is echoed by its number and one."""
CONTROL_TYPES: Final = frozenset({FrameType.ACK, FrameType.RESET, FrameType.PROBE, FrameType.SESSION_KEYS})

ID_BYTES: Final = 6
"""Of a connection's ID: short enough to be typed, and 5,000 connections have two alike once in 20 million."""


def connection_id(to_exit: bytes, to_ingress: bytes) -> str:
    """What both ends call a connection in what they tell people, from the keys of its two directions.

    Who does not know the keys can neither make it nor find it in what passes: transit agents learn nothing
    from a log. It tells nothing of the keys.
    """
    digest = blake2b(to_exit + to_ingress, digest_size=ID_BYTES, person=b"mesh conn. id")
    return digest.hexdigest()


_NO_FLOORS: Final = (0, 0)


class Session:
    """Seals and opens the frames of one connection, at one of its ends.

    Args:
        local: agent at this end.
        remote: agent at the other end.
        is_exit: whether this end is the exit's.
        connection: number of the connection.
        send_key: 32 bytes, for this direction.
        receive_key: 32 bytes, for the other.
        remote_static: the other end's session key, an X25519 public key.
        renews_keys: whether the other end can be asked for new keys.
        max_hops: links that a frame from here may cross.
        sealer: the cipher of ``send_key``, if the opening has made one.
        opener: that of ``receive_key``.
    """

    __slots__ = (
        "_floors",
        "_last_control",
        "_local",
        "_max_hops",
        "_next_control",
        "_next_segment",
        "_next_send_key",
        "_opener",
        "_other_receive_key",
        "_receive_key",
        "_sealer",
        "_send_key",
        "connection",
        "hears_new_keys",
        "id",
        "is_exit",
        "remote",
        "remote_static",
        "renews_keys",
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
        remote_static: bytes,
        renews_keys: bool = True,
        max_hops: int = DEFAULT_MAX_HOPS,
        sealer: ChaCha20Poly1305 | None = None,
        opener: ChaCha20Poly1305 | None = None,
    ) -> None:
        self._local, self.remote = local, remote
        self.is_exit = is_exit
        self.connection = connection
        self.remote_static = remote_static
        self.renews_keys = renews_keys
        self._send_key, self._receive_key = send_key, receive_key
        self._next_send_key = self._other_receive_key = b""
        self.hears_new_keys = True
        """Whether a frame has come that the newest keys sealed."""
        self._floors = _NO_FLOORS
        """Segments and control frames with numbers below were sealed with keys that are gone."""
        self.id = connection_id(*self._to_exit_first(send_key, receive_key))
        """The connection's, for people; the same at both ends, and whatever keys come later."""
        self._sealer, self._opener = sealer, opener
        self._max_hops = max_hops
        self._next_segment = 0
        self._next_control = 0
        self._last_control = -1  # the highest number that authenticated

    def _to_exit_first(self, own: _Each, other: _Each) -> tuple[_Each, _Each]:
        """Of what is this end's and what is the other's, the ingress's first."""
        return (other, own) if self.is_exit else (own, other)

    @property
    def ends(self) -> tuple[AgentId, AgentId]:
        """The agents at the ingress and at the exit."""
        return self._to_exit_first(self._local, self.remote)

    # -- other keys ------------------------------------------------------------------------------------------

    def keys_digest(self) -> bytes:
        """SHA-256 of the present keys, that of the ingress's direction first."""
        return sha256(b"".join(self._to_exit_first(self._send_key, self._receive_key))).digest()

    def expect(self, send_key: bytes, receive_key: bytes) -> None:
        """New keys are agreed on: open what the other end seals with them, and what it sealed before."""
        self._next_send_key, self._other_receive_key = send_key, receive_key
        self.hears_new_keys = False

    def switch(self) -> None:
        """Seal with the new key from the next frame on; the former is gone."""
        self._send_key, self._next_send_key = self._next_send_key, b""
        self._sealer = None

    def forget_former(self, first_segment: int) -> None:
        """Let go of the key with which the other end sealed what came before ``first_segment``.

        Copies of that may still come. Nobody can tell them from forged ones any more, and they say nothing
        new, so they count as overtaken.
        """
        self._other_receive_key = b""
        self._floors = first_segment, self._last_control + 1

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
        """The next ACK, RESET, PROBE or SESSION_KEYS frame.

        Raises:
            LocalProtocolError: it is too long or of another type.
        """
        if frame_type not in CONTROL_TYPES or len(payload) > MAX_SEGMENT_BYTES:
            raise LocalProtocolError(f"{len(payload)} bytes of type {frame_type} are no control frame")
        number = self._next_control
        self._next_control += 1
        return self._seal(frame_type, CONTROL_CLASS, number, payload)

    def open_control(self, frame: Frame) -> bytes:
        """The payload of an ACK, RESET, PROBE or SESSION_KEYS frame that is newer than all opened before.

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
        type_byte = frame_type | FROM_EXIT if self.is_exit else frame_type
        body_bytes = len(plaintext) + TAG_BYTES
        covered = associated_data(
            VERSION, type_byte, self._local, self.remote, self.connection, number, body_bytes
        )
        sealer = self._sealer
        if sealer is None:
            sealer = self._sealer = ChaCha20Poly1305(self._send_key)
        return Frame(
            frame_type,
            self.is_exit,
            self._local,
            self.remote,
            self.connection,
            number,
            sealer.encrypt(nonce(nonce_class, number), plaintext, covered),
            self._max_hops,
        )

    def _open(self, nonce_class: int, types: frozenset[FrameType], frame: Frame) -> bytes:
        type_byte = frame.type if self.is_exit else frame.type | FROM_EXIT
        covered = associated_data(
            VERSION, type_byte, self.remote, self._local, self.connection, frame.number, len(frame.body)
        )
        opener = self._opener
        if opener is None:
            opener = self._opener = ChaCha20Poly1305(self._receive_key)
        # The tag vouches for the fields as they ought to be; that the frame has them is for us to see.
        plaintext: bytes | None
        try:
            plaintext = opener.decrypt(nonce(nonce_class, frame.number), frame.body, covered)
        except InvalidTag:
            plaintext = self._open_otherwise(nonce_class, frame, covered)
        if (
            plaintext is None
            or frame.type not in types
            or frame.source != self.remote
            or frame.destination != self._local
            or frame.connection != self.connection
            or frame.from_exit == self.is_exit
        ):
            raise AuthenticationError(f"frame {frame.number} of type {frame.type} does not authenticate")
        return plaintext

    def _open_otherwise(self, nonce_class: int, frame: Frame, covered: bytes) -> bytes | None:
        """What the present key does not open, with the one before or after it; None if that fails, too.

        Raises:
            OvertakenError: it comes from a time of which the key is gone.
        """
        other = self._other_receive_key
        if other:
            try:
                plaintext = ChaCha20Poly1305(other).decrypt(
                    nonce(nonce_class, frame.number), frame.body, covered
                )
            except InvalidTag:
                pass
            else:
                if not self.hears_new_keys:
                    # From now on most that comes is sealed with the new one.
                    self.hears_new_keys = True
                    self._receive_key, self._other_receive_key = other, self._receive_key
                    self._opener = None
                return plaintext
        if frame.number < self._floors[nonce_class]:
            raise OvertakenError(f"frame {frame.number} was sealed with a key that is gone")
        return None
