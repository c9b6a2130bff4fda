"""Opening a connection under a pair session: no handshake, and keys of its own all the same.

A short OPEN, and the ACCEPT or REJECT that answers it, have number 1::

    OPEN            ingress instance (16), exit instance (16), pair name (16), sealed OpenRequest
    ACCEPT, REJECT  sealed OpenReply

Each is sealed with the key of the connection's direction (``pair_session.py``), which then seals the stream
as well: a nonce class of its own tells each of the three from all else. The associated data is that of any
sealed frame, and in OPEN what stands in front of the sealed part.

A message that does not authenticate changes nothing: the genuine one can still be read.
"""

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from mesh.connection.opening_payloads import (
    OpenReply,
    OpenRequest,
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
    rejection,
    room_for_early,
)
from mesh.connection.pair_session import PAIR_NAME_BYTES, PairSession
from mesh.connection.party import Party
from mesh.connection.session import Session, connection_id
from mesh.connection.session_handshake import INSTANCES_BYTES, OpeningEnd
from mesh.errors import AuthenticationError, LocalProtocolError
from mesh.hops import DEFAULT_MAX_HOPS
from mesh.link.frames import (
    FROM_EXIT,
    OPENING_BODY_BYTES,
    TAG_BYTES,
    VERSION,
    Frame,
    FrameType,
    associated_data,
    nonce,
)

SHORT_OPEN: Final = 1
"""In the header of an OPEN under a pair session, and of its answer."""

_CLEAR_BYTES: Final = INSTANCES_BYTES + PAIR_NAME_BYTES
_REQUEST_BYTES: Final = OPENING_BODY_BYTES - _CLEAR_BYTES - TAG_BYTES
_REPLY_BYTES: Final = OPENING_BODY_BYTES - TAG_BYTES

OPEN_CLASS: Final = 2
ACCEPT_CLASS: Final = 3
REJECT_CLASS: Final = 4
"""Classes of nonces, beside those of segments and control frames."""


def read_pair_name(body: bytes) -> bytes:
    """Which pair session a short OPEN speaks of; fewer bytes if the body is too short for it."""
    return body[INSTANCES_BYTES:_CLEAR_BYTES]


class _ShortEnd(OpeningEnd):
    """What both sides of a short OPEN have in common: the keys of its connection."""

    _form = SHORT_OPEN

    def __init__(
        self,
        *,
        local: Party,
        remote: Party,
        connection: int,
        keys: tuple[bytes, bytes],
        max_hops: int = DEFAULT_MAX_HOPS,
    ) -> None:
        super().__init__(local=local, remote=remote, connection=connection, max_hops=max_hops)
        self._keys = keys

    @property
    def id(self) -> str:
        """The connection's, for people: also of one that was rejected."""
        return connection_id(*self._keys)

    def _covered(self, frame_type: FrameType, source: Party, destination: Party) -> bytes:
        type_byte = frame_type if frame_type is FrameType.OPEN else frame_type | FROM_EXIT
        return associated_data(
            VERSION, type_byte, source.id, destination.id, self._connection, SHORT_OPEN, OPENING_BODY_BYTES
        )

    def _seal(
        self, key: bytes, nonce_class: int, frame_type: FrameType, clear: bytes, payload: bytes
    ) -> Frame:
        covered = self._covered(frame_type, self._local, self._remote) + clear
        sealer = self._sealer = ChaCha20Poly1305(key)  # the session's as well: it has the same keys
        sealed = sealer.encrypt(nonce(nonce_class, SHORT_OPEN), payload, covered)
        return self._frame(frame_type, clear + sealed)

    def _open(
        self, key: bytes, nonce_class: int, frame_type: FrameType, clear: bytes, sealed: bytes
    ) -> bytes:
        covered = self._covered(frame_type, self._remote, self._local) + clear
        opener = self._opener = ChaCha20Poly1305(key)
        try:
            return opener.decrypt(nonce(nonce_class, SHORT_OPEN), sealed, covered)
        except InvalidTag:
            raise AuthenticationError("the opening does not authenticate under its pair session") from None


class ShortInitiator(_ShortEnd):
    """The ingress's side of opening a connection under a pair session.

    Args:
        local: this agent.
        remote: the exit, by its record.
        connection: its number: one that the ingress's instance has not used before.
        pair: of the two instances.
        max_hops: links that a frame from here may cross.
    """

    _is_initiator = True

    def __init__(
        self,
        *,
        local: Party,
        remote: Party,
        connection: int,
        pair: PairSession,
        max_hops: int = DEFAULT_MAX_HOPS,
    ) -> None:
        keys = pair.keys(connection)
        super().__init__(local=local, remote=remote, connection=connection, keys=keys, max_hops=max_hops)
        self._clear = local.instance + remote.instance + pair.name
        self._opened: tuple[OpenRequest, Frame] | None = None

    def early_room(self, request: OpenRequest) -> int:
        """How many bytes of the client's fit into the OPEN beside ``request``, which has none yet."""
        return room_for_early(request, _REQUEST_BYTES)

    def open_frame(self, request: OpenRequest) -> Frame:
        """The OPEN; every call gives the same bytes, so that it can be repeated until answered.

        Raises:
            LocalProtocolError: the request differs from that of an earlier call, or a field is out of range.
        """
        if self._opened is None:
            payload = encode_request(request, _REQUEST_BYTES)
            frame = self._seal(self._keys[0], OPEN_CLASS, FrameType.OPEN, self._clear, payload)
            self._opened = request, frame
        first_request, frame = self._opened
        if request != first_request:
            raise LocalProtocolError("a session is opened with one request; another takes another session")
        return frame

    def read_reply(self, frame: Frame) -> tuple[OpenReply, Session | None]:
        """The exit's answer from its ACCEPT or REJECT, and the session if it accepts.

        Raises:
            AuthenticationError: the frame is not the exit's answer; the genuine one can still be read.
            RemoteProtocolError: the exit answered what makes no sense.
        """
        accepted = frame.type == FrameType.ACCEPT
        if not accepted and frame.type != FrameType.REJECT:
            raise AuthenticationError(f"frame type {frame.type} is no answer to an OPEN")
        self._check_header(frame)
        kind, nonce_class = (FrameType.ACCEPT, ACCEPT_CLASS) if accepted else (FrameType.REJECT, REJECT_CLASS)
        reply = decode_reply(self._open(self._keys[1], nonce_class, kind, b"", frame.body))
        if reply.accepted != accepted:
            raise AuthenticationError("the header of the exit's answer contradicts its body")
        if not accepted:
            return reply, None
        return reply, self._session(self._keys, renews_keys=reply.renews_keys)


class ShortResponder(_ShortEnd):
    """The exit's side: reads one short OPEN and answers it.

    Args:
        local: this agent.
        remote: the ingress, by its record.
        connection: its number.
        keys: of that connection, by the pair session that the OPEN names.
        max_hops: links that a frame from here may cross.
    """

    _is_initiator = False
    _renews_keys = False
    _is_answered = False

    def read_open(self, frame: Frame) -> OpenRequest:
        """What the ingress asks for. A genuine OPEN may be a replay: ask the replay window.

        Raises:
            AuthenticationError: it is not the OPEN of ``remote``; the genuine one can still be read.
            MalformedRequestError: the ingress asked what makes no sense; :meth:`reject` can say so.
        """
        if frame.type != FrameType.OPEN:
            raise AuthenticationError(f"frame type {frame.type} is no OPEN")
        self._check_header(frame)
        self._check_instances(frame)
        clear, sealed = frame.body[:_CLEAR_BYTES], frame.body[_CLEAR_BYTES:]
        payload = self._open(self._keys[0], OPEN_CLASS, FrameType.OPEN, clear, sealed)
        request = decode_request(payload)
        self._renews_keys = request.renews_keys
        return request

    def accept(
        self,
        credit: int,
        socket_tag: bytes,
        *,
        wants_client: bool = False,
        took_early: bool = False,
        early: bytes = b"",
    ) -> tuple[Frame, Session]:
        """The ACCEPT and the session. A repeated OPEN gets the same frame again.

        Raises:
            LocalProtocolError: it has been answered, or a field is out of range.
        """
        reply = OpenReply(
            accepted=True,
            credit=credit,
            socket_tag=socket_tag,
            wants_client=wants_client,
            renews_keys=True,
            took_early=took_early,
            early=early,
        )
        answer = self._answer(FrameType.ACCEPT, ACCEPT_CLASS, reply)
        return answer, self._session(self._keys, renews_keys=self._renews_keys)

    def reject(self, code: str, reason: str) -> Frame:
        """The REJECT; a reason that is too long is cut. A repeated OPEN gets the same frame again.

        Raises:
            LocalProtocolError: it has been answered, or a field is out of range.
        """
        return self._answer(FrameType.REJECT, REJECT_CLASS, rejection(code, reason))

    def _answer(self, frame_type: FrameType, nonce_class: int, reply: OpenReply) -> Frame:
        if self._is_answered:
            raise LocalProtocolError("this OPEN has been answered: a nonce seals once")
        payload = encode_reply(reply, _REPLY_BYTES)
        self._is_answered = True
        return self._seal(self._keys[1], nonce_class, frame_type, b"", payload)
