"""Opening the end-to-end session of one connection: Noise IK from ingress to exit.

OPEN, ACCEPT and REJECT carry the handshake and have number 0::

    OPEN            ingress instance (16), exit instance (16), Noise IK message 1 with OpenRequest
    ACCEPT, REJECT  Noise IK message 2 with OpenReply

The prologue is ``b"mesh session"``, protocol version (u8), ingress ID, exit ID, ingress instance, exit
instance and connection (u64, big-endian), so the handshake authenticates these too. The payloads are msgpack
arrays, behind their length (u16, big-endian) and in front of zeros, so that all bodies have one size: it does
not tell how long a routing key is, nor why an exit rejects. What the keys then seal is the business of
``mesh/connection/session.py``.

A message that does not authenticate changes nothing: the genuine one can still be read.

Source: Noise revision 34, sections 5.3 and 7.5.
"""

import struct
from typing import Annotated, ClassVar, Final, TypeAlias, TypeVar

import msgspec

from mesh.connection.loops import TAG_BYTES
from mesh.connection.reserved import MAX_RESERVED_CHARACTERS
from mesh.connection.session import Session, connection_id
from mesh.errors import AuthenticationError, LocalProtocolError, RemoteProtocolError
from mesh.hops import DEFAULT_MAX_HOPS
from mesh.link.frames import OPENING_BODY_BYTES, VERSION, Frame, FrameType
from mesh.link.frames import TAG_BYTES as AEAD_TAG_BYTES
from mesh.trust.identity import AGENT_ID_BYTES, INSTANCE_BYTES, AgentId, Instance
from mesh.trust.noise.handshake import Handshake
from mesh.trust.noise.primitives import KEY_BYTES, KeyPair, SharedSecrets

MAX_ROUTING_KEY_CHARACTERS: Final = MAX_RESERVED_CHARACTERS
"""Of a key about as long as a host name may be (RFC 1035 section 2.3.4), and what may stand before it."""
MAX_CODE_CHARACTERS: Final = 32
MAX_REASON_CHARACTERS: Final = 1024
"""One log line, with the longest host name in it."""
REASON_BYTES: Final = 1024
"""Of a reason, in UTF-8; what is longer is cut."""

_PROLOGUE: Final = struct.Struct(">12sB16s16s16s16sQ")
_INSTANCES_BYTES: Final = 2 * INSTANCE_BYTES
_LENGTH: Final = struct.Struct(">H")
_REQUEST_BYTES: Final = OPENING_BODY_BYTES - _INSTANCES_BYTES - 2 * (KEY_BYTES + AEAD_TAG_BYTES)
_REPLY_BYTES: Final = OPENING_BODY_BYTES - KEY_BYTES - AEAD_TAG_BYTES
"""Payloads of the two messages: beside it, the first has two keys and two tags, the second one of each."""

Unsigned: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
"""A u64; msgpack has no larger integer."""


class Party(msgspec.Struct, frozen=True):
    """One end of a session, as its signed record describes it."""

    id: AgentId
    instance: Instance
    session_key: bytes
    """X25519 public key."""


class OpenRequest(msgspec.Struct, frozen=True, array_like=True):
    """What the ingress asks for, inside the first encrypted message."""

    routing_key: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ROUTING_KEY_CHARACTERS)]
    credit: Unsigned
    """Bytes that the ingress will take before it says more."""
    tells_client: bool = False
    """Whether it begins its stream with a preface (``preface.py``) if the exit wants that."""
    renews_keys: bool = False
    """Whether it can be asked for new keys (``session_keys.py``)."""


class OpenReply(msgspec.Struct, frozen=True, array_like=True):
    """What the exit answers; ``code`` and ``reason`` say why it rejects."""

    accepted: bool
    credit: Unsigned = 0
    """Bytes that the exit will take before it says more."""
    code: Annotated[str, msgspec.Meta(max_length=MAX_CODE_CHARACTERS)] = ""
    reason: Annotated[str, msgspec.Meta(max_length=MAX_REASON_CHARACTERS)] = ""
    socket_tag: Annotated[bytes, msgspec.Meta(max_length=TAG_BYTES)] = b""
    """Of the exit's socket towards the target; empty if that has no addresses."""
    wants_client: bool = False
    """Whether the ingress, which can, is to begin its stream with a preface."""
    renews_keys: bool = False
    """As in the request."""


def read_open_instances(body: bytes) -> tuple[Instance, Instance]:
    """Which instances an OPEN is from and for: ingress, exit. Not authenticated yet.

    Raises:
        RemoteProtocolError: the body is too short.
    """
    if len(body) < _INSTANCES_BYTES:
        raise RemoteProtocolError(f"OPEN with a body of {len(body)} bytes")
    return Instance(body[:INSTANCE_BYTES]), Instance(body[INSTANCE_BYTES:_INSTANCES_BYTES])


class MalformedRequestError(RemoteProtocolError):
    """An authentic OPEN whose request cannot be read: it cannot be served, but it can be rejected."""


class _Handshaker:
    """What both sides have in common: who they are, and a Noise handshake.

    Args:
        local: this agent; its session key is that of ``static``.
        remote: the other end, by its record.
        connection: its number: one that the ingress's instance has not used before.
        static: session key pair of this instance.
        ephemeral: a key pair of fresh random bytes.
        max_hops: links that a frame from here may cross.
        shared: the secrets of ``static`` with others, remembered from session to session.
    """

    _is_initiator: ClassVar[bool]

    def __init__(
        self,
        *,
        local: Party,
        remote: Party,
        connection: int,
        static: KeyPair,
        ephemeral: KeyPair,
        max_hops: int = DEFAULT_MAX_HOPS,
        shared: SharedSecrets | None = None,
    ) -> None:
        ingress, exit_ = (local, remote) if self._is_initiator else (remote, local)
        self._handshake = Handshake(
            "IK",
            initiator=self._is_initiator,
            prologue=_prologue(ingress, exit_, connection),
            static=static,
            ephemeral=ephemeral,
            remote_static=remote.session_key if self._is_initiator else None,
            shared=shared,
        )
        self._local, self._remote = local, remote
        self._connection = connection
        self._max_hops = max_hops

    def _frame(self, frame_type: FrameType, body: bytes) -> Frame:
        from_exit = frame_type is not FrameType.OPEN
        return Frame(
            frame_type, from_exit, self._local.id, self._remote.id, self._connection, 0, body, self._max_hops
        )

    def _check_header(self, frame: Frame) -> None:
        """The prologue vouches for these too, but only after some Diffie-Hellman."""
        from_exit = frame.type != FrameType.OPEN
        expected = (self._remote.id, self._local.id, self._connection, 0, from_exit)
        if (frame.source, frame.destination, frame.connection, frame.number, frame.from_exit) != expected:
            raise AuthenticationError("a handshake frame of another connection")

    @property
    def id(self) -> str:
        """The connection's, for people: also of one that was rejected.

        Raises:
            LocalProtocolError: there is no answer yet.
        """
        return connection_id(*self._handshake.split())

    def _session(self, *, is_exit: bool, renews_keys: bool) -> Session:
        to_exit, to_ingress = self._handshake.split()
        return Session(
            local=self._local.id,
            remote=self._remote.id,
            is_exit=is_exit,
            connection=self._connection,
            send_key=to_ingress if is_exit else to_exit,
            receive_key=to_exit if is_exit else to_ingress,
            remote_static=self._remote.session_key,
            renews_keys=renews_keys,
            max_hops=self._max_hops,
        )


class SessionInitiator(_Handshaker):
    """The ingress's side of opening a session with one exit."""

    _is_initiator = True
    _opened: tuple[OpenRequest, Frame] | None = None

    def open_frame(self, request: OpenRequest) -> Frame:
        """The OPEN; every call gives the same bytes, so that it can be repeated until answered.

        Raises:
            LocalProtocolError: the request differs from that of an earlier call, or a field is out of range.
            AuthenticationError: the exit's session key is of small order.
        """
        if self._opened is None:
            message = self._handshake.write_message(_encode(request, _REQUEST, _REQUEST_BYTES))
            body = self._local.instance + self._remote.instance + message
            self._opened = request, self._frame(FrameType.OPEN, body)
        first_request, frame = self._opened
        if request != first_request:
            raise LocalProtocolError("a session is opened with one request; another takes another session")
        return frame

    def read_reply(self, frame: Frame) -> tuple[OpenReply, Session | None]:
        """The exit's answer from its ACCEPT or REJECT, and the session if it accepts.

        Raises:
            AuthenticationError: the frame is not the exit's answer; the genuine one can still be read.
            RemoteProtocolError: the exit answered what makes no sense.
            LocalProtocolError: nothing was asked yet, or the answer has been read.
        """
        if frame.type not in {FrameType.ACCEPT, FrameType.REJECT}:
            raise AuthenticationError(f"frame type {frame.type} is no answer to an OPEN")
        self._check_header(frame)
        attempt = self._handshake.copy()
        reply = _decode(attempt.read_message(frame.body), _REPLY)
        if reply.accepted != (frame.type == FrameType.ACCEPT):
            raise AuthenticationError("the header of the exit's answer contradicts its body")
        self._handshake = attempt
        if not reply.accepted:
            return reply, None
        return reply, self._session(is_exit=False, renews_keys=reply.renews_keys)


class SessionResponder(_Handshaker):
    """The exit's side of one session: reads one OPEN and answers it."""

    _is_initiator = False
    _renews_keys = False

    def read_open(self, frame: Frame) -> OpenRequest:
        """What the ingress asks for. A genuine OPEN may be a replay: ask the replay window.

        Raises:
            AuthenticationError: it is not the OPEN of ``remote``; the genuine one can still be read.
            MalformedRequestError: the ingress asked what makes no sense; :meth:`reject` can say so.
            LocalProtocolError: an OPEN has been read before.
        """
        if frame.type != FrameType.OPEN:
            raise AuthenticationError(f"frame type {frame.type} is no OPEN")
        self._check_header(frame)
        if read_open_instances(frame.body) != (self._remote.instance, self._local.instance):
            raise AuthenticationError("an OPEN from or to another instance")
        attempt = self._handshake.copy()
        payload = attempt.read_message(frame.body[_INSTANCES_BYTES:])
        if attempt.remote_static != self._remote.session_key:
            raise AuthenticationError("an OPEN with another session key than that of the agent's record")
        self._handshake = attempt
        try:
            request = _decode(payload, _REQUEST)
        except RemoteProtocolError as error:
            raise MalformedRequestError(str(error)) from error
        self._renews_keys = request.renews_keys
        return request

    def accept(self, credit: int, socket_tag: bytes, *, wants_client: bool = False) -> tuple[Frame, Session]:
        """The ACCEPT and the session. A repeated OPEN gets the same frame again.

        Raises:
            LocalProtocolError: no OPEN has been read, it has been answered, or a field is out of range.
        """
        reply = OpenReply(
            accepted=True,
            credit=credit,
            socket_tag=socket_tag,
            wants_client=wants_client,
            renews_keys=True,
        )
        answer = self._answer(FrameType.ACCEPT, reply)
        return answer, self._session(is_exit=True, renews_keys=self._renews_keys)

    def reject(self, code: str, reason: str) -> Frame:
        """The REJECT; a reason that is too long is cut. A repeated OPEN gets the same frame again.

        Raises:
            LocalProtocolError: no OPEN has been read, it has been answered, or a field is out of range.
        """
        reason = reason.encode()[:REASON_BYTES].decode(errors="ignore")
        return self._answer(FrameType.REJECT, OpenReply(accepted=False, code=code, reason=reason))

    def _answer(self, frame_type: FrameType, reply: OpenReply) -> Frame:
        return self._frame(frame_type, self._handshake.write_message(_encode(reply, _REPLY, _REPLY_BYTES)))


_REQUEST: Final = msgspec.msgpack.Decoder(OpenRequest)
_REPLY: Final = msgspec.msgpack.Decoder(OpenReply)

_Payload = TypeVar("_Payload", OpenRequest, OpenReply)


def _prologue(ingress: Party, exit_: Party, connection: int) -> bytes:
    ids_are_right = len(ingress.id) == len(exit_.id) == AGENT_ID_BYTES
    if not ids_are_right or not len(ingress.instance) == len(exit_.instance) == INSTANCE_BYTES:
        raise LocalProtocolError("an agent ID or instance has the wrong length")
    return _PROLOGUE.pack(
        b"mesh session", VERSION, ingress.id, exit_.id, ingress.instance, exit_.instance, connection
    )


def _encode(payload: _Payload, decoder: msgspec.msgpack.Decoder[_Payload], byte_count: int) -> bytes:
    data = msgspec.msgpack.encode(payload)
    try:
        decoder.decode(data)  # encoding judges nothing
    except msgspec.ValidationError as error:
        raise LocalProtocolError(f"{type(payload).__name__} out of range: {error}") from error
    padded = (_LENGTH.pack(len(data)) + data).ljust(byte_count, b"\0")
    if len(padded) > byte_count:
        raise LocalProtocolError(f"{type(payload).__name__} of {len(data)} bytes")
    return padded


def _decode(padded: bytes, decoder: msgspec.msgpack.Decoder[_Payload]) -> _Payload:
    end = int.from_bytes(padded[: _LENGTH.size], "big") + _LENGTH.size
    try:
        return decoder.decode(padded[_LENGTH.size : end])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError(f"the session's handshake cannot be read: {error}") from error
