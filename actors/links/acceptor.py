"""An acceptor: the socket on which peers arrive.

Whoever connects costs a socket and a few bytes until it has shown that it knows an authority of this mesh
(:mod:`mesh.link.opening`), and one small actor from then on until it has proven who it is. Each is bounded in
time and in number (:mod:`mesh.link.places`), and so is what may come to nothing (:mod:`mesh.link.futile`).
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, assert_never

from actors.accepting import AcceptingActor
from actors.links.reports import report_refusal
from actors.links.settings import LINK_SOCKET_OPTIONS
from actors.messages import acceptor as messages
from actors.messages import agent as agent_messages
from actors.messages import peer_link as link_messages
from actors.messages.listener import AcceptAgain, BindDue, StopListening
from actors.meters import Meters
from actors.runtime.seam import Dispatcher, ListeningSocket, Ref, StreamSocket
from mesh.addresses import TcpAddress
from mesh.errors import RemoteProtocolError
from mesh.link.futile import FutileHandshakes, Payer
from mesh.link.opening import MAX_OPENING_BYTES, read_opening
from mesh.link.places import Places, bucket_of
from mesh.sampling import sampled
from mesh.trust.identity import display_id

log = logging.getLogger("mesh.links")

OPENING_TIMEOUT_S: Final = 10.0
"""What a stranger may take for its opening, which an agent sends at once: time for repetitions of TCP."""

LOOK_AGAIN_S: Final = 1.0
"""How often it is looked for strangers who have taken longer."""

StartLink = Callable[[StreamSocket, Ref[messages.Inbound], bytes, Payer], Ref[link_messages.Inbound]]
"""Starts a link on an accepted socket, on behalf of an acceptor: with what it has received, and who has paid
for the handshake."""


@dataclass(slots=True)
class _Stranger:
    """Somebody who has connected."""

    socket: StreamSocket
    since: float
    data: bytearray = field(default_factory=bytearray)


@dataclass(slots=True)
class _Shaking:
    """A link of somebody who has not proven who it is, and where it came from."""

    link: Ref[link_messages.Inbound]
    host: str


class Acceptor(AcceptingActor[messages.Inbound]):
    """Lets peers in on one address."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        name: str,
        address: TcpAddress,
        start_link: StartLink,
        opening_keys: Callable[[], Sequence[bytes]],
        max_unauthenticated: int,
        meters: Meters,
        root: Ref[agent_messages.PartReported],
    ) -> None:
        super().__init__(
            dispatcher,
            name=name,
            address=address,
            what="acceptor",
            options=LINK_SOCKET_OPTIONS,
            log=log,
            meters=meters,
            root=root,
        )
        self._start_link = start_link
        self._opening_keys = opening_keys
        self._strangers: dict[StreamSocket | ListeningSocket, _Stranger] = {}
        """Those who have not shown an authority, the oldest first."""
        self._stranger_places: Places[StreamSocket | ListeningSocket] = Places(max_unauthenticated)
        self._is_looking = False
        self._shaking: dict[str, _Shaking] = {}
        """Links of those that have not proven who they are."""
        self._link_places: Places[str] = Places(max_unauthenticated)
        self._full_reported = False
        self._futile = FutileHandshakes()

    def on_start(self) -> None:
        """Take the port."""
        self._bind()

    def on_receive(self, message: messages.Inbound) -> None:
        """Handle one message."""
        match message:
            case messages.HandshakeEnded(link_urn=urn):
                self._handshake_ended(urn)
            case messages.LinkAdmitted(paid_by=payer, peer_id=peer_id, ticket=ticket):
                self._futile.admitted(payer, peer_id, ticket, self.now())
            case messages.ChangePlaces(max_unauthenticated=most):
                self._stranger_places.most = self._link_places.most = most
            case messages.StrangersDue():
                self._look_for_the_slow()
            case BindDue():
                self._bind()
            case AcceptAgain():
                self._resume()
            case StopListening():
                self._close_port()
                for stranger in list(self._strangers.values()):
                    self._let_go(stranger.socket)
                    stranger.socket.abort()
            case _:
                assert_never(message)

    def _bound(self, socket: ListeningSocket) -> None:
        if self._listen(socket):
            log.info("accepting peers at %(address)s", {"address": socket.local_name})

    # -- strangers -------------------------------------------------------------------------------------------

    def _accepted(self, socket: StreamSocket) -> None:
        stranger = _Stranger(socket, self.now())
        if self._read(stranger):  # an agent's opening is there by now, most often: it takes no place
            self._hold(stranger)

    def _hold(self, stranger: _Stranger) -> None:
        socket = stranger.socket
        bucket = bucket_of(_host(socket.peer_name))
        evicted = self._stranger_places.take(socket, bucket, self.dispatcher.uniform())
        if evicted is not None:
            gone = self._strangers.pop(evicted).socket
            self._report_full(_host(gone.peer_name))
            self._meters.links_refused += 1
            self.disown(gone)
            gone.abort()
        self._strangers[socket] = stranger
        self.own(socket)
        socket.watch_read(True)
        if not self._is_looking:
            self._is_looking = True
            self.schedule(LOOK_AGAIN_S, messages.StrangersDue())

    def _spoke(self, client: StreamSocket | ListeningSocket) -> None:
        stranger = self._strangers.get(client)
        if stranger is not None:
            self._read(stranger)

    def _read(self, stranger: _Stranger) -> bool:
        """Take what has arrived; whether there is more to come."""
        socket = stranger.socket
        buffer = self.dispatcher.read_buffer[: MAX_OPENING_BYTES - len(stranger.data)]
        try:
            count = socket.recv_into(buffer)
        except BlockingIOError:
            return True
        except OSError:
            count = 0
        if not count:
            cut_off = "in the middle of the handshake" if stranger.data else "without a word"
            self._refuse(socket, f"the other side closed the connection {cut_off}: is it a mesh agent?")
            return False
        stranger.data += buffer[:count]
        try:
            opening = read_opening(stranger.data, self._opening_keys())
        except RemoteProtocolError as error:
            self._refuse(socket, str(error))
            return False
        if opening is None:
            return True
        self._let_go(socket)
        self._shake(socket, bytes(stranger.data), opening.ticket)
        return False

    def _refuse(self, socket: StreamSocket, why: str) -> None:
        """End without a word to the other side."""
        self._let_go(socket)
        self._meters.links_refused += 1
        report_refusal(socket.peer_name, why)
        socket.abort()  # a close in order would leave the kernel something to remember of each

    def _let_go(self, socket: StreamSocket) -> None:
        if self._strangers.pop(socket, None) is not None:
            self._stranger_places.leave(socket)
            socket.watch_read(False)
            self.disown(socket)

    def _look_for_the_slow(self) -> None:
        latest = self.now() - OPENING_TIMEOUT_S
        for stranger in [each for each in self._strangers.values() if each.since <= latest]:
            self._refuse(stranger.socket, f"no handshake within {OPENING_TIMEOUT_S:g} s")
        self._is_looking = bool(self._strangers)
        if self._is_looking:
            self.schedule(LOOK_AGAIN_S, messages.StrangersDue())
        self._report_room()

    # -- links -----------------------------------------------------------------------------------------------

    def _shake(self, socket: StreamSocket, received: bytes, ticket: bytes) -> None:
        """Go on with somebody who knows an authority of this mesh."""
        host = _host(socket.peer_name)
        bucket = bucket_of(host)
        payer = self._futile.pay(ticket, bucket, self.now())
        if payer is None:
            self._refuse(socket, "too many handshakes from there come to nothing")
            return
        link = self._start_link(socket, self.ref, received, payer)
        holder = bucket if isinstance(payer, str) else display_id(payer)
        evicted = self._link_places.take(link.actor_urn, holder, self.dispatcher.uniform())
        if evicted is not None:
            gone = self._shaking.pop(evicted)
            self._report_full(gone.host)
            self.tell(gone.link, link_messages.MakeRoom())
        self._shaking[link.actor_urn] = _Shaking(link, host)

    def _handshake_ended(self, urn: str) -> None:
        if self._link_places.leave(urn):
            del self._shaking[urn]
            self._report_room()

    def _report_full(self, host: str) -> None:
        if not self._full_reported:
            self._full_reported = True
            log.warning(
                "%(reason)s; closing one of %(address)s, and others as needed",
                {"reason": _TOO_MANY, "address": host},
                extra=sampled(self._name),
            )

    def _report_room(self) -> None:
        if not self._strangers and not self._shaking:
            self._full_reported = False


def _host(peer_name: str) -> str:
    return peer_name.rpartition(":")[0]


_TOO_MANY: Final = "too many unauthenticated connections"
