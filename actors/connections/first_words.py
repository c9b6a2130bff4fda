"""The ingress end of a connection, as far as it hears its client before there is an exit.

What the client says at once goes along with the OPEN, if there is room for all of it. It is waited for a
moment, if those before it have spoken in time; then the client is not read until an exit is chosen, and its
hang-up is looked for.
"""

from abc import abstractmethod
from typing import Generic, TypeVar

from actors.connections.connection_end import ConnectionEnd
from actors.messages import connection as messages
from actors.runtime.seam import StreamSocket
from mesh.connection.early_data import LEAST_WAIT_S, first_words_wait_s
from mesh.connection.endings import Ending
from mesh.connection.ingress_effects import ExitChosen, IngressEffects
from mesh.connection.ingress_opening import IngressOpening
from mesh.connection.offer import Offer
from mesh.connection.opening_payloads import MAX_EARLY_BYTES
from mesh.connection.preface import encode_preface
from mesh.connection.stream import ResetCode

M = TypeVar("M")


class HearingEnd(ConnectionEnd[M], Generic[M]):
    """Reads its client for the opening, which the subclass makes and obeys."""

    __slots__ = ("_clients", "_is_gone", "_opening")

    _opening: IngressOpening

    def _hear_nobody(self) -> None:
        """There is no client yet; before anything else."""
        self._clients: messages.Clients | None = None
        """Where the client counts, as soon as there is one."""
        self._is_gone = False
        """Reading has shown that the client has been reset."""

    @abstractmethod
    def _do(self, effects: IngressEffects) -> None:
        """Do what the opening asks for, and keep its time."""

    def _first_words(
        self, socket: StreamSocket, clients: messages.Clients, first: Offer
    ) -> tuple[bytes, float]:
        """What the client has said by now, and for how many seconds to wait for something, if it is nothing.

        Args:
            socket: the client's.
            clients: of the same listener.
            first: the candidate that is to be tried.
        """
        if not (clients.takes_early and self._settings.heard.is_there(first.party, self.now())):
            return b"", 0.0
        try:
            said = self._read_words(socket)
        except BlockingIOError:
            if not clients.habit.is_worth_waiting():
                return b"", 0.0
            self._watch_read(True)
            return b"", first_words_wait_s(first.rtt_s)
        except OSError:
            self._is_gone = True
            return b"", LEAST_WAIT_S  # in which nobody is asked
        if said:
            clients.habit.spoke()
        return said, 0.0

    def _read_words(self, socket: StreamSocket) -> bytes:
        """Read what the client has said, or its end; that is found again.

        Raises:
            BlockingIOError: it has said nothing yet.
            OSError: it has been reset.
        """
        buffer = self._dispatcher.read_buffer
        count = socket.recv_into(buffer[:MAX_EARLY_BYTES])
        self._heard_bytes(count)
        return bytes(buffer[:count])

    def _what_follows(self, socket: StreamSocket, most: int) -> bytes:
        """More of what the client has said by now: sent together, it reaches the target together."""
        buffer = self._dispatcher.read_buffer[:most]
        try:
            count = socket.recv_into(buffer) if buffer else 0
        except BlockingIOError:
            return b""
        except OSError:
            self._is_gone = True
            return b""
        self._heard_bytes(count)
        return bytes(buffer[:count])

    def _heard_bytes(self, count: int) -> None:
        self._meters.bytes_sent += count
        self._key_meter.sent_bytes += count

    def _readable_while_opening(self) -> None:
        """The client, who was waited for, has said something."""
        if self._socket is None or not self._opening.listens:
            return
        try:
            said = self._read_words(self._socket)
        except BlockingIOError:
            return
        except OSError:
            self._local_reset([])
            return
        if said and self._clients is not None:
            self._clients.habit.spoke()
        self._watch_read(False)
        self._do(self._opening.client_said(said, self.now()))

    def _opening_deadline_reached(self, now: float) -> None:
        listened = self._opening.listens
        effects = self._opening.timeout(now)
        if listened and not self._opening.listens:
            self._watch_read(False)
            if self._clients is not None:
                self._clients.habit.was_silent()
        self._do(effects)

    def _carry_on(self, choice: ExitChosen) -> None:
        """The stream has begun: account for what OPEN and ACCEPT have carried, and send what follows."""
        stream = self._stream
        if stream is None:
            return
        taken_bytes, unsent = choice.taken_bytes, choice.unsent
        if taken_bytes or choice.answer:
            self._apply(stream.accepted(taken_bytes, choice.answer, self.now()))
        socket = self._socket
        if socket is None:
            return
        if choice.wants_client:
            unsent = encode_preface(socket.peer_name, socket.local_name) + unsent
        if taken_bytes + len(unsent) > choice.credit or (choice.wants_client and taken_bytes):
            self._end_as(Ending.LOST, "the exit takes too few bytes to begin with, or not in their order")
            self._local_reset([], ResetCode.PROTOCOL_ERROR)
            return
        if len(choice.unsent) == MAX_EARLY_BYTES:  # likely, not all that the client has said
            unsent += self._what_follows(socket, choice.credit - len(unsent))
        if unsent:
            self._send(stream.send(unsent, self.now()).frames)
        # The exit waits for a sealed frame, to know that it was chosen. Most clients have spoken by now, and
        # what they said serves; asking for an answer would cost two frames more. A short request has been
        # read whole: what else there is makes the socket readable.
        if 0 < taken_bytes + len(choice.unsent) < MAX_EARLY_BYTES:
            if unsent:  # else what came of the answer is settled
                self._settle()
        elif self._is_gone:
            self._local_reset([])
        else:
            self.on_readable(socket)
        if stream.sent_bytes == 0 and not choice.answer:
            self._send(stream.confirm(self.now()).frames)
            self._settle()
