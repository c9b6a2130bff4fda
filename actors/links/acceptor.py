"""An acceptor: the socket on which peers arrive.

Whoever connects costs one small actor until it has proven who it is, for a bounded time. Their number is
bounded too, in all and for each address; the oldest makes room.
"""

import logging
from collections import Counter
from collections.abc import Callable
from typing import Final, assert_never

from actors.accepting import AcceptingActor
from actors.links.settings import LINK_SOCKET_OPTIONS
from actors.messages import acceptor as messages
from actors.messages import agent as agent_messages
from actors.messages import peer_link as link_messages
from actors.messages.listener import AcceptAgain, BindDue, StopListening
from actors.meters import Meters
from actors.runtime.seam import Dispatcher, ListeningSocket, Ref, StreamSocket
from mesh.addresses import TcpAddress
from mesh.sampling import sampled

log = logging.getLogger("mesh.links")

SHARE_OF_ONE_ADDRESS: Final = 4
"""One address may hold a quarter of the places for unauthenticated connections: the others stay free."""

StartLink = Callable[[StreamSocket, Ref[messages.Inbound]], Ref[link_messages.Inbound]]
"""Starts a link on an accepted socket, on behalf of an acceptor."""


class Acceptor(AcceptingActor[messages.Inbound]):
    """Lets peers in on one address."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        name: str,
        address: TcpAddress,
        start_link: StartLink,
        max_unauthenticated: int,
        meters: Meters,
        root: Ref[agent_messages.PortReported],
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
        self._max_unauthenticated = max_unauthenticated
        self._unauthenticated: dict[str, tuple[Ref[link_messages.Inbound], str]] = {}
        """Links that have not proven who they are, each with its host, by name; the oldest first."""
        self._by_host: Counter[str] = Counter()
        self._full_reported = False

    def on_start(self) -> None:
        """Take the port."""
        self._bind()

    def on_receive(self, message: messages.Inbound) -> None:
        """Handle one message."""
        match message:
            case messages.HandshakeEnded(link_urn=urn):
                self._handshake_ended(urn)
            case BindDue():
                self._bind()
            case AcceptAgain():
                self._resume()
            case StopListening():
                self._close_port()
            case _:
                assert_never(message)

    def _bound(self, socket: ListeningSocket) -> None:
        try:
            socket.listen()
        except OSError as error:
            self._lost_port(error)
            return
        socket.watch_read(True)
        log.info("accepting peers at %s", socket.local_name)

    def _accepted(self, socket: StreamSocket) -> None:
        host = socket.peer_name.rpartition(":")[0]
        share = max(1, self._max_unauthenticated // SHARE_OF_ONE_ADDRESS)
        if self._by_host[host] >= share:
            self._evict(next(urn for urn, (_, known) in self._unauthenticated.items() if known == host))
        elif len(self._unauthenticated) >= self._max_unauthenticated:
            self._evict(next(iter(self._unauthenticated)))
        link = self._start_link(socket, self.ref)
        self._unauthenticated[link.actor_urn] = (link, host)
        self._by_host[host] += 1

    def _evict(self, urn: str) -> None:
        """Make room: a peer that means it takes milliseconds, so the oldest is the one to go."""
        link, host = self._unauthenticated[urn]
        if not self._full_reported:
            self._full_reported = True
            log.warning(
                "too many unauthenticated connections; closing the oldest, from %s, and others as needed",
                host,
                extra=sampled(self._name),
            )
        self.tell(link, link_messages.CloseLink("too many unauthenticated connections"))
        self._handshake_ended(urn)

    def _handshake_ended(self, urn: str) -> None:
        if urn not in self._unauthenticated:
            return  # it has been closed to make room
        _, host = self._unauthenticated.pop(urn)
        self._by_host[host] -= 1
        if not self._by_host[host]:
            del self._by_host[host]
        if not self._unauthenticated:
            self._full_reported = False
