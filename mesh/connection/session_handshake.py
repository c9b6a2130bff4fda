"""Opening the end-to-end session of one connection by a handshake of its own: Noise IK from ingress to exit.

A full OPEN, and the ACCEPT or REJECT that answers it, carry the handshake and have number 0::

    OPEN            ingress instance (16), exit instance (16), Noise IK message 1 with OpenRequest
    ACCEPT, REJECT  Noise IK message 2 with OpenReply

The prologue is ``b"mesh session"``, protocol version (u8), ingress ID, exit ID, ingress instance, exit
instance and connection (u64, big-endian), so the handshake authenticates these too. What the keys then seal
is the business of ``mesh/connection/session.py``. A pair session may come of it as well, under which further
connections of the two instances open without Diffie-Hellman (``short_open.py``).

A message that does not authenticate changes nothing: the genuine one can still be read.

Source: Noise revision 34, sections 5.3 and 7.5.
"""

import struct
from collections.abc import Callable
from typing import ClassVar, Final, TypeAlias

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from mesh.connection.opening_payloads import (
    OpenReply,
    OpenRequest,
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
    rejection,
)
from mesh.connection.pair_session import SECRET_LABEL, PairSession
from mesh.connection.party import Party
from mesh.connection.session import Session, connection_id
from mesh.errors import AuthenticationError, LocalProtocolError, RemoteProtocolError
from mesh.hops import DEFAULT_MAX_HOPS
from mesh.link.frames import OPENING_BODY_BYTES, TAG_BYTES, VERSION, Frame, FrameType
from mesh.trust.identity import AGENT_ID_BYTES, INSTANCE_BYTES, Instance
from mesh.trust.noise.handshake import Handshake
from mesh.trust.noise.primitives import KEY_BYTES, KeyPair, SharedSecrets

_PROLOGUE: Final = struct.Struct(">12sB16s16s16s16sQ")
INSTANCES_BYTES: Final = 2 * INSTANCE_BYTES
_REQUEST_BYTES: Final = OPENING_BODY_BYTES - INSTANCES_BYTES - 2 * (KEY_BYTES + TAG_BYTES)
_REPLY_BYTES: Final = OPENING_BODY_BYTES - KEY_BYTES - TAG_BYTES
"""Payloads of the two messages: beside it, the first has two keys and two tags, the second one of each."""

FULL_OPEN: Final = 0
"""In the header of an OPEN with a handshake, and of its answer."""

Agreed: TypeAlias = Callable[[PairSession], None]
"""Takes the pair session that has come of a handshake."""


def read_open_instances(body: bytes) -> tuple[Instance, Instance]:
    """Which instances an OPEN is from and for: ingress, exit. Not authenticated yet.

    Raises:
        RemoteProtocolError: the body is too short.
    """
    if len(body) < INSTANCES_BYTES:
        raise RemoteProtocolError(f"OPEN with a body of {len(body)} bytes")
    return Instance(body[:INSTANCE_BYTES]), Instance(body[INSTANCE_BYTES:INSTANCES_BYTES])


class OpeningEnd:
    """What the ends of an opening have in common, of either form: who they are, and for which connection."""

    _form: ClassVar[int]
    """Number in the headers of its OPEN and its answer."""
    _is_initiator: ClassVar[bool]

    def __init__(self, *, local: Party, remote: Party, connection: int, max_hops: int) -> None:
        self._local, self._remote = local, remote
        self._connection = connection
        self._max_hops = max_hops
        self._sealer: ChaCha20Poly1305 | None = None
        """With the key of what this end sends, once that has sealed something; and so on."""
        self._opener: ChaCha20Poly1305 | None = None

    def _frame(self, frame_type: FrameType, body: bytes) -> Frame:
        from_exit = frame_type is not FrameType.OPEN
        return Frame(
            frame_type,
            from_exit,
            self._local.id,
            self._remote.id,
            self._connection,
            self._form,
            body,
            self._max_hops,
        )

    def _check_header(self, frame: Frame) -> None:
        """What is sealed vouches for these too, but to find that out takes time."""
        from_exit = frame.type != FrameType.OPEN
        expected = (self._remote.id, self._local.id, self._connection, self._form, from_exit)
        if (frame.source, frame.destination, frame.connection, frame.number, frame.from_exit) != expected:
            raise AuthenticationError("a handshake frame of another connection")

    def _check_instances(self, frame: Frame) -> None:
        if read_open_instances(frame.body) != (self._remote.instance, self._local.instance):
            raise AuthenticationError("an OPEN from or to another instance")

    def _session(self, keys: tuple[bytes, bytes], *, renews_keys: bool) -> Session:
        """With these keys: of what the ingress sends, of what the exit sends."""
        to_exit, to_ingress = keys
        is_exit = not self._is_initiator
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
            sealer=self._sealer,
            opener=self._opener,
        )


class _Handshaker(OpeningEnd):
    """What both sides of a full OPEN have in common: a Noise handshake.

    Args:
        local: this agent; its session key is that of ``static``.
        remote: the other end, by its record.
        connection: its number: one that the ingress's instance has not used before.
        static: session key pair of this instance.
        ephemeral: a key pair of fresh random bytes.
        max_hops: links that a frame from here may cross.
        shared: the secrets of ``static`` with others, remembered from session to session.
        agreed: takes the pair session that comes of this handshake, if both sides want one.
    """

    _form = FULL_OPEN

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
        agreed: Agreed | None = None,
    ) -> None:
        super().__init__(local=local, remote=remote, connection=connection, max_hops=max_hops)
        ingress, exit_ = self._ends = (local, remote) if self._is_initiator else (remote, local)
        self._handshake = Handshake(
            "IK",
            initiator=self._is_initiator,
            prologue=_prologue(ingress, exit_, connection),
            static=static,
            ephemeral=ephemeral,
            remote_static=remote.session_key if self._is_initiator else None,
            shared=shared,
        )
        self._agreed = agreed

    @property
    def id(self) -> str:
        """The connection's, for people: also of one that was rejected.

        Raises:
            LocalProtocolError: there is no answer yet.
        """
        return connection_id(*self._handshake.split())

    def _agree(self, agreed: Agreed) -> None:
        """Give what the handshake has exported away, as a pair session."""
        ingress, exit_ = self._ends
        agreed(PairSession(self._handshake.take_exported(), ingress.instance, exit_.instance))


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
            asked = request
            if self._agreed is not None:
                asked = msgspec.structs.replace(request, wants_pair=True)
                self._handshake.export(SECRET_LABEL)
            message = self._handshake.write_message(encode_request(asked, _REQUEST_BYTES))
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
        reply = decode_reply(attempt.read_message(frame.body))
        if reply.accepted != (frame.type == FrameType.ACCEPT):
            raise AuthenticationError("the header of the exit's answer contradicts its body")
        self._handshake = attempt
        if self._agreed is not None and reply.keeps_pair:
            self._agree(self._agreed)
        if not reply.accepted:
            return reply, None
        return reply, self._session(attempt.split(), renews_keys=reply.renews_keys)


class SessionResponder(_Handshaker):
    """The exit's side of one session: reads one OPEN and answers it."""

    _is_initiator = False
    _keeps_pair = False
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
        self._check_instances(frame)
        attempt = self._handshake.copy()
        payload = attempt.read_message(frame.body[INSTANCES_BYTES:])
        if attempt.remote_static != self._remote.session_key:
            raise AuthenticationError("an OPEN with another session key than that of the agent's record")
        self._handshake = attempt
        request = decode_request(payload)
        self._renews_keys = request.renews_keys
        if self._agreed is not None and request.wants_pair:
            self._keeps_pair = True
            attempt.export(SECRET_LABEL)
        # Early data goes under a pair session only.
        return msgspec.structs.replace(request, early=b"") if request.early else request

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
            LocalProtocolError: no OPEN has been read, it has been answered, or a field is out of range.
        """
        reply = OpenReply(
            accepted=True,
            credit=credit,
            socket_tag=socket_tag,
            wants_client=wants_client,
            renews_keys=True,
            keeps_pair=self._keeps_pair,
            took_early=took_early,
            early=early,
        )
        answer = self._answer(FrameType.ACCEPT, reply)
        return answer, self._session(self._handshake.split(), renews_keys=self._renews_keys)

    def reject(self, code: str, reason: str) -> Frame:
        """The REJECT; a reason that is too long is cut. A repeated OPEN gets the same frame again.

        Raises:
            LocalProtocolError: no OPEN has been read, it has been answered, or a field is out of range.
        """
        reply = rejection(code, reason)
        if self._keeps_pair:
            reply = msgspec.structs.replace(reply, keeps_pair=True)
        return self._answer(FrameType.REJECT, reply)

    def _answer(self, frame_type: FrameType, reply: OpenReply) -> Frame:
        message = self._handshake.write_message(encode_reply(reply, _REPLY_BYTES))
        if self._agreed is not None and self._keeps_pair:
            self._agree(self._agreed)
        return self._frame(frame_type, message)


def _prologue(ingress: Party, exit_: Party, connection: int) -> bytes:
    ids_are_right = len(ingress.id) == len(exit_.id) == AGENT_ID_BYTES
    if not ids_are_right or not len(ingress.instance) == len(exit_.instance) == INSTANCE_BYTES:
        raise LocalProtocolError("an agent ID or instance has the wrong length")
    return _PROLOGUE.pack(
        b"mesh session", VERSION, ingress.id, exit_.id, ingress.instance, exit_.instance, connection
    )
