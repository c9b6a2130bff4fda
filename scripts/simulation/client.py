"""A client of a simulated mesh: it holds one conversation, at its own pace."""

import enum
from typing import Any

from actors.runtime.actor import Actor
from actors.runtime.seam import Connected, ConnectFailed, Dispatcher
from mesh.addresses import SocketAddress
from scripts.simulation.conversation import HEADER, Heard, Pace, Terms
from scripts.simulation.talk import Talk


class Cue(enum.Enum):
    """What a client has put off."""

    MORE = "more"
    READ = "read"
    LEAVE = "leave"


class Client(Actor[Any]):
    """One client: connects, sends, listens, and is gone."""

    def __init__(
        self, dispatcher: Dispatcher, *, address: SocketAddress, terms: Terms, pace: Pace, heard: Heard
    ) -> None:
        super().__init__(dispatcher)
        self.address = address
        self.terms = terms
        self.pace = pace
        self.heard = heard
        self.talk: Talk | None = None

    def on_start(self) -> None:
        """Connect."""
        self.dispatcher.connect(self.ref, self.address, 1, self.pace.options)
        if self.pace.leaves_at >= 0:
            self.schedule(self.pace.leaves_at, Cue.LEAVE)

    def on_receive(self, message: Any) -> None:
        """A connect has ended, or it is time for something."""
        talk = self.talk
        match message:
            case Connected(socket=socket):
                self._connected(self.own(socket))
            case ConnectFailed(error_number=number):
                self.heard.refused = number
                self.heard.finished_at = self.now()
                self.stop_now()
            case Cue.MORE if talk is not None and not talk.heard.is_over:
                talk.may_send = min(talk.may_send + self.pace.byte_count, len(talk.outgoing))
                talk.pump()
                if talk.may_send < len(talk.outgoing):
                    self.schedule(self.pace.pause_s, Cue.MORE)
                self._stop_if_over()
            case Cue.READ if talk is not None and not talk.heard.is_over:
                talk.socket.watch_read(True)
            case Cue.LEAVE:
                if talk is not None:
                    talk.leave()
                else:
                    self.heard.left = True
                    self.heard.finished_at = self.now()
                self.stop_now()

    def _connected(self, socket: Any) -> None:
        talk = self.talk = Talk(self, socket, self.heard)
        talk.expected = self.terms.answer
        talk.finishing = self.pace.finishes
        if self.pace.resets_after >= 0:
            talk.aborts_at = self.pace.resets_after
        talk.send(self.terms.request)
        if self.pace.last_words:
            talk.may_send = HEADER.size
        elif self.pace.byte_count:
            talk.may_send = min(self.pace.byte_count, len(talk.outgoing))
            if talk.may_send < len(talk.outgoing):
                self.schedule(self.pace.pause_s, Cue.MORE)
        if self.pace.reads_at > 0:
            self.schedule(self.pace.reads_at, Cue.READ)
        else:
            socket.watch_read(True)
        talk.pump()

    def on_readable(self, socket: Any) -> None:
        """Bytes have come."""
        talk = self.talk
        if talk is not None:
            talk.read()
            if self.pace.last_words and self.heard.byte_count == self.terms.down:
                talk.may_send = len(talk.outgoing)
                talk.pump()
                talk.leave()
            elif self.heard.ended and not talk.finishing:
                talk.finishing = True
                talk.pump()
            self._stop_if_over()

    def on_writable(self, socket: Any) -> None:
        """There is room to go on."""
        if self.talk is not None:
            self.talk.pump()
            self._stop_if_over()

    def _stop_if_over(self) -> None:
        if self.heard.is_over:
            self.stop_now()
