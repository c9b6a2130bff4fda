"""A SOCKS5 listener: clients say by name which key they want, and are served as a listener's are.

What is exchanged before a client is served is a matter of :mod:`mesh.socks.server`. A client has little time
for that. There is room for so many that have not said what they want; the one that has taken longest makes
room for one more, so that nobody who says nothing keeps others out. So it is with what serves the clients
that want the same.
"""

import logging
from collections.abc import Callable
from typing import Final, NamedTuple, assert_never

from actors.accepting import AcceptingActor
from actors.connections.connection_settings import CONNECTION_SOCKET_OPTIONS
from actors.connections.socks_answers import refuse, say, turn_away
from actors.messages import agent as agent_messages
from actors.messages import connection as connection_messages
from actors.messages import listener as listener_messages
from actors.messages import named_service as service_messages
from actors.messages import route_table as route_table_messages
from actors.messages import socks_listener as messages
from actors.meters import Meters
from actors.runtime.seam import Dispatcher, ListeningSocket, Ref, StreamSocket
from mesh.addresses import UnixAddress
from mesh.config.schema import SocksSection
from mesh.escaping import escaped
from mesh.routing.counterparts import NO_OFFER, why_unoffered
from mesh.routing.routes import RouteSnapshot
from mesh.sampling import sampled
from mesh.socks.names import Wanted, meaning, meanings
from mesh.socks.numbers import Reply
from mesh.socks.server import Asked, Credentials, Handshake, Refused, Say, SayWithWitness
from mesh.trust.naming import listing

log = logging.getLogger("mesh.forward")

HANDSHAKE_S: Final = 10.0
"""For a client to say what it wants: it is near, and programs do not hesitate."""

MAX_HANDSHAKES: Final = 256
"""Clients that have not said what they want yet, at one time."""

MAX_SERVICES: Final = 256
"""Keys, and keys at one agent, that something serves at one time: each has a connection stand by."""

MAX_SHOWN_CHARACTERS: Final = 80
"""Of a name that a client asked for, in logs."""

UNNAMED: Final = "unix:"
"""The name of a client that has come by a unix socket, as most have it."""

StartService = Callable[[Wanted, RouteSnapshot, Ref[messages.Inbound]], Ref[service_messages.Inbound]]
"""Starts what serves the clients that want a key, for this listener."""


class _Half(NamedTuple):
    """A client that has not said what it wants."""

    socket: StreamSocket
    handshake: Handshake
    until: float


class SocksListener(AcceptingActor[messages.Inbound]):
    """Lets clients in for whatever key they name, on one address."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        name: str,
        section: SocksSection,
        may_use: Callable[[str], bool],
        route_table: Ref[route_table_messages.Inbound],
        start_service: StartService,
        clients: connection_messages.Clients,
        meters: Meters,
        root: Ref[agent_messages.PartReported],
    ) -> None:
        super().__init__(
            dispatcher,
            name=name,
            address=section.address,
            what="SOCKS listener",
            options=CONNECTION_SOCKET_OPTIONS,
            log=log,
            meters=meters,
            root=root,
        )
        self._section = section
        self._may_use = may_use
        self._route_table = route_table
        self._start_service = start_service
        self._clients = clients
        self._snapshot: RouteSnapshot | None = None
        self._halves: dict[StreamSocket | ListeningSocket, _Half] = {}
        """The oldest first."""
        self._is_timed = False
        self._services: dict[Wanted, Ref[service_messages.Inbound]] = {}
        """What was asked for longest ago at the front."""

    def on_start(self) -> None:
        """Take the port and ask to be told of routes."""
        self._bind()
        self.tell(self._route_table, route_table_messages.Subscribe(self.ref))

    def on_receive(self, message: messages.Inbound) -> None:
        """Handle one message."""
        match message:
            case route_table_messages.RoutesChanged(snapshot=snapshot):
                self._snapshot = snapshot
            case messages.HandshakesDue():
                self._end_overdue()
            case messages.ServiceIdle(wanted=wanted, service=service):
                if self._services.get(wanted) is service:
                    del self._services[wanted]
                self.tell(service, service_messages.Retire())
            case messages.ChangeSocks(section=section):
                self._section = section
                log.info("SOCKS listener at %(address)s has been changed", {"address": str(self._address)})
            case listener_messages.BindDue():
                self._bind()
            case listener_messages.AcceptAgain():
                self._resume()
            case listener_messages.StopListening():
                self._close_port()
                for service in self._services.values():
                    self.tell(service, service_messages.Finish())
            case _:
                assert_never(message)

    def release(self) -> None:
        """Let nobody wait, and end what serves its clients."""
        for half in list(self._halves.values()):
            self._let_go(half.socket)
            half.socket.abort()
        for service in self._services.values():
            self.tell(service, service_messages.Retire())
        super().release()

    def _bound(self, socket: ListeningSocket) -> None:
        if self._listen(socket):
            log.info("SOCKS listener at %(address)s", {"address": socket.local_name})

    # -- handshakes ------------------------------------------------------------------------------------------

    def _accepted(self, socket: StreamSocket) -> None:
        if len(self._halves) >= MAX_HANDSHAKES:
            self._give_up(next(iter(self._halves.values())).socket, "there are too many like it")
        is_unix = isinstance(self._address, UnixAddress)
        handshake = Handshake(_credentials(self._section), witnesses=is_unix)
        self._halves[socket] = _Half(socket, handshake, self.now() + HANDSHAKE_S)
        self.own(socket).watch_read(True)
        if not self._is_timed:
            self._is_timed = True
            self.schedule(HANDSHAKE_S, messages.HandshakesDue())

    def _spoke(self, client: StreamSocket | ListeningSocket) -> None:
        half = self._halves.get(client)
        if half is not None:
            self._go_on(half.socket, half.handshake)

    def _go_on(self, client: StreamSocket, handshake: Handshake) -> None:
        """Read what is wanted, and not one byte more."""
        while handshake.wanted_bytes:
            buffer = self.dispatcher.read_buffer[: handshake.wanted_bytes]
            try:
                count = client.recv_into(buffer)
            except BlockingIOError:
                return
            except OSError:
                count = 0
            if not count:
                self._let_go(client)
                client.close()
                return
            last_words = b""
            for effect in handshake.receive(buffer[:count]):
                match effect:
                    case Say(data=data):
                        last_words = data
                    case SayWithWitness(data=data, otherwise=otherwise):
                        last_words = b"" if client.say_with_witness(data) else otherwise
                    case Asked(host=host):
                        self._asked(client, host)
                        return
                    case Refused(why=why):
                        self._tell_refused(why, client)
                        self._let_go(client)
                        turn_away(client, last_words, self.dispatcher.read_buffer)
                        return
                    case _:
                        assert_never(effect)
            if last_words and not say(client, last_words):
                self._let_go(client)
                client.abort()
                return

    def _let_go(self, client: StreamSocket) -> None:
        del self._halves[client]
        self.disown(client)

    def _give_up(self, client: StreamSocket, why: str) -> None:
        self._tell_refused(f"it has not said what it wants, and {why}", client)
        self._let_go(client)
        client.abort()

    def _end_overdue(self) -> None:
        now, self._is_timed = self.now(), False
        for half in list(self._halves.values()):
            if half.until > now:
                self._is_timed = True
                self.schedule(half.until - now, messages.HandshakesDue())
                return
            self._give_up(half.socket, f"has had {HANDSHAKE_S:g} s")

    def _tell_refused(self, why: str, client: StreamSocket) -> None:
        self._meters.socks_refused += 1
        who = "a client" if client.peer_name == UNNAMED else client.peer_name
        facts = {"address": str(self._address), "client": who, "reason": why}
        line = "SOCKS listener at %(address)s refuses %(client)s: %(reason)s"
        log.info(line, facts, extra=sampled(self._name))

    # -- requests --------------------------------------------------------------------------------------------

    def _asked(self, client: StreamSocket, host: str) -> None:
        self._let_go(client)
        client.watch_read(False)
        snapshot = self._snapshot
        wanted = None if snapshot is None else meaning(host, _offers_in(snapshot))
        if wanted is None or snapshot is None:
            self._refuse(client, host, *_why_nobody(host, snapshot))
        elif not self._may_use(wanted.key):
            why = "this agent's certificate does not permit the use of it"
            self._refuse(client, host, Reply.NOT_ALLOWED, why)
        elif 0 < self._section.max_connections <= self._clients.connected:
            why = f"max_connections ({self._section.max_connections}) are connected"
            self._refuse(client, host, Reply.FAILED, why)
        else:
            command = service_messages.ServeByName(client, self._clients)
            service = self._services.pop(wanted, None)
            if service is None or not self.tell(service, command):
                service = self._start_service(wanted, snapshot, self.ref)
                self.tell(service, command)
            self._clients.expect(client)  # others may ask before the service has its turn, and counts it in
            self._services[wanted] = service
            if len(self._services) > MAX_SERVICES:
                self.tell(self._services.pop(next(iter(self._services))), service_messages.Retire())

    def _refuse(self, client: StreamSocket, host: str, code: Reply, why: str) -> None:
        shown = host if len(host) <= MAX_SHOWN_CHARACTERS else f"{host[:MAX_SHOWN_CHARACTERS]}..."
        self._tell_refused(f"{escaped(shown)}: {why}", client)
        refuse(client, code, self.dispatcher.read_buffer)

    def __str__(self) -> str:
        """Name the address, for logs and dumps."""
        return f"SocksListener({self._address}, {self._clients.connected} clients)"


def _credentials(section: SocksSection) -> Credentials | None:
    if section.password is None:
        return None
    return Credentials(section.user.encode(), section.password.reveal())


def _offers_in(snapshot: RouteSnapshot) -> Callable[[Wanted], bool]:
    """Whether somebody offers the key, or the one agent that is wanted does."""

    def is_offered(wanted: Wanted) -> bool:
        candidates = snapshot.candidates.get(wanted.key, ())
        if not wanted.agent:
            return bool(candidates)
        listed = (wanted.agent,)
        ids = (each.agent_id for each in candidates)
        return any(listing(listed, snapshot.records[agent_id].name, agent_id) for agent_id in ids)

    return is_offered


def _why_nobody(host: str, snapshot: RouteSnapshot | None) -> tuple[Reply, str]:
    """What is told to a client, and to people; of a name that nobody offers nothing is remembered."""
    key = next(meanings(host)).key
    found = None if snapshot is None else snapshot.offering_in_vain(key)
    if snapshot is None or found is None or not (found.apart or found.barred):
        return Reply.HOST_UNREACHABLE, NO_OFFER
    code = Reply.NETWORK_UNREACHABLE if found.apart else Reply.HOST_UNREACHABLE
    return code, why_unoffered(snapshot, key)
