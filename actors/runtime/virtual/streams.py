"""Connected sockets of the in-memory network, with the semantics of Linux's that an agent can notice."""

import errno
from collections.abc import Sequence
from typing import Protocol

from actors.runtime.seam import BytesLike, HangUp, SocketOptions, SocketOwner
from actors.runtime.virtual.clock import Trace
from actors.runtime.virtual.links import Link
from actors.runtime.virtual.os_error import os_error
from actors.runtime.virtual.pipe import Pipe
from actors.runtime.virtual.readiness import ReadinessWatch, TurnHost
from mesh.black_hole import PathFigures


class StreamHost(TurnHost, Protocol):
    """What a connected socket needs of the host that it is on."""

    trace: Trace

    def open_descriptor(self) -> None:
        """Count a descriptor; ``EMFILE`` if the host's limit is reached."""
        ...

    def close_descriptor(self) -> None:
        """Count one less."""
        ...

    def forget(self, socket: "VirtualStreamSocket") -> None:
        """``socket`` no longer takes part in any connection."""
        ...


class VirtualStreamSocket:
    """A :class:`~actors.runtime.seam.StreamSocket` on a simulated host; made by the network only."""

    def __init__(self, host: StreamHost, local_name: str, peer_name: str) -> None:
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
        self._read_watch = ReadinessWatch(host, self._is_readable, lambda owner: owner.on_readable(self))
        self._write_watch = ReadinessWatch(host, self._is_writable, lambda owner: owner.on_writable(self))

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
        if self._error:
            return HangUp.GONE
        is_unix = self._local_name.startswith("unix:")
        if is_unix and pipe.finished and (self._write_shut or self._outgoing().has_lost_receiver):
            return HangUp.LEFT
        # POLLERR ends once a call has taken the error; then both ends look as if they had finished.
        return HangUp.HALF_CLOSED if pipe.finished or self._broken else HangUp.NO

    def keep_unsent(self, byte_count: int) -> None:
        """Be writable only while less than this waits unsent."""
        self._outgoing().configure_sending(buffer_bytes=None, low_water_bytes=byte_count)

    def control_congestion(self, algorithm: str) -> bool:
        """No simulated path is congested by what is not sent by rate."""
        del algorithm
        return True

    def path_figures(self) -> PathFigures | None:
        """Nothing: there is no kernel."""
        return None

    def say_with_witness(self, words: bytes) -> bool:
        """No simulated host has unix sockets."""
        del words
        return False

    def shutdown_write(self) -> None:
        """Finish sending (FIN); reading goes on."""
        if not (self._closed or self._write_shut or self._broken):
            self._write_shut = True
            self._outgoing().finish()

    def finish(self) -> None:
        """Close in order: there is no witness to tell."""
        self.close()

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
            both_have_finished = self._out.end_sent and self._in is not None and self._in.finished
            self._out.drop()
            if both_have_finished:
                return  # there is no connection any more: tcp_need_reset()
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
