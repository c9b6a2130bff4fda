"""How a link opens, as a pure state machine: bytes in, bytes out, an authenticated peer at the end.

    initiator                                     responder
      preamble, message 1 (e)              -->
                                           <--    preamble, message 2 (e, ee, s, es; proof)
      message 3 (s, se; proof)             -->
      frames                               <->    frames

    preamble    5 bytes    "MESH", version
    message     2 bytes    length n, big-endian
                n bytes    a message of Noise_XX_25519_ChaChaPoly_SHA256 whose prologue is the preamble
    proof                   MessagePack array: certificate (wire bytes), instance (16 bytes),
                            signature (64 bytes) by the certificate's subject over the Noise static key

The signature ties the static key to the agent, as in libp2p-noise: whoever finishes the handshake holds the
static key, and whoever signed the static key holds the identity. The certificate says that an authority
admits it.
"""

import enum
from dataclasses import dataclass, field
from typing import Annotated, Final, NoReturn

import msgspec

from mesh.errors import AuthenticationError, LocalProtocolError, RemoteProtocolError
from mesh.trust.certificates import MAX_CERTIFICATE_BYTES, Certificate, TrustStore
from mesh.trust.identity import (
    INSTANCE_BYTES,
    LINK_PROOF_CONTEXT,
    SIGNATURE_BYTES,
    AgentId,
    Identity,
    Instance,
    short_id,
    verify_signature,
)
from mesh.trust.noise import KEY_BYTES, Handshake, KeyPair

LINK_VERSION: Final = 1
MAGIC: Final = b"MESH"
PREAMBLE: Final = MAGIC + bytes((LINK_VERSION,))

MAX_MESSAGE_BYTES: Final = 4096
"""The longest certificate takes half of it; what a stranger can make this agent hold stays small."""

_LENGTH_BYTES: Final = 2
_FIRST_MESSAGE_BYTES: Final = KEY_BYTES
"""Message 1 is an ephemeral key and nothing else."""

_HTTP_REQUESTS: Final = (
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"PUT ",
    b"DELET",
    b"OPTIO",
    b"CONNE",
    b"PATCH",
    b"TRACE",
    b"PRI *",
)
"""What a request's first five bytes start with, of HTTP/1.1 (RFC 9110) and HTTP/2 (RFC 9113)."""
_HTTP_ANSWERS: Final = (b"http/", b"<!doc", b"<html")
"""What an answer's first five bytes are in lower case; some servers send a preamble of ours a bare page, as
HTTP/0.9 had it."""
_TLS_CONTENT_TYPES: Final = (0x15, 0x16)
"""Alert and handshake: RFC 8446, section 5.1."""
_TLS_MAJOR_VERSION: Final = 3


class State(enum.Enum):
    """Where an opening stands."""

    NEW = "new"
    """An initiator that has not sent anything."""
    PREAMBLE = "waiting for a preamble"
    FIRST_MESSAGE = "waiting for message 1"
    """A responder that has seen the preamble."""
    PROOF = "waiting for a proof"
    """Message 2 for the initiator, message 3 for the responder."""
    ESTABLISHED = "established"
    ITSELF = "met itself"
    """The other side is this very instance: each side has recognised itself, and there is nothing to link."""
    FAILED = "failed"


class _Proof(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    certificate: Annotated[bytes, msgspec.Meta(max_length=MAX_CERTIFICATE_BYTES)]
    instance: Annotated[bytes, msgspec.Meta(min_length=INSTANCE_BYTES, max_length=INSTANCE_BYTES)]
    signature: Annotated[bytes, msgspec.Meta(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)]


@dataclass(frozen=True, slots=True, eq=False)
class EstablishedLink:
    """What an opened link starts with; the repr hides its keys."""

    peer: Certificate
    peer_id: AgentId
    peer_instance: Instance
    send_key: bytes = field(repr=False)
    """32 bytes: seals what this side sends."""
    receive_key: bytes = field(repr=False)
    """32 bytes: opens what the peer sends."""
    surplus: bytes = field(repr=False)
    """Bytes that came behind the handshake: the start of the peer's frames."""
    handshake_hash: bytes
    """32 bytes that name this link on both sides; not secret."""


@dataclass(frozen=True, slots=True, eq=False)
class HandshakeProgress:
    """What to do once bytes were received: send ``to_send``, then use the link if it is established."""

    to_send: bytes = field(repr=False)
    established: EstablishedLink | None
    met_itself: bool = False
    """Whether the other side is this very instance: close once ``to_send`` has been sent."""


class LinkHandshake:
    """One side of the opening of a link. How the bytes are cut on their way makes no difference.

    Args:
        initiator: whether this side dialed.
        identity: this agent.
        certificate: this agent's certificate as wire bytes.
        instance: this run of the agent.
        static: key pair of this instance's links, in no other use.
        ephemeral: key pair of fresh random bytes, for this link only.
        trust: judges the peer's certificate.
    """

    __slots__ = (
        "_buffer",
        "_certificate",
        "_handshake",
        "_identity",
        "_initiator",
        "_instance",
        "_state",
        "_static_public",
        "_trust",
    )

    def __init__(
        self,
        *,
        initiator: bool,
        identity: Identity,
        certificate: bytes,
        instance: Instance,
        static: KeyPair,
        ephemeral: KeyPair,
        trust: TrustStore,
    ) -> None:
        self._initiator = initiator
        self._identity = identity
        self._certificate = certificate
        self._instance = instance
        self._static_public = static.public
        self._trust = trust
        self._handshake = Handshake(
            "XX", initiator=initiator, prologue=PREAMBLE, static=static, ephemeral=ephemeral
        )
        self._buffer = bytearray()
        self._state = State.NEW if initiator else State.PREAMBLE

    @property
    def state(self) -> State:
        """Where the opening stands."""
        return self._state

    @property
    def buffered_bytes(self) -> int:
        """Bytes held of a message that is not complete: never more than one message and its length."""
        return len(self._buffer)

    def start(self) -> bytes:
        """The bytes to send before anything has arrived; none for the responder.

        Raises:
            LocalProtocolError: the initiator has started already.
        """
        if not self._initiator:
            return b""
        if self._state is not State.NEW:
            raise LocalProtocolError("the handshake has been started already")
        self._state = State.PREAMBLE
        return PREAMBLE + _with_length(self._handshake.write_message(b""))

    def receive(self, data: bytes | bytearray | memoryview, now_unix_s: float) -> HandshakeProgress:
        """Take the next bytes of the peer.

        Args:
            data: as many as have arrived; what comes behind the handshake is handed back as surplus.
            now_unix_s: for the validity of the peer's certificate.

        Raises:
            RemoteProtocolError: the other side is no agent, or not one for this link; the text says why. Of
                its subclasses, ``AuthenticationError`` for bytes that do not authenticate and ``TrustError``
                for a certificate that does not admit. The handshake is over, the link to be closed.
            LocalProtocolError: the handshake has not been started, or is over.
        """
        if self._state in _SILENT:
            raise LocalProtocolError(f"a handshake that is {self._state.value} takes no bytes")
        self._buffer += data
        try:
            return self._advance(now_unix_s)
        except Exception:
            self._fail()
            raise

    def end_of_stream(self) -> NoReturn:
        """Say what it means that the peer has closed now.

        Raises:
            RemoteProtocolError: always.
            LocalProtocolError: the handshake has not been started, or is over.
        """
        if self._state in _SILENT:
            raise LocalProtocolError(f"a handshake that is {self._state.value} waits for nothing")
        state, cut_off = self._state, bool(self._buffer)
        self._fail()
        if cut_off:
            raise RemoteProtocolError("the other side closed the connection in the middle of the handshake")
        if state is not State.PREAMBLE:
            raise RemoteProtocolError(
                "the other side closed the connection during the handshake: its log says why if it refused us"
            )
        raise RemoteProtocolError("the other side closed the connection without a word: is it a mesh agent?")

    def _fail(self) -> None:
        self._state = State.FAILED
        self._buffer.clear()

    def _advance(self, now_unix_s: float) -> HandshakeProgress:
        if self._state is State.PREAMBLE:
            if len(self._buffer) < len(PREAMBLE):
                return HandshakeProgress(b"", None)
            _judge_preamble(self._take(len(PREAMBLE)))
            self._state = State.PROOF if self._initiator else State.FIRST_MESSAGE
        to_send = b""
        while (message := self._next_message()) is not None:
            payload = self._handshake.read_message(message)
            if self._state is State.FIRST_MESSAGE:
                to_send = PREAMBLE + self._message_with_proof()
                self._state = State.PROOF
                continue
            peer, instance = self._judge_proof(payload, now_unix_s)
            if self._initiator:
                to_send = self._message_with_proof()  # to itself too: the accepting side is to recognise it
            if peer.agent_id == self._identity.id:
                self._state = State.ITSELF
                self._buffer.clear()
                return HandshakeProgress(to_send, None, met_itself=True)
            return HandshakeProgress(to_send, self._establish(peer, instance))
        return HandshakeProgress(to_send, None)

    def _next_message(self) -> bytes | None:
        """The next Noise message, once all of it is there; its length is judged as soon as it is known."""
        if len(self._buffer) < _LENGTH_BYTES:
            return None
        length = int.from_bytes(self._buffer[:_LENGTH_BYTES], "big")
        if self._state is State.FIRST_MESSAGE and length != _FIRST_MESSAGE_BYTES:
            raise RemoteProtocolError(
                f"handshake message 1 announces {length} bytes, expected {_FIRST_MESSAGE_BYTES}"
            )
        if length > MAX_MESSAGE_BYTES:
            raise RemoteProtocolError(
                f"a handshake message announces {length} bytes, at most {MAX_MESSAGE_BYTES} are allowed"
            )
        if len(self._buffer) < _LENGTH_BYTES + length:
            return None
        return self._take(_LENGTH_BYTES + length)[_LENGTH_BYTES:]

    def _take(self, byte_count: int) -> bytes:
        taken = bytes(self._buffer[:byte_count])
        del self._buffer[:byte_count]
        return taken

    def _message_with_proof(self) -> bytes:
        signature = self._identity.sign(LINK_PROOF_CONTEXT, self._static_public)
        proof = _Proof(certificate=self._certificate, instance=self._instance, signature=signature)
        return _with_length(self._handshake.write_message(msgspec.msgpack.encode(proof)))

    def _judge_proof(self, payload: bytes, now_unix_s: float) -> tuple[Certificate, Instance]:
        try:
            proof = _PROOF_DECODER.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RemoteProtocolError(f"malformed proof of identity: {error}") from None
        peer = self._trust.admit(proof.certificate, now_unix_s)
        remote_static = self._handshake.remote_static
        try:
            verify_signature(peer.subject, LINK_PROOF_CONTEXT, remote_static, proof.signature)
        except AuthenticationError:
            described = f"the certificate of {peer.name!r} ({short_id(peer.agent_id)})"
            raise AuthenticationError(f"the peer shows {described} but does not own it") from None
        # An instance can be read in any record; the private part of its static key has this process alone.
        is_this_process = proof.instance == self._instance and remote_static == self._static_public
        if peer.agent_id == self._identity.id and not is_this_process:
            raise RemoteProtocolError(
                f"that is this agent's own identity ({short_id(peer.agent_id)}): "
                "another running agent has a copy of its key"
            )
        return peer, Instance(proof.instance)

    def _establish(self, peer: Certificate, instance: Instance) -> EstablishedLink:
        to_responder, to_initiator = self._handshake.split()
        surplus = self._take(len(self._buffer))
        self._state = State.ESTABLISHED
        return EstablishedLink(
            peer=peer,
            peer_id=peer.agent_id,
            peer_instance=instance,
            send_key=to_responder if self._initiator else to_initiator,
            receive_key=to_initiator if self._initiator else to_responder,
            surplus=surplus,
            handshake_hash=self._handshake.handshake_hash,
        )


def _judge_preamble(preamble: bytes) -> None:
    """Accept this version's preamble; of anything else, say what it looks like."""
    if preamble == PREAMBLE:
        return
    if preamble.startswith(MAGIC):
        raise RemoteProtocolError(
            f"the other side speaks link protocol version {preamble[-1]}, this agent version {LINK_VERSION}"
        )
    if preamble.startswith(_HTTP_REQUESTS):
        raise RemoteProtocolError("an HTTP client: this address is for agents, the HTTP API has its own")
    if preamble.lower() in _HTTP_ANSWERS:
        raise RemoteProtocolError("the other side speaks HTTP: is it the address of an agent's acceptor?")
    if preamble[0] in _TLS_CONTENT_TYPES and preamble[1] == _TLS_MAJOR_VERSION:
        raise RemoteProtocolError("the other side speaks TLS: links are encrypted without it")
    if preamble.startswith(b"SSH-"):
        raise RemoteProtocolError("the other side speaks SSH: is it the address of an agent's acceptor?")
    raise RemoteProtocolError(f"the other side is no mesh agent: it starts with {preamble!r}")


def _with_length(message: bytes) -> bytes:
    return len(message).to_bytes(_LENGTH_BYTES, "big") + message


_SILENT: Final = (State.NEW, State.ESTABLISHED, State.ITSELF, State.FAILED)
"""States that take nothing from the other side."""

_PROOF_DECODER: Final = msgspec.msgpack.Decoder(_Proof)
