"""A connect attempt in the simulated network."""

import errno
from collections.abc import Callable
from typing import Final, Protocol

from actors.runtime.seam import SocketOptions
from actors.runtime.virtual.clock import VirtualEvent
from actors.runtime.virtual.host import LOOPBACK, VirtualHost, is_loopback
from actors.runtime.virtual.links import Link
from actors.runtime.virtual.streams import VirtualStreamSocket
from mesh.addresses import SocketAddress, TcpAddress, UnixAddress

CONNECT_TIMEOUT_S: Final = 127.0
"""When Linux gives up on a connect that is never answered (``tcp_syn_retries`` 6)."""

SYN_RETRY_S: Final = 1.0
"""When a connect that met a full queue tries again: RFC 6298, section 2."""


class ConnectNetwork(Protocol):
    """What an attempt needs of the network."""

    attempts: "dict[ConnectAttempt, None]"

    def target_of(self, source: VirtualHost, address: SocketAddress) -> VirtualHost:
        """The host that ``address`` leads to from ``source``.

        Raises:
            OSError: ``EHOSTUNREACH``, there is none.
        """
        ...

    def link(self, source: VirtualHost, target: VirtualHost) -> Link:
        """The link from ``source`` to ``target``."""
        ...

    def join(
        self,
        client: VirtualStreamSocket,
        source: VirtualHost,
        server: VirtualStreamSocket,
        target: VirtualHost,
        options: SocketOptions,
    ) -> None:
        """Connect two sockets; ``options`` are the client's."""
        ...


class ConnectAttempt:
    """A connect under way; exactly one of the callbacks runs unless it is cancelled."""

    def __init__(
        self,
        network: ConnectNetwork,
        source: VirtualHost,
        address: SocketAddress,
        *,
        options: SocketOptions,
        on_connected: Callable[[VirtualStreamSocket], None],
        on_failed: Callable[[int], None],
    ) -> None:
        self._network = network
        self._source = source
        self._address = address
        self._options = options
        self._on_connected = on_connected
        self._on_failed = on_failed
        self._done = False
        self._socket: VirtualStreamSocket | None = None
        self._target: VirtualHost | None = None
        self._timeout: VirtualEvent | None = None

    def start(self) -> None:
        """Send the first packet."""
        try:
            target = self._target = self._network.target_of(self._source, self._address)
            socket = self._socket = self._new_socket(target)
            self._source.require_room(self._options)
            socket.open_descriptor()
        except OSError as error:
            number = error.errno or errno.EIO
            self._source.clock.after(0.0, lambda: self.fail(number))
            return
        self._timeout = self._source.clock.after(CONNECT_TIMEOUT_S, lambda: self.fail(errno.ETIMEDOUT))
        self._network.attempts[self] = None
        self._knock()

    def cancel(self) -> None:
        """Give it up; nothing is reported."""
        if not self._done:
            self._end()
            self._abandon()

    def fail(self, number: int) -> None:
        """End it with ``number``, an ``errno``."""
        if not self._done:
            self._end()
            self._abandon()
            self._on_failed(number)

    def crosses(self, one: VirtualHost, other: VirtualHost) -> bool:
        """Whether it goes from one of the two to the other."""
        return (self._source, self._target) in ((one, other), (other, one))

    def is_from(self, host: VirtualHost) -> bool:
        """Whether ``host`` has made it."""
        return self._source is host

    def _new_socket(self, target: VirtualHost) -> VirtualStreamSocket:
        match self._address:
            case UnixAddress():
                local_name = str(self._address)
            case TcpAddress(host=host):
                same = target is self._source and is_loopback(host)
                own = self._options.local_host or (LOOPBACK if same else self._source.literal)
                local_name = f"{own}:{self._source.ephemeral_port()}"
        return VirtualStreamSocket(self._source, local_name, str(self._address))

    def _knock(self) -> None:
        if not self._done and self._target is not None:
            self._network.link(self._source, self._target).carry(self._arrive)

    def _arrive(self) -> None:
        source, target, client = self._source, self._target, self._socket
        if self._done or target is None or client is None:
            return
        back = self._network.link(target, source)
        if back.refusing:
            back.carry(lambda: self.fail(errno.ECONNREFUSED))
            return
        listener = target.listener_for(self._address, local=target is source)
        if listener is None:
            number = target.refusal(self._address)
            back.carry(lambda: self.fail(number))
        elif not listener.has_room():
            source.clock.after(SYN_RETRY_S, self._knock)
        else:
            server = VirtualStreamSocket(target, str(self._address), client.local_name)
            self._network.join(client, source, server, target, self._options)
            listener.enqueue(server)
            back.carry(self._established)

    def _established(self) -> None:
        if not self._done and self._socket is not None:
            self._end()
            self._on_connected(self._socket)

    def _end(self) -> None:
        self._done = True
        self._network.attempts.pop(self, None)
        if self._timeout is not None:
            self._timeout.cancel()

    def _abandon(self) -> None:
        if self._socket is not None:
            self._socket.abort()
