"""A link, whoever it talks to inside its agent (who only listen), and a peer that can do as it likes."""

from collections import deque
from typing import Any

import msgspec

from actors.links.budgets import peer_budgets
from actors.links.peer_link import PeerLink
from actors.links.settings import LINK_SOCKET_OPTIONS, LinkRefs, LinkSettings
from actors.messages import dialer as dialer_messages
from actors.messages import peer_directory as directory_messages
from actors.messages import peer_link as messages
from actors.meters import Meters
from actors.runtime.actor import Actor
from actors.runtime.gather import drop_sent
from actors.runtime.seam import Connected, SocketOptions
from actors.runtime.virtual.world import UNIX_START_S, VirtualWorld
from mesh.addresses import TcpAddress
from mesh.config.schema import Config
from mesh.errors import RemoteProtocolError
from mesh.link import bodies as link_bodies
from mesh.link.established import EstablishedLink
from mesh.link.frame_sealing import FrameReader, FrameWriter
from mesh.link.frames import Frame, FrameType, link_frame
from mesh.link.futile import EVERYBODY
from mesh.link.handshake import LinkHandshake
from mesh.link.rekeying import KeySource, RekeyLimits
from mesh.link.relay_budget import RelayBudget
from mesh.trust.certificates import TrustStore, issue_certificate
from mesh.trust.identity import Identity, Instance
from mesh.trust.noise.primitives import key_pair
from tests.actors.company import AUTHORITY, IDENTITIES, start

OWN, PEER, ALICE, BOB = IDENTITIES[:4]
FOREIGN_AUTHORITY = Identity(b"f" * 32)
TRUST = TrustStore([AUTHORITY.public_key])
PEER_PORT = 4433
ADMIT = messages.AdmitLink()


def certificate_of(
    identity: Identity,
    name: str = "peer",
    *,
    authority: Identity = AUTHORITY,
    valid_s: int = 1_000_000,
    may_relay: bool = True,
) -> bytes:
    return issue_certificate(
        authority,
        subject=identity.public_key,
        name=name,
        not_before=int(UNIX_START_S) - 1_000_000,
        not_after=int(UNIX_START_S) + valid_s,
        may_relay=may_relay,
    )


def key_source(dispatcher: Any, private: bytes, **limits: float) -> KeySource:
    """New keys for the links of an agent whose static key this is."""
    return KeySource(key_pair(private), lambda: key_pair(dispatcher.random_bytes(32)), RekeyLimits(**limits))


def socket_pair(
    world: VirtualWorld, client: str, server: str, options: SocketOptions = LINK_SOCKET_OPTIONS
) -> tuple[Any, Any]:
    """Two connected sockets, on the hosts ``client`` and ``server``."""
    door = world.dispatcher(server).bind(TcpAddress("", PEER_PORT), options)
    door.listen()
    ear = start(world, host=client)
    world.dispatcher(client).connect(ear.ref, TcpAddress(server, PEER_PORT), 1, options)
    world.run_while(lambda: not ear.heard, 10.0)
    accepted = door.accept()
    door.close()
    [connected] = ear.of(Connected)
    return connected.socket, accepted


NOBODY = {
    "dialer": None,
    "acceptor": None,
    "expected": None,
    "ticket": b"",
    "received": b"",
    "paid_by": EVERYBODY,
}
"""What a link starts with that nobody has started."""


class RawPeer(Actor[Any]):
    """The other end of a link's socket, in the hands of the test."""

    def __init__(self, dispatcher: Any, socket: Any, handshake: LinkHandshake | None, answers: bool) -> None:
        super().__init__(dispatcher)
        self.socket = socket
        self.received = bytearray()
        self.sealed = b""
        """All that has arrived."""
        self.frames: list[Frame] = []
        self.end = ""
        """How the link's side ended the stream."""
        self.closes_at_end = True
        """Whether this side closes when the link's side has ended the stream."""
        self.refusal = ""
        """What this side thinks of the link's handshake."""
        self.peer: EstablishedLink | None = None
        self._handshake = handshake
        self._answers = answers
        self._unsent: deque[bytes | memoryview] = deque()

    def on_start(self) -> None:
        self.own(self.socket)
        self.read(True)
        if self._handshake is not None:
            self.send(self._handshake.start())

    def on_receive(self, message: Any) -> None:
        """It is told of nothing."""

    def read(self, enabled: bool) -> None:
        self.socket.watch_read(enabled)

    def on_readable(self, socket: Any) -> None:
        try:
            count = socket.recv_into(self.dispatcher.read_buffer)
        except OSError as error:
            self._ended(error.strerror or "")
            return
        if not count:
            self._ended("EOF")
            return
        data = bytes(self.dispatcher.read_buffer[:count])
        self.received += data
        if self.peer is not None:
            self._take(data)
        elif self._handshake is not None and not self.refusal:
            self._shake(data)

    def _ended(self, how: str) -> None:
        self.end = how
        self.read(False)
        if self.closes_at_end:
            self.socket.close()

    def _shake(self, data: bytes) -> None:
        try:
            progress = self._handshake.receive(data, self.dispatcher.unix_time())
        except RemoteProtocolError as error:
            self.refusal = str(error)
            return
        self.send(progress.to_send)
        if progress.established is not None:
            self.established(progress.established)

    def established(self, peer: EstablishedLink) -> None:
        """Speak frames from now on."""
        self.peer = peer
        self.writer, self._reader = FrameWriter(peer.send_key), FrameReader(peer.receive_key)
        if peer.surplus:
            self._take(peer.surplus)

    def read_with(self, rekeying: Any) -> None:
        """Have this change keys; before the first frame."""
        self._reader = FrameReader(self.peer.receive_key, rekeying)

    def _take(self, data: bytes) -> None:
        arrived = self._reader.feed(memoryview(data))
        self.frames += arrived
        for frame in arrived:
            if frame.type == FrameType.PING and self._answers:
                self.send_frames(link_frame(FrameType.PONG, frame.body))

    def send(self, data: bytes) -> None:
        if data:
            self._unsent.append(data)
        self.on_writable(self.socket)

    def seal(self, *frames: Frame) -> bytes:
        self.sealed = b"".join(piece for frame in frames for piece in self.writer.seal(frame))
        return self.sealed

    @property
    def unsent_bytes(self) -> int:
        """What the link's kernel has not taken."""
        return sum(len(piece) for piece in self._unsent)

    def stop_answering(self) -> None:
        """Answer no ping any more."""
        self._answers = False

    def closed(self) -> "RawPeer":
        """Note that this side has closed its socket."""
        self.end = "own"
        return self

    def send_frames(self, *frames: Frame) -> None:
        self.send(self.seal(*frames))

    def on_writable(self, socket: Any) -> None:
        try:
            while self._unsent:
                drop_sent(self._unsent, self.socket.send(self._unsent))
        except BlockingIOError:
            pass
        except OSError as error:
            self.end = self.end or error.strerror or ""
            self._unsent.clear()
        if not self.end:
            self.socket.watch_write(bool(self._unsent))

    def of(self, *kinds: FrameType) -> list[Frame]:
        return [frame for frame in self.frames if frame.type in kinds]

    @property
    def reasons(self) -> list[str]:
        """What the link's CLOSE frames say."""
        return [link_bodies.decode_close(frame.body) for frame in self.of(FrameType.CLOSE)]


class LinkScene:
    """The link is on the host ``here``, its peer on ``there``."""

    def __init__(self, config: Config = Config(), **settings: Any) -> None:  # noqa: B008 - frozen
        self.world = VirtualWorld(1)
        self.meters = Meters()
        self.directory, self.route_table, self.table, self.caller = (start(self.world) for _ in range(4))
        self.settings = LinkSettings(
            identity=OWN,
            certificate=certificate_of(OWN, "own"),
            instance=Instance(b"o" * 16),
            key_source=key_source(self.world.dispatcher("here"), b"s" * 32),
            trust=TRUST,
            relay_budget=RelayBudget(1 << 26),
            budgets=peer_budgets(),
            config=config,
        )
        self.settings = msgspec.structs.replace(self.settings, **settings)
        self.link: Any = None

    def handshake(self, *, initiator: bool, identity: Identity = PEER, **changes: Any) -> LinkHandshake:
        """The peer's side of a handshake."""
        fields: dict[str, Any] = {
            "certificate": certificate_of(identity),
            "instance": Instance(b"p" * 16),
            "static": key_pair(b"S" * 32),
            "ephemeral": key_pair(self.world.dispatcher("there").random_bytes(32)),
            "trust": TRUST,
            "expected": None,
        }
        return LinkHandshake(initiator=initiator, identity=identity, **(fields | changes))

    def accept(self, handshake: LinkHandshake | None = None, *, answers: bool = True) -> RawPeer:
        """A peer has dialed."""
        theirs, ours = socket_pair(self.world, "there", "here")
        self._start(ours, acceptor=self.caller.ref)
        return start(self.world, RawPeer, theirs, handshake, answers, host="there")

    def dial(self, handshake: LinkHandshake | None = None, *, answers: bool = True) -> RawPeer:
        """This agent has dialed a peer."""
        ours, theirs = socket_pair(self.world, "here", "there")
        peer = start(self.world, RawPeer, theirs, handshake, answers, host="there")
        self._start(ours, dialer=self.caller.ref)
        return peer

    def accepted(self, **changes: Any) -> RawPeer:
        """A peer that has dialed and finished the handshake."""
        peer = self.accept(self.handshake(initiator=True, **changes))
        self.run(0.1)
        return peer

    def admitted(self, *, answers: bool = True, may_relay: bool = True) -> RawPeer:
        """A peer whose link is up."""
        certificate = certificate_of(PEER, may_relay=may_relay)
        peer = self.accept(self.handshake(initiator=True, certificate=certificate), answers=answers)
        self.run(0.1)
        self.tell(ADMIT)
        self.run(0.1)
        return peer

    def _start(self, socket: Any, **caller: Any) -> None:
        dispatcher = self.world.dispatcher("here")
        is_dialer = "dialer" in caller
        PeerLink.start(
            dispatcher,
            socket=socket,
            is_dialer=is_dialer,
            settings=self.settings,
            refs=LinkRefs(self.directory.ref, self.route_table.ref, self.table.ref),
            meters=self.meters,
            **(NOBODY | caller),
        )
        self.link = dispatcher.actors[-1]
        self.run(0.0)

    def tell(self, *told: Any) -> None:
        for message in told:
            self.link.ref.tell(message)
        self.run(0.0)

    def run(self, duration_s: float) -> None:
        self.world.run(duration_s)

    def complaints(self, caplog: Any) -> list[str]:
        """What the link has logged at warning level or told its dialer, who knows whether that is news."""
        logged = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        return logged + [refusal.why for refusal in self.caller.of(dialer_messages.DialRefused)]

    @property
    def is_alive(self) -> bool:
        return self.link.ref.is_alive()

    @property
    def counts(self) -> tuple[int, int, int]:
        """Links refused, broken, lost."""
        return self.meters.links_refused, self.meters.links_broken, self.meters.links_lost

    @property
    def established(self) -> list[directory_messages.LinkEstablished]:
        """What the directory has heard of links that wait for admission."""
        return self.directory.of(directory_messages.LinkEstablished)

    @property
    def link_ended(self) -> bool:
        """Whether the link is gone, and all who wait for its end have been told once."""
        kinds = [type(message).__name__ for ear in (self.directory, self.caller) for message in ear.heard]
        told = [kinds.count(name) for name in ("LinkEnded", "DialedLinkEnded", "HandshakeEnded")]
        return not self.is_alive and max(told) == 1


def data(number: int, byte_count: int = 100, *, to_peer: bool = False) -> Frame:
    """A frame of one connection, from the peer to this agent or the other way."""
    source, destination = (OWN.id, PEER.id) if to_peer else (PEER.id, OWN.id)
    return Frame(FrameType.DATA, False, source, destination, 1, number, bytes(byte_count))
