"""Listening sockets of the in-memory network: parked or letting clients in, as on Linux."""

import errno
from collections import deque
from typing import Final, Protocol

from actors.runtime.seam import PLAIN_OPTIONS, SocketOptions, SocketOwner
from actors.runtime.virtual.os_error import os_error
from actors.runtime.virtual.readiness import ReadinessWatch, TurnHost
from actors.runtime.virtual.streams import VirtualStreamSocket

BACKLOG: Final = 1024
"""Clients that may wait to be accepted."""


class ListeningHost(TurnHost, Protocol):
    """What a listening socket needs of the host that it is on."""

    name: str

    def open_descriptor(self) -> None:
        """Count a descriptor; ``EMFILE`` if the host's limit is reached."""
        ...

    def close_descriptor(self) -> None:
        """Count one less."""
        ...

    def admit(self, client: VirtualStreamSocket, options: SocketOptions) -> None:
        """Take a descriptor for ``client`` and set it up, or reset it and say so."""
        ...

    def release_port(self, socket: "VirtualListeningSocket") -> None:
        """``socket`` gives up its port."""
        ...


class VirtualListeningSocket:
    """A :class:`~actors.runtime.seam.ListeningSocket` on a simulated host; made by the network only."""

    def __init__(
        self, host: ListeningHost, local_name: str, port: int, options: SocketOptions = PLAIN_OPTIONS
    ) -> None:
        host.open_descriptor()
        self._options = options
        self._host = host
        self._local_name = local_name
        self._port = port
        self._listening = False
        self._closed = False
        self._backlog: deque[VirtualStreamSocket] = deque()
        self._watch = ReadinessWatch(host, lambda: bool(self._backlog), lambda owner: owner.on_readable(self))

    def __repr__(self) -> str:
        return f"<VirtualListeningSocket {self._host.name} {self._local_name}>"

    @property
    def local_name(self) -> str:
        """The bound address with its chosen port, for people."""
        return self._local_name

    @property
    def port(self) -> int:
        """The bound port; 0 for a unix socket."""
        return self._port

    @property
    def is_listening(self) -> bool:
        """Whether clients are let in."""
        return self._listening

    def attach(self, owner: SocketOwner) -> None:
        """Make ``owner`` the actor that hears of clients."""
        self._watch.attach(owner)

    def listen(self) -> None:
        """Let clients in; idempotent.

        Raises:
            OSError: ``EBADF``, it is closed.
        """
        self._require_open()
        self._listening = True

    def park(self) -> None:
        """Refuse clients without giving up the port; those that wait are reset. Idempotent."""
        self._turn_away()

    @property
    def may_have_more(self) -> bool:
        """Asking costs nothing here."""
        return True

    def accept(self) -> VirtualStreamSocket:
        """Take the next client.

        Raises:
            BlockingIOError: none waits.
            ClientTurnedAwayError: ``EMFILE``; the client has been reset.
        """
        self._require_open()
        if not self._listening:
            raise os_error(errno.EINVAL)
        if not self._backlog:
            raise os_error(errno.EAGAIN)
        client = self._backlog.popleft()
        self._host.admit(client, self._options)
        return client

    def watch_read(self, enabled: bool) -> None:
        """Report waiting clients from now on, or pause."""
        if not self._closed:
            self._watch.enable(enabled)

    def close(self) -> None:
        """Give up the port; idempotent."""
        if self._closed:
            return
        self._closed = True
        self._turn_away()
        self._watch.detach()
        self._host.release_port(self)
        self._host.close_descriptor()

    def has_room(self) -> bool:
        """Whether another client may queue."""
        return len(self._backlog) < BACKLOG

    def enqueue(self, client: VirtualStreamSocket) -> None:
        """The kernel has completed a client's handshake."""
        self._backlog.append(client)
        self._watch.check()

    def _turn_away(self) -> None:
        self._listening = False
        while self._backlog:
            self._backlog.popleft().abort()

    def _require_open(self) -> None:
        if self._closed:
            raise os_error(errno.EBADF)
