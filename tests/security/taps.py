"""Somebody on the wire between two agents: passes bytes on, keeps them, and may change them."""

import contextlib
import socket
import threading

from scripts.lab.ports import LOOPBACK

PIECE_BYTES = 65536


class Tap:
    """Passes connections to its port on to ``target_port`` of loopback.

    Args:
        change: is given each piece that goes towards the target, and says what goes on instead.
    """

    def __init__(self, target_port, change=None):
        self._target_port = target_port
        self.change = change
        self.up = []
        """Pieces on their way to the target, as they were sent."""
        self.down = []
        self._listening = socket.create_server((LOOPBACK, 0))
        self.port = self._listening.getsockname()[1]
        self._sockets = [self._listening]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self):
        """Break the connections that there are; new ones are passed on as before."""
        for each in self._sockets[1:]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                try:
                    far = socket.create_connection((LOOPBACK, self._target_port))
                except ConnectionRefusedError:  # the agent is not there yet; who dialed comes again
                    near.close()
                    continue
                self._sockets += [near, far]
                for source, sink, kept in ((near, far, self.up), (far, near, self.down)):
                    source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    threading.Thread(target=self._pass_on, args=(source, sink, kept), daemon=True).start()

    def _pass_on(self, source, sink, kept):
        with contextlib.suppress(OSError):
            while piece := source.recv(PIECE_BYTES):
                kept.append(piece)
                if self.change is not None and kept is self.up:
                    piece = self.change(piece)
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
