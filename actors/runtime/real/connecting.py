"""Non-blocking connects: one attempt after another's wish, reported to the actor that asked."""

import errno
import os
import socket
from typing import Final

from pykka import ActorDeadError

from actors.runtime.descriptors import refuse_descriptors
from actors.runtime.real.native_address import Sockaddr, native_address, socket_name
from actors.runtime.real.poller import WRITE, Watcher
from actors.runtime.real.readiness import CLOSED, Reactor
from actors.runtime.real.socket_options import set_options
from actors.runtime.real.streams import LoopStreamSocket, ResetStreamSocket
from actors.runtime.reference import tell_if_alive
from actors.runtime.seam import Connected, ConnectFailed, Ref, SocketOptions, Timer
from mesh.addresses import SocketAddress, UnixAddress

_UNDER_WAY: Final = frozenset({errno.EINPROGRESS, errno.EALREADY})

_BROKEN_LATER: Final = frozenset({errno.ECONNRESET, errno.EPIPE})
"""Errors of a connection that came about and was then reset, behind the other end's FIN for the latter: what
resets an attempt is ECONNREFUSED. Source: Linux, ``tcp_reset``."""

BUSY_RETRY_S: Final = 0.02
"""Until a unix socket whose backlog is full is tried again: unlike TCP, the kernel does not do it. Each time
it is twice as long, for thousands may wait for a target that hangs: at this pace they took half a core."""

MAX_BUSY_RETRY_S: Final = 0.32
"""The longest such wait."""

IP_BIND_ADDRESS_NO_PORT: Final = 24
"""Of Linux (include/uapi/linux/in.h): a port is drawn when it is known where to, so two may have one."""


class ConnectAttempt(Watcher):
    """A connect under way: an :class:`~actors.runtime.seam.Attempt`.

    It stands in ``pending`` until it ends, so that a dispatcher that stops can cancel what is left.
    """

    __slots__ = (
        "_address",
        "_is_tcp",
        "_options",
        "_pending",
        "_reactor",
        "_ref",
        "_retry",
        "_retry_s",
        "_sockaddr",
        "_socket",
        "_token",
    )

    def __init__(
        self,
        reactor: Reactor,
        ref: Ref[Connected | ConnectFailed],
        address: SocketAddress,
        token: int,
        pending: "set[ConnectAttempt]",
    ) -> None:
        super().__init__(CLOSED)
        self._reactor = reactor
        self._ref = ref
        self._address = address
        self._is_tcp = not isinstance(address, UnixAddress)
        self._token = token
        self._pending = pending
        self._socket: socket.socket | None = None
        self._retry: Timer | None = None
        self._retry_s = BUSY_RETRY_S
        self._options = SocketOptions()
        self._sockaddr: Sockaddr = None
        """The kernel's form of the address."""

    def begin(self, options: SocketOptions) -> None:
        """Send the first packet; an error at once is reported like a later one."""
        self._options = options
        try:
            family, self._sockaddr = native_address(self._address)
            self._socket = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            if options.leaves_spare:
                self._reactor.descriptors.require_room(self._socket)
            set_options(self._socket, options, is_tcp=self._is_tcp)
            if not self._is_tcp:
                refuse_descriptors(self._socket)
            if options.local_host:
                self._socket.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
                self._socket.bind((options.local_host, 0))
        except OSError as error:
            self._fail(error.errno or errno.EINVAL, error.strerror or str(error))
            return
        self._try(self._socket)

    def _try(self, sock: socket.socket) -> None:
        self._pending.discard(self)
        try:
            number = sock.connect_ex(self._sockaddr)
            if number == errno.EINPROGRESS and self._is_tcp:
                # Over loopback it is done by now: no round of the loop is needed. Connecting again would say
                # so too, but throw away what has arrived if the target has reset the connection by now.
                number = _outcome(sock)
        except OSError as error:
            self._fail(error.errno or errno.EINVAL, error.strerror or str(error))
            return
        if number in _UNDER_WAY:
            self._pending.add(self)
            self._watch(sock)
        elif number == errno.EAGAIN and not self._is_tcp:
            self._pending.add(self)
            self._retry = self._reactor.call_later(self._retry_s, self._try, sock)
            self._retry_s = min(2 * self._retry_s, MAX_BUSY_RETRY_S)
        else:
            self._finish(number)

    def _watch(self, sock: socket.socket) -> None:
        self.fd = sock.fileno()
        try:
            self._reactor.poller.want(self, WRITE)
        except OSError as error:  # the kernel keeps no more readiness for this user
            self._pending.discard(self)
            self._fail(error.errno or errno.ENOMEM, error.strerror or str(error))

    def cancel(self) -> None:
        """Give it up and close the socket; nothing happens if it has ended already."""
        if self in self._pending:
            self._stop_waiting()
            self._close()

    def heard(self, events: int) -> None:
        """The connect has succeeded or failed."""
        if self._socket is not None:
            self._stop_waiting()
            self._finish(self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    def _stop_waiting(self) -> None:
        self._pending.discard(self)
        if self._retry is not None:
            self._retry.cancel()
        self._reactor.poller.forget(self)

    def _finish(self, number: int) -> None:
        sock = self._socket
        if number in _BROKEN_LATER and sock is not None and self._is_tcp:
            self._socket = None
            self._hand_over(ResetStreamSocket(self._reactor, sock, self._options, self._sockaddr, number))
            return
        local_name = ""
        if number == 0 and sock is not None and self._is_tcp:
            own = _local_address(sock)
            if own is not None:
                local_name = socket_name(own)
                if _met_itself(sock, own, self._sockaddr):
                    number = errno.ECONNREFUSED
        if number != 0 or sock is None:
            self._fail(number, os.strerror(number))
            return
        self._socket = None
        self._hand_over(LoopStreamSocket(self._reactor, sock, self._options, self._sockaddr, local_name))

    def _hand_over(self, stream: LoopStreamSocket) -> None:
        try:
            self._ref.tell(Connected(self._token, stream))
        except ActorDeadError:
            stream.close()

    def _fail(self, number: int, reason: str) -> None:
        self._close()
        tell_if_alive(self._ref, ConnectFailed(self._token, number, reason))

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _outcome(sock: socket.socket) -> int:
    """How a connect stands that was begun: 0, the error that has ended it, or ``EINPROGRESS``."""
    try:
        sock.getpeername()
    except OSError:  # it has none yet, or no more
        return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or errno.EINPROGRESS
    return 0


def _local_address(sock: socket.socket) -> Sockaddr | None:
    """This end's address; ``None`` if the socket has been reset already, which reading will say."""
    try:
        return sock.getsockname()
    except OSError:
        return None


def _met_itself(sock: socket.socket, own: Sockaddr, wanted: Sockaddr) -> bool:
    """Whether TCP's simultaneous open joined the socket to itself instead of to another at ``wanted``.

    It happens when nobody listens on a local port and the kernel draws that very port for this end.
    """
    if own[1] != wanted[1]:
        return False
    try:
        return bool(own == sock.getpeername())
    except OSError:  # already reset: reading will say so
        return False
