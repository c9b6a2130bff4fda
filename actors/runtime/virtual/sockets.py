"""Sockets of the in-memory network, with the semantics of Linux's that an agent can notice."""

import errno
import os
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeAlias

from actors.runtime.seam import PLAIN_OPTIONS, BytesLike, HangUp, SocketOptions, SocketOwner
from actors.runtime.virtual.clock import Trace, VirtualClock
from actors.runtime.virtual.links import Link
from actors.runtime.virtual.pipe import Pipe
from mesh.black_hole import PathFigures

PASS_S: Final = 10e-6
"""A level-triggered report that is not acted upon comes again after this: what a pass of a real loop takes.

Without it an owner that leaves a socket unread would stop the world's time instead of burning a core.
"""

BACKLOG: Final = 1024
"""Clients that may wait to be accepted."""


def os_error(number: int) -> OSError:
    """The error that the kernel would raise; Python picks the subclass by the number."""
    return OSError(number, os.strerror(number))


class SocketHost(Protocol):
    """What sockets need of the host that they are on."""

    clock: VirtualClock
    trace: Trace
    name: str

    def post_turn(self, owner: SocketOwner, report: Callable[[], None], socket: "Watched") -> None:
        """Run ``report``, which tells ``owner`` of ``socket``, as a turn of the owner's."""
        ...

    def open_descriptor(self) -> None:
        """Count a descriptor; ``EMFILE`` where the host's limit is reached."""
        ...

    def admit(self, client: "VirtualStreamSocket", options: SocketOptions) -> None:
        """Take a descriptor for ``client`` and set it up, or reset it and say so."""
        ...

    def close_descriptor(self) -> None:
        """Count one less."""
        ...

    def forget(self, socket: "VirtualStreamSocket") -> None:
        """``socket`` no longer takes part in any connection."""
        ...

    def release_port(self, socket: "VirtualListeningSocket") -> None:
        """``socket`` gives up its port."""
        ...


Watched: TypeAlias = "VirtualStreamSocket | VirtualListeningSocket"


class _Watch:
    """Level-triggered reports of one condition to one owner, each in a turn of its own."""

    __slots__ = ("_attachment", "_condition", "_host", "_posted", "_report", "_socket", "enabled", "owner")

    def __init__(
        self,
        host: SocketHost,
        socket: "Watched",
        condition: Callable[[], bool],
        report: Callable[[SocketOwner], None],
    ) -> None:
        self._host = host
        self._socket = socket
        self._condition = condition
        self._report = report
        self._posted = False
        self._attachment = 0
        self.enabled = False
        self.owner: SocketOwner | None = None

    def attach(self, owner: SocketOwner) -> None:
        """Report to ``owner``, once that is enabled."""
        self.owner = owner
        self.enabled = self._posted = False
        self._attachment += 1

    def enable(self, enabled: bool) -> None:
        """Report from now on, or stop.

        Raises:
            RuntimeError: nobody is attached.
        """
        if enabled and self.owner is None:
            raise RuntimeError("a socket is watched before it is attached to its owner")
        self.enabled = enabled
        self.check()

    def detach(self) -> None:
        """Report nothing any more."""
        self.enabled = False
        self.owner = None

    def check(self) -> None:
        """Post a report where the condition holds and none is on its way."""
        if self.enabled and not self._posted and self.owner is not None and self._condition():
            self._posted = True
            attachment = self._attachment
            self._host.post_turn(self.owner, lambda: self._turn(attachment), self._socket)

    def _turn(self, attachment: int) -> None:
        if attachment != self._attachment:
            return  # the socket has another owner by now
        # It stays posted during the report, so that what the owner causes meanwhile does not report twice.
        if self.enabled and self.owner is not None and self._condition():
            self._report(self.owner)
            if attachment != self._attachment:
                return
            if self.enabled and self._condition():
                self._host.clock.after(PASS_S, lambda: self._next_pass(attachment))
                return
        self._posted = False

    def _next_pass(self, attachment: int) -> None:
        if attachment == self._attachment:
            self._posted = False
            self.check()


class VirtualStreamSocket:
    """A :class:`~actors.runtime.seam.StreamSocket` on a simulated host; made by the network only."""

    def __init__(self, host: SocketHost, local_name: str, peer_name: str) -> None:
        self._host = host
        self._local_name = local_name
        self._peer_name = peer_name
        self._peer: VirtualStreamSocket | None = None
        self._in: Pipe | None = None
        self._out: Pipe | None = None
        self._path: Link | None = None
        self.peer_host = ""
        """Name of the host at the other end, once connected."""
        self._has_descriptor = False
        self._closed = False
        self._write_shut = False
        self._broken = False
        self._error = 0
        self._read_watch = _Watch(host, self, self._is_readable, lambda owner: owner.on_readable(self))
        self._write_watch = _Watch(host, self, self._is_writable, lambda owner: owner.on_writable(self))

    def __repr__(self) -> str:
        return f"<VirtualStreamSocket {self._local_name} - {self._peer_name}>"

    @property
    def local_name(self) -> str:
        """This end, for people."""
        return self._local_name

    @property
    def peer_name(self) -> str:
        """The other end, for people."""
        return self._peer_name

    def attach(self, owner: SocketOwner) -> None:
        """Make ``owner`` hear of readiness; what was watched for an earlier owner is watched no more."""
        self._read_watch.attach(owner)
        self._write_watch.attach(owner)

    def recv_into(self, buffer: memoryview) -> int:
        """Take up to ``len(buffer)`` bytes; 0 is the end of the stream.

        As on Linux, what arrived before a reset is still read; then the reset is reported once.

        Raises:
            BlockingIOError: nothing has arrived yet.
            OSError: the stream is broken.
        """
        pipe = self._incoming()
        if pipe.buffered_bytes:
            return pipe.read_into(buffer)
        if pipe.finished:
            return 0
        self._raise_pending_error()
        if self._broken:
            return 0
        raise os_error(errno.EAGAIN)

    def send(self, buffers: Sequence[BytesLike]) -> int:
        """Send from ``buffers`` in order; return the bytes taken, at least 1.

        Raises:
            BlockingIOError: no room.
            OSError: the stream is broken.
        """
        pipe = self._outgoing()
        self._raise_pending_error()
        if self._broken or self._write_shut:
            raise os_error(errno.EPIPE)
        taken = pipe.offer(buffers)
        if not taken and any(len(buffer) for buffer in buffers):
            raise os_error(errno.EAGAIN)
        return taken

    def watch_read(self, enabled: bool) -> None:
        """Report readability to the owner from now on, or stop."""
        if not self._closed:
            self._read_watch.enable(enabled)

    def watch_write(self, enabled: bool) -> None:
        """Report writability to the owner from now on, or stop."""
        if not self._closed:
            self._write_watch.enable(enabled)

    def hung_up(self) -> HangUp:
        """What can be seen of the other end without reading; judged as poll(2) does."""
        if self._closed:
            return HangUp.GONE
        pipe = self._incoming()
        if self._broken:
            return HangUp.GONE
        return HangUp.HALF_CLOSED if pipe.finished else HangUp.NO

    def path_figures(self) -> PathFigures | None:
        """Nothing: there is no kernel."""
        return None

    def shutdown_write(self) -> None:
        """Finish sending (FIN); reading goes on."""
        if not (self._closed or self._write_shut or self._broken):
            self._write_shut = True
            self._outgoing().finish()

    def close(self) -> None:
        """Close in order, or with a reset where something arrived unread (RFC 2525, 2.17); idempotent."""
        if self._closed:
            return
        if self._in is None or self._in.buffered_bytes:
            self.abort()
        else:
            self.shutdown_write()
            self._shut()

    def abort(self) -> None:
        """Close with a reset and drop what is queued; idempotent."""
        if not self._closed:
            self._send_reset()
            self._shut()

    # What follows is for the network.

    def join(
        self, peer: "VirtualStreamSocket", peer_host: str, *, incoming: Pipe, outgoing: Pipe, path: Link
    ) -> None:
        """Connect to ``peer`` by a pipe each way; ``path`` is the link towards it."""
        self._peer, self.peer_host = peer, peer_host
        self._in, self._out, self._path = incoming, outgoing, path

    def configure(self, options: SocketOptions) -> None:
        """Apply ``options`` to a connected socket; there is no Nagle algorithm here to turn off."""
        self._outgoing().configure_sending(
            buffer_bytes=options.send_buffer_bytes, low_water_bytes=options.not_sent_low_water_bytes
        )
        self._incoming().configure_receiving(buffer_bytes=options.receive_buffer_bytes)

    def open_descriptor(self) -> None:
        """Count as an open socket of the host.

        Raises:
            OSError: ``EMFILE``.
        """
        self._host.open_descriptor()
        self._has_descriptor = True

    def break_off(self, number: int) -> None:
        """The connection is broken; the owner learns ``number``, an ``errno``, once."""
        if self._broken:
            return
        self._broken = True
        if self._out is not None:
            self._out.drop()
        if not self._closed:
            # A reset after the end of the stream was seen only says that nobody reads any more: tcp_reset().
            finished = self._in is not None and self._in.finished
            self._error = errno.EPIPE if finished and number == errno.ECONNRESET else number
            self._read_watch.check()
            self._write_watch.check()

    def room_changed(self) -> None:
        """The outgoing pipe may have room."""
        if self._write_watch.enabled:
            self._write_watch.check()

    def bytes_arrived(self) -> None:
        """The incoming pipe has something to read."""
        self._read_watch.check()

    def bytes_refused(self) -> None:
        """Bytes arrived though this end is closed."""
        self._send_reset()

    def _is_readable(self) -> bool:
        pipe = self._in
        return pipe is not None and (pipe.buffered_bytes > 0 or pipe.finished or self._broken)

    def _is_writable(self) -> bool:
        if self._broken or self._write_shut:
            return True
        pipe = self._outgoing()
        if pipe.is_writable():
            return True
        pipe.await_room()
        return False

    def _incoming(self) -> Pipe:
        if self._closed or self._in is None:
            raise os_error(errno.EBADF)
        return self._in

    def _outgoing(self) -> Pipe:
        if self._closed or self._out is None:
            raise os_error(errno.EBADF)
        return self._out

    def _raise_pending_error(self) -> None:
        number, self._error = self._error, 0
        if number:
            raise os_error(number)

    def _send_reset(self) -> None:
        if self._broken:
            return
        self._broken = True
        if self._out is not None:
            self._out.drop()
        peer, path = self._peer, self._path
        if peer is not None and path is not None:
            self._host.trace.note("reset", f"{self._local_name}>{self._peer_name}")
            path.carry(lambda: peer.break_off(errno.ECONNRESET))

    def _shut(self) -> None:
        self._closed = True
        self._read_watch.detach()
        self._write_watch.detach()
        if self._in is not None:
            self._in.close_receiver()
        self._host.forget(self)
        if self._has_descriptor:
            self._has_descriptor = False
            self._host.close_descriptor()


class VirtualListeningSocket:
    """A :class:`~actors.runtime.seam.ListeningSocket` on a simulated host; made by the network only."""

    def __init__(
        self, host: SocketHost, local_name: str, port: int, options: SocketOptions = PLAIN_OPTIONS
    ) -> None:
        host.open_descriptor()
        self._options = options
        self._host = host
        self._local_name = local_name
        self._port = port
        self._listening = False
        self._closed = False
        self._backlog: deque[VirtualStreamSocket] = deque()
        self._watch = _Watch(host, self, lambda: bool(self._backlog), lambda owner: owner.on_readable(self))

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
        """Refuse clients without giving up the port; those that wait are reset. Idempotent.

        Raises:
            OSError: ``EBADF``, it is closed.
        """
        self._require_open()
        self._turn_away()

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
