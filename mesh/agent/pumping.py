"""Standard input and output carried over a socket, each way by itself: half-closed like a TCP connection."""

import contextlib
import os
import select
import socket
import threading
from typing import Final

CHUNK_BYTES: Final = 64 * 1024

_IN: Final = 0
_OUT: Final = 1


class CutError(Exception):
    """It has ended before its end; the text says how."""


class Witness:
    """Knows of a unix socket whether it has ended or was cut off, which look alike.

    Args:
        pipe: by which a byte comes if it has ended in order; ``NOBODY`` if the agent gives none.
    """

    NOBODY: Final = -1

    def __init__(self, pipe: int = NOBODY) -> None:
        self._pipe = pipe

    def saw_a_cut(self) -> bool:
        """Whether it was cut off; to be asked once, when nothing comes any more."""
        return self._pipe != self.NOBODY and not os.read(self._pipe, 1)


def pump(connected: socket.socket, witness: Witness) -> None:
    """Carry both ways until both have ended, or nobody is left to take or send anything.

    The output ends with the service's, and the service hears of the input's end. A terminal that waits for
    input while the service has finished is not waited for.

    Raises:
        CutError: one of them was cut off.
    """
    sending = _Sending(connected)
    sending.start()
    _receive(connected)
    if witness.saw_a_cut() or (_is_over(connected) and not sending.has_sent_all.is_set()):
        raise CutError("the connection was cut off")
    with contextlib.suppress(OSError):
        os.close(_OUT)
    if os.isatty(_IN):
        return
    sending.join()
    if not sending.has_sent_all.is_set():
        raise CutError("the service took only a part of standard input")


class _Sending(threading.Thread):
    """Sends what comes on standard input; ends with it, or when the socket is closed at its other end."""

    def __init__(self, connected: socket.socket) -> None:
        super().__init__(daemon=True)
        self._connected = connected
        self.has_sent_all = threading.Event()
        """The input has ended, and all of it has been sent."""

    def run(self) -> None:
        poll = select.poll()
        poll.register(_IN, select.POLLIN)
        poll.register(self._connected, 0)  # a hang-up is told in any case
        while True:
            ready = dict(poll.poll())
            if self._connected.fileno() in ready:
                return
            try:
                data = os.read(_IN, CHUNK_BYTES)
            except BlockingIOError:  # another program reads it, too
                continue
            except OSError:
                data = b""
            if not data:
                break
            try:
                self._connected.sendall(data)
            except OSError:
                return  # what has come is still to be read, and shows why
        self.has_sent_all.set()
        with contextlib.suppress(OSError):
            self._connected.shutdown(socket.SHUT_WR)


def _receive(connected: socket.socket) -> None:
    while True:
        try:
            data = connected.recv(CHUNK_BYTES)
        except OSError as error:
            raise CutError(f"the connection was cut off: {(error.strerror or str(error)).lower()}") from None
        if not data:
            return
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(_OUT, view) :]
            except BlockingIOError:  # whoever gave it to us has made it so
                select.select((), (_OUT,), ())
            except OSError as error:
                raise CutError(f"standard output: {(error.strerror or str(error)).lower()}") from None


def _is_over(connected: socket.socket) -> bool:
    """Whether the other end takes nothing more, either."""
    poll = select.poll()
    poll.register(connected, 0)
    return bool(poll.poll(0))
