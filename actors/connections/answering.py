"""The exit end of a connection, as far as it hands early data over and gives the target time to answer it."""

import errno
from abc import abstractmethod
from collections import deque
from typing import Generic, TypeVar

from actors.connections.introducing import IntroducingEnd
from actors.connections.local_socket import Break
from actors.runtime.seam import StreamSocket
from mesh.connection import exit_effects as effects
from mesh.connection.exit_opening import ExitOpening
from mesh.connection.exit_states import ExitState
from mesh.connection.stream import Effects

M = TypeVar("M")


class AnsweringEnd(IntroducingEnd[M], Generic[M]):
    """Tells the target what came with the OPEN; the subclass answers that as its opening says."""

    __slots__ = ("_first_window_bytes", "_handed_bytes", "_opening")

    _opening: ExitOpening
    _first_window_bytes: int
    """Taken from the budget for this connection; to be released by the stream once there is one."""

    @abstractmethod
    def _do(self, wanted: effects.ExitEffects) -> None:
        """Do what the opening asks for, and keep its time."""

    def _target_reached(self, socket: StreamSocket, tag: bytes) -> None:
        """The target has accepted on ``socket``, whose tag this is."""
        wants_client = self._wants_client(tells_client=self._opening.tells_client)
        early, credit, now = self._opening.early, self._first_window_bytes, self.now()
        if not early or wants_client:  # who connects is said before all else
            self._do(self._opening.reached(tag, credit, now, wants_client=wants_client))
            return
        try:
            self._handed_bytes = socket.send(deque((early,)))
        except BlockingIOError:
            pass
        except OSError as error:
            # A target may answer and reset at once. What it has said is read out, then its reset passed on.
            self._break = Break.HIDDEN if error.errno == errno.ECONNRESET else Break.SHOWN
        self._meters.bytes_received += self._handed_bytes
        self._key_meter.received_bytes += self._handed_bytes
        self._watch_read(True)
        self._do(self._opening.handed_over(tag, credit, now))
        if self._break is not Break.NONE:
            self._answer_now()
            self._broke(self._break)

    def _readable_while_opening(self) -> None:
        """The target, which has been told something, answers."""
        socket = self._socket
        if socket is None or self._opening.state is not ExitState.ANSWERING:
            return
        buffer = self._dispatcher.read_buffer
        room = self._opening.answer_room
        try:
            count = socket.recv_into(buffer[:room])
        except BlockingIOError:
            return
        except OSError:
            self._answer_now()
            self._local_reset([])  # reading has taken the error away
            return
        self._has_spoken = True
        self._meters.bytes_sent += count
        self._key_meter.sent_bytes += count
        self._do(self._opening.answered(bytes(buffer[:count]), self.now()))
        if count in (0, room):
            self.on_readable(socket)

    def _answer_now(self) -> None:
        """Something else has happened: do not wait for the target's words."""
        self._do(self._opening.answered(b"", self.now()))

    def _began_early(self, accept: effects.Accept) -> None:
        """The stream has begun: account for what OPEN and ACCEPT have carried."""
        stream, now = self._stream, self.now()
        if stream is None or not accept.early:
            return
        stream.began_early(accept.early, now)
        if accept.said:
            stream.send(accept.said, now)  # sealed to be repeated; the answer has it
        self._send(stream.delivered(self._handed_bytes, now).frames)
        rest = accept.early[self._handed_bytes :]
        if rest:
            effects = Effects()
            effects.delivered.append(rest)
            self._apply(effects)
