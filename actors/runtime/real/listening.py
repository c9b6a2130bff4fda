"""Real listening sockets: parked, they hold their port and refuse clients; listening, they let them in.

On Linux a socket that is bound but does not listen refuses clients (ECONNREFUSED) and still keeps its port.
Taking ``listen`` back is ``shutdown(SHUT_RD)``, after which the same socket may listen again.

``SO_REUSEADDR`` is on for ``bind`` and while listening: else the connections of an earlier run keep the port
from us. It is off while parked: else another process that sets it could bind the port and listen there.
"""

import errno
import socket
from typing import Any, Final

from actors.runtime.descriptors import reset
from actors.runtime.real.native_address import Sockaddr, socket_name
from actors.runtime.real.readiness import Reactor, Readiness
from actors.runtime.real.socket_options import set_options
from actors.runtime.real.streams import LoopStreamSocket
from actors.runtime.seam import (
    ClientTurnedAwayError,
    ListeningSocket,
    SocketOptions,
    SocketOwner,
    StreamSocket,
)

CLIENT_GONE: Final = frozenset(
    {errno.ECONNABORTED, errno.EPROTO, errno.ENETDOWN, errno.ENOPROTOOPT, errno.EHOSTDOWN, errno.ENONET}
    | {errno.EHOSTUNREACH, errno.EOPNOTSUPP, errno.ENETUNREACH, errno.EPERM}
)
"""What ``accept`` reports of one client that is gone or was forbidden: accept(2), "Error handling"."""

BACKLOG: Final = 1024
"""Clients that may wait for ``accept``; the kernel's ``net.core.somaxconn`` caps it."""

EVERYWHERE: Final = "*:"
"""Before the port of a socket for IPv4 and IPv6, which the kernel calls what means IPv6 alone elsewhere."""

_WILD: Final = (EVERYWHERE, "0.0.0.0:", "[::]:")
"""How names of sockets begin whose clients come to one of several addresses."""


class LoopListeningSocket:
    """A :class:`~actors.runtime.seam.ListeningSocket` over a bound TCP socket, which it takes over parked."""

    __slots__ = (
        "_accepted_in",
        "_family",
        "_is_tcp",
        "_listening",
        "_name",
        "_options",
        "_port",
        "_reactor",
        "_readiness",
        "_reading",
        "_shown",
        "_socket",
        "may_have_more",
    )

    def __init__(self, reactor: Reactor, sock: socket.socket, options: SocketOptions) -> None:
        self._reactor = reactor
        self._options = options
        self._family = sock.family
        self._is_tcp = self._family != socket.AF_UNIX
        if self._is_tcp:
            set_options(sock, options)  # what is accepted has them from the start: tcp(7), socket(7)
        self._socket = sock
        self._readiness = Readiness(reactor, sock.fileno())
        self._listening = False
        self._reading = False
        self._accepted_in = -1
        self.may_have_more = True
        """Asking in vain costs as much as a tenth of a connection, so it is done only in a crowd: if clients
        were there in the poller's last round as well."""
        self._shown: ListeningSocket | None = None
        """What the owner hears of in this socket's place."""
        name = sock.getsockname()
        self._name = f"{EVERYWHERE}{name[1]}" if _takes_both_families(sock) else socket_name(name)
        self._port = int(name[1]) if isinstance(name, tuple) else 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name} {'listening' if self._listening else 'parked'}>"

    @property
    def local_name(self) -> str:
        """The bound address with its chosen port, for people."""
        return self._name

    @property
    def port(self) -> int:
        """The bound port."""
        return self._port

    def stand_for(self, whole: ListeningSocket) -> None:
        """Report clients as those of ``whole``, which this socket is a part of."""
        self._shown = whole

    def attach(self, owner: SocketOwner) -> None:
        """Report clients to ``owner``, an actor of this dispatcher."""
        self._reading = False
        self._readiness.attach(owner)

    def listen(self) -> None:
        """Let clients in. Idempotent.

        Raises:
            OSError: another socket listens there.
        """
        if not self._listening:
            self._start_listening()
            self._listening = True
            self._watch()

    def park(self) -> None:
        """Refuse clients, those that wait included, without giving up the port. Idempotent.

        Raises:
            OSError: the port was lost.
        """
        if self._listening:
            self._listening = False
            self._readiness.pause()  # a parked socket reports a hang-up, for ever
            self._stop_listening()

    def accept(self) -> StreamSocket:
        """Take the next client.

        Raises:
            BlockingIOError: none waits, or the next one was gone again.
            ClientTurnedAwayError: too few descriptors are left, and the client has been reset.
            OSError: ``EMFILE`` and the like; the caller pauses.
        """
        try:
            # Not socket.accept(), which asks the listening socket for its kind and makes enums of it.
            waiting: Any = self._socket
            descriptor, peer = waiting._accept()
            client = socket.socket(self._family, socket.SOCK_STREAM, 0, descriptor)
        except BlockingIOError:
            raise
        except OSError as error:
            if error.errno in CLIENT_GONE:
                raise BlockingIOError(error.errno, error.strerror) from error
            if error.errno == errno.EMFILE:
                self._reactor.descriptors.turn_away(self._socket, error)
            raise
        if self._options.leaves_spare:
            try:
                self._reactor.descriptors.require_room(client)
            except OSError as error:
                reset(client)
                raise ClientTurnedAwayError(error.errno, error.strerror) from None
        try:
            client.setblocking(False)
            if not self._is_tcp:
                set_options(client, self._options, is_tcp=False)
        except OSError as error:  # reset meanwhile
            client.close()
            raise BlockingIOError(error.errno, error.strerror) from error
        this_round = self._reactor.poller.round
        self.may_have_more = this_round - self._accepted_in <= 1
        self._accepted_in = this_round
        # A client's own end is this address, unless that means all: it need not be asked for.
        local_name = "" if self._name.startswith(_WILD) else self._name
        return LoopStreamSocket(self._reactor, client, self._options, peer, local_name)

    def watch_read(self, enabled: bool) -> None:
        """Report waiting clients from now on, or pause; it takes effect while listening."""
        self._reading = enabled
        self._watch()

    def close(self) -> None:
        """Give up the port; idempotent."""
        self._readiness.close()
        self._listening = self._reading = False
        self._shown = None
        self._socket.close()

    def _watch(self) -> None:
        self._readiness.watch_read(self._reading and self._listening, self._shown or self)

    def _start_listening(self) -> None:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.listen(BACKLOG)
        except OSError:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
            raise

    def _stop_listening(self) -> None:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        self._socket.shutdown(socket.SHUT_RD)


def bound_for_good(family: int, sockaddr: Sockaddr, *, ipv6_only: bool) -> socket.socket:
    """A bound socket that keeps its port while parked: one that is bound by number."""
    if sockaddr[1] != 0:
        return _bound(family, sockaddr, ipv6_only=ipv6_only)
    # A port that the kernel chose is given up by the first shutdown; so hold it while binding it by number.
    with _bound(family, sockaddr, ipv6_only=ipv6_only) as first:
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port = first.getsockname()[1]
        return _bound(family, (sockaddr[0], port, *sockaddr[2:]), ipv6_only=ipv6_only)


def _bound(family: int, sockaddr: Sockaddr, *, ipv6_only: bool) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(ipv6_only))
        if sockaddr[1] != 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(sockaddr)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except BaseException:
        sock.close()
        raise
    return sock


def _takes_both_families(sock: socket.socket) -> bool:
    is_ipv6 = sock.family == socket.AF_INET6 and sock.getsockname()[0] == "::"
    return is_ipv6 and not sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
