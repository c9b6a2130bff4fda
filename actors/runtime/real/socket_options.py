"""What the kernel is told of a stream socket."""

import socket
import struct
from typing import Final

from actors.runtime.descriptors import RESET_ON_CLOSE
from actors.runtime.seam import SocketOptions

ORDERLY_CLOSE: Final = struct.pack("ii", 0, 0)  # struct linger: off


def set_options(sock: socket.socket, options: SocketOptions, *, is_tcp: bool = True) -> None:
    """Apply what the kernel knows of ``options``; the TCP ones do not concern unix sockets.

    ``is_tcp`` is the caller's knowledge: to ask ``sock.family`` makes an enum of a number, in Python code.
    """
    if options.send_buffer_bytes is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, options.send_buffer_bytes)
    if options.receive_buffer_bytes is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options.receive_buffer_bytes)
    if options.urgent_in_line:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    if is_tcp:
        if options.reset_if_abandoned:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        if options.no_delay:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if options.not_sent_low_water_bytes is not None:
            low_water = options.not_sent_low_water_bytes
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, low_water)
        if options.keep_alive is not None:
            keep_alive = options.keep_alive
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, keep_alive.idle_s)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, keep_alive.interval_s)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, keep_alive.probes)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if options.max_segment_bytes is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, options.max_segment_bytes)
