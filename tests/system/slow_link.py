"""A thin line between two agents: a TCP proxy that passes on so many bytes a second, each way."""

import contextlib
import socket
import threading
import time

from scripts.lab.ports import LOOPBACK

BUFFER_BYTES = 64 * 1024
"""Of its sockets: a line holds little, so what is too much for it waits in the agent."""
PIECE_BYTES = 16 * 1024


class SlowLink:
    """Passes connections to its port on to ``target_port`` of loopback, each at ``bytes_per_s`` each way."""

    def __init__(self, target_port, bytes_per_s, buffer_bytes=BUFFER_BYTES):
        self._buffer_bytes = buffer_bytes
        self._target_port = target_port
        self._bytes_per_s = bytes_per_s
        self._closed = threading.Event()
        self._sockets = []
        self._listening = self._with_small_buffers()
        self._listening.bind((LOOPBACK, 0))
        self._listening.listen()
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _with_small_buffers(self):
        made = socket.socket()
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            made.setsockopt(socket.SOL_SOCKET, option, self._buffer_bytes // 2)  # the kernel doubles it
        self._sockets.append(made)
        return made

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                self._sockets.append(near)
                far = self._with_small_buffers()
                try:
                    far.connect((LOOPBACK, self._target_port))
                except ConnectionRefusedError:  # the agent is not there yet; who dialed comes again
                    near.close()
                    continue
                for source, sink in ((near, far), (far, near)):
                    source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source, sink):
        """Each piece takes its time on the line, and nothing passes it there."""
        free_at = time.monotonic()
        with contextlib.suppress(OSError):
            while piece := source.recv(PIECE_BYTES):
                free_at = max(free_at, time.monotonic()) + len(piece) / self._bytes_per_s
                if self._closed.wait(max(free_at - time.monotonic(), 0.0)):
                    return
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)

    def close(self):
        """End all connections."""
        self._closed.set()
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()
