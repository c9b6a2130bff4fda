"""How a link opens, as a pure state machine: bytes in, bytes out, an authenticated peer at the end.

    initiator                                     responder
      preamble, message 1 (e; ticket, MAC) -->
                                           <--    preamble, message 2 (e, ee, s, es; proof)
      message 3 (s, se; proof)             -->
      frames                               <->    frames

    message     2 bytes    length n, big-endian
                n bytes    a message of Noise_XX_25519_ChaChaPoly_SHA256 whose prologue is both preambles

:mod:`mesh.link.opening` has the preambles and the MAC, :mod:`mesh.link.proof` what each side proves.
"""

import enum
from collections.abc import Sequence
from typing import Final, NoReturn

from mesh.errors import (
    LocalProtocolError,
    OwnIdentityError,
    RemoteProtocolError,
    RevokedError,
    UnexpectedPeerError,
)
from mesh.link.established import EstablishedLink, HandshakeProgress, RevokedPeer
from mesh.link.opening import (
    LENGTH_BYTES,
    OWN_VERSIONS,
    PREAMBLE_BYTES,
    Versions,
    mac_key,
    opening_payload,
    read_opening,
    read_preamble,
    with_length,
)
from mesh.link.proof import OWN_FEATURES, Statement, make_proof, read_proof
from mesh.link.tickets import ticket_of
from mesh.trust.certificates import Certificate, TrustStore, read_certificate
from mesh.trust.identity import AgentId, Identity, Instance, display_id, short_id
from mesh.trust.noise import Handshake, KeyPair

MAX_MESSAGE_BYTES: Final = 4096
"""The longest certificate takes half of it; what a stranger can make this agent hold stays small."""


class State(enum.Enum):
    """Where an opening stands."""

    NEW = "new"
    """An initiator that has not sent anything."""
    OPENING = "waiting for an opening"
    PROOF = "waiting for a proof"
    """Message 2 for the initiator, message 3 for the responder."""
    ESTABLISHED = "established"
    ITSELF = "met itself"
    """The other side is this very instance: each side has recognised itself, and there is nothing to link."""
    FAILED = "failed"


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
        expected: the agent that is meant, if the other side must be no other; for the initiator.
        ticket: what the initiator shows as the ticket of an earlier link there: 16 bytes, or none.
        versions: of the link protocol that this side offers.
        features: that this side has.
    """

    __slots__ = (
        "_buffer",
        "_certificate",
        "_ephemeral",
        "_expected",
        "_features",
        "_identity",
        "_initiator",
        "_instance",
        "_noise",
        "_payload",
        "_state",
        "_static",
        "_ticket",
        "_trust",
        "_version",
        "_versions",
    )
    __deletable__ = ("_ephemeral",)

    _noise: Handshake
    """Made when the other side's versions are known, as is the version."""
    _version: int

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
        expected: AgentId | None,
        ticket: bytes = b"",
        versions: Versions = OWN_VERSIONS,
        features: Sequence[str] = OWN_FEATURES,
    ) -> None:
        self._initiator = initiator
        self._identity = identity
        self._certificate = certificate
        self._instance = instance
        self._static = static
        self._ephemeral = ephemeral
        self._trust = trust
        self._expected = expected
        self._versions = versions
        self._features = tuple(features)
        self._ticket = ticket
        self._payload = b""
        self._buffer = bytearray()
        self._state = State.NEW if initiator else State.OPENING

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
        self._state = State.OPENING
        public = self._ephemeral.public
        key = mac_key(read_certificate(self._certificate).authority)
        self._payload = opening_payload(self._versions, public, self._ticket, key)
        return self._versions.preamble + with_length(public + self._payload)

    def receive(self, data: bytes | bytearray | memoryview, now_unix_s: float) -> HandshakeProgress:
        """Take the next bytes of the peer.

        Args:
            data: as many as have arrived; what comes behind the handshake is handed back as surplus.
            now_unix_s: for the validity of the peer's certificate.

        Raises:
            RemoteProtocolError: the other side is no agent, or not one for this link; the text says why. Of
                its subclasses, ``AuthenticationError`` for bytes that do not authenticate, ``TrustError``
                for a certificate that does not admit, ``OwnIdentityError`` for another process with this
                agent's identity and ``UnexpectedPeerError`` for another agent than the expected one. The
                handshake is over, the link to be closed.
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
        if state is not State.OPENING:
            raise RemoteProtocolError(
                "the other side closed the connection during the handshake: its log says why if it refused us"
            )
        if self._initiator:
            raise RemoteProtocolError(
                "the other side closed the connection without a word: it does not trust the authority that "
                "signed this agent's certificate (compare trust.authorities at both ends), "
                "too many handshakes from this address came to nothing (its log says so), "
                "or it is no mesh agent"
            )
        raise RemoteProtocolError("the other side closed the connection without a word: is it a mesh agent?")

    def _fail(self) -> None:
        self._state = State.FAILED
        self._buffer.clear()

    def _advance(self, now_unix_s: float) -> HandshakeProgress:
        to_send = b""
        if self._state is State.OPENING:
            if self._initiator:
                self._read_answer()
            else:
                opening = read_opening(self._buffer, map(mac_key, self._trust.authorities))
                if opening is None:
                    return HandshakeProgress(b"", None)
                try:
                    self._agree(opening.versions)
                except RemoteProtocolError as error:
                    self._fail()  # but it is a member, and its operator is to know
                    return HandshakeProgress(self._versions.preamble, None, refusal=str(error))
                self._noise.read_message(opening.message)
                del self._buffer[: opening.byte_count]
                to_send = self._versions.preamble + self._message_with_proof(now_unix_s)
                self._state = State.PROOF
        if self._state is State.PROOF and (message := self._next_message()) is not None:
            try:
                peer, statement = self._read_proof(message, now_unix_s)
            except RevokedError as error:
                return self._turn_away(error, now_unix_s)
            if self._initiator:
                to_send = self._message_with_proof(now_unix_s)  # to itself too: it is to recognise that
            if peer.agent_id == self._identity.id:
                self._state = State.ITSELF
                self._buffer.clear()
                return HandshakeProgress(to_send, None, met_itself=True)
            return HandshakeProgress(to_send, self._establish(peer, statement, now_unix_s))
        return HandshakeProgress(to_send, None)

    def _turn_away(self, error: RevokedError, now_unix_s: float) -> HandshakeProgress:
        """The other side was away when it was revoked, perhaps: end the handshake, so that it can be told."""
        to_send = self._message_with_proof(now_unix_s) if self._initiator else b""
        to_responder, to_initiator = self._noise.split()
        self._noise.forget()
        self._fail()
        key = to_responder if self._initiator else to_initiator
        revoked = RevokedPeer(str(error), AgentId(error.revoked_id), error.proof, key)
        return HandshakeProgress(to_send, None, revoked=revoked)

    def _read_answer(self) -> None:
        """The responder's opening, once all of it is there."""
        if len(self._buffer) < PREAMBLE_BYTES:
            return
        self._agree(read_preamble(self._take(PREAMBLE_BYTES)))
        self._noise.write_message(self._payload)  # it has been sent
        self._state = State.PROOF

    def _agree(self, others: Versions) -> None:
        """Take the version that both speak, and bind both offers into the handshake."""
        self._version = self._versions.common(others)
        offers = (self._versions, others) if self._initiator else (others, self._versions)
        self._noise = Handshake(
            "XX",
            initiator=self._initiator,
            prologue=b"".join([each.preamble for each in offers]),
            static=self._static,
            ephemeral=self._ephemeral,
        )
        del self._ephemeral  # which Noise forgets in time

    def _next_message(self) -> bytes | None:
        """The next Noise message, once all of it is there; its length is judged as soon as it is known."""
        if len(self._buffer) < LENGTH_BYTES:
            return None
        length = int.from_bytes(self._buffer[:LENGTH_BYTES], "big")
        if length > MAX_MESSAGE_BYTES:
            raise RemoteProtocolError(
                f"a handshake message announces {length} bytes, at most {MAX_MESSAGE_BYTES} are allowed"
            )
        if len(self._buffer) < LENGTH_BYTES + length:
            return None
        return self._take(LENGTH_BYTES + length)[LENGTH_BYTES:]

    def _take(self, byte_count: int) -> bytes:
        taken = bytes(self._buffer[:byte_count])
        del self._buffer[:byte_count]
        return taken

    def _message_with_proof(self, now_unix_s: float) -> bytes:
        clock_ms = max(0, int(now_unix_s * 1000))
        statement = Statement(self._certificate, self._instance, self._version, self._features, clock_ms)
        proof = make_proof(
            self._identity,
            statement,
            binding=self._noise.handshake_hash,
            static=self._static.public,
        )
        return with_length(self._noise.write_message(proof))

    def _read_proof(self, message: bytes, now_unix_s: float) -> tuple[Certificate, Statement]:
        binding = self._noise.handshake_hash
        payload = self._noise.read_message(message)
        remote_static = self._noise.remote_static
        peer, statement = read_proof(
            payload,
            binding=binding,
            static=remote_static,
            version=self._version,
            trust=self._trust,
            now_unix_s=now_unix_s,
        )
        if peer.agent_id == self._identity.id:
            # Instances stand in records; the private part of the static key has this process alone.
            if statement.instance != self._instance or remote_static != self._static.public:
                raise OwnIdentityError(
                    f"that is this agent's own identity ({short_id(peer.agent_id)}): "
                    "another running agent has a copy of its key"
                )
        elif self._expected is not None and self._expected != peer.agent_id:
            raise UnexpectedPeerError(
                f"expected agent {display_id(self._expected)}, "
                f"found {peer.name!r}, agent {display_id(peer.agent_id)}"
            )
        return peer, statement

    def _establish(self, peer: Certificate, statement: Statement, now_unix_s: float) -> EstablishedLink:
        to_responder, to_initiator = self._noise.split()
        surplus = self._take(len(self._buffer))
        self._state = State.ESTABLISHED
        established = EstablishedLink(
            peer=peer,
            peer_id=peer.agent_id,
            peer_instance=Instance(statement.instance),
            peer_static=self._noise.remote_static,
            send_key=to_responder if self._initiator else to_initiator,
            receive_key=to_initiator if self._initiator else to_responder,
            binding=self._noise.handshake_hash,
            surplus=surplus,
            ticket=ticket_of(to_responder, to_initiator),
            version=self._version,
            features=frozenset(self._features).intersection(statement.features),
            clock_ahead_s=statement.clock_ahead_s(now_unix_s),
        )
        self._noise.forget()  # this object lives as long as the link
        return established


_SILENT: Final = (State.NEW, State.ESTABLISHED, State.ITSELF, State.FAILED)
"""States that take nothing from the other side."""
