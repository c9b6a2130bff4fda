"""The users of a simulated mesh: a service that answers, clients that ask; both check every byte they hear.

A conversation starts with a header from the client, then each side sends as many bytes as agreed. What they
are follows from the conversation's number, so either side knows what it must hear, and that nothing less than
all of it may come before an end of stream.
"""

import enum
import functools
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from actors.runtime.actor import Actor
from actors.runtime.seam import Connected, ConnectFailed, Dispatcher, HangUp, SocketOptions, StreamSocket
from mesh.addresses import SocketAddress

_HEADER: Final = struct.Struct(">QIIBI")

READ_BYTES: Final = 64 * 1024


class Manner(enum.IntEnum):
    """How the service behaves."""

    AT_ONCE = 0
    """It answers while it listens."""
    AFTER_END = 1
    """It answers once the client has finished."""
    RESET = 2
    """It resets once it has heard ``turning`` bytes."""
    FINISH_FIRST = 3
    """It answers and finishes, and listens on."""
    SILENT = 4
    """It listens until the client has finished and says nothing before."""
    LAST_WORDS = 5
    """It answers and resets at once."""


class Terms(msgspec.Struct, frozen=True):
    """What a conversation is to be."""

    number: int
    up: int = 0
    """Bytes from the client, after the header."""
    down: int = 0
    """Bytes from the service."""
    manner: Manner = Manner.AT_ONCE
    turning: int = 0

    @property
    def request(self) -> bytes:
        """All that the client sends."""
        header = _HEADER.pack(self.number, self.up, self.down, self.manner, self.turning)
        return header + pattern(self.number, "up", self.up)

    @property
    def answer(self) -> bytes:
        """All that the service sends."""
        return pattern(self.number, "down", self.down)


@functools.lru_cache(maxsize=64)
def pattern(number: int, direction: str, size: int) -> bytes:
    """Bytes that no other conversation has."""
    return random.Random(f"{number} {direction}").randbytes(size)  # noqa: S311 -- to be repeated, not secret


@dataclass(slots=True, eq=False)
class Heard:
    """What one side of a conversation has met; ``wrong`` and ``cut_short`` must never be."""

    byte_count: int = 0
    wrong: bool = False
    """A byte that the other side did not send, or not there."""
    ended: bool = False
    """The end of the stream."""
    cut_short: bool = False
    """The end of the stream, before all that was to come."""
    error: int = 0
    """``errno`` of a broken stream."""
    refused: int = 0
    """``errno`` of a connect that failed."""
    sent: int = 0
    """Bytes that the socket took."""
    finished_at: float = -1.0
    """When both directions had ended, or the stream was found broken."""
    left: bool = False
    """This side gave the conversation up itself."""

    @property
    def is_over(self) -> bool:
        """Nothing more will happen here."""
        return self.finished_at >= 0.0

    @property
    def is_complete(self) -> bool:
        """Both directions ended in order."""
        return self.is_over and self.ended and not (self.error or self.refused or self.left)


class Talk:
    """One side of one conversation, on one socket."""

    def __init__(self, actor: Actor[Any], socket: StreamSocket, heard: Heard) -> None:
        self.actor = actor
        self.socket = socket
        self.heard = heard
        self.expected: bytes | None = None
        self.outgoing = memoryview(b"")
        self.may_send = 0
        self.finishing = False
        self.half_closed = False
        self.aborts_at: int | None = None

    def send(self, data: bytes) -> None:
        """Send all of ``data``, as there is room."""
        self.outgoing = memoryview(data)
        self.may_send = len(data)

    def pump(self) -> None:
        """Go on sending; half-close behind the last byte where that is wanted."""
        heard = self.heard
        while heard.sent < self.may_send and not heard.is_over:
            try:
                heard.sent += self.socket.send([self.outgoing[heard.sent : self.may_send]])
            except BlockingIOError:
                self.socket.watch_write(True)
                return
            except OSError as error:
                self.broken(error.errno or -1)
                return
        if heard.is_over:
            return
        self.socket.watch_write(False)
        if heard.sent == len(self.outgoing) and self.finishing and not self.half_closed:
            self.half_closed = True
            self.socket.shutdown_write()
            self.over_if_ended()

    def read(self) -> None:
        """Take what has arrived and compare it."""
        heard, buffer = self.heard, self.actor.dispatcher.read_buffer
        try:
            count = self.socket.recv_into(buffer[:READ_BYTES])
        except BlockingIOError:
            return
        except OSError as error:
            self.broken(error.errno or -1)
            return
        if count == 0:
            heard.ended = True
            heard.cut_short = self.expected is None or heard.byte_count != len(self.expected)
            self.socket.watch_read(False)
            self.over_if_ended()
            return
        taken = bytes(buffer[:count])
        self.take(taken)
        if self.aborts_at is not None and heard.byte_count >= self.aborts_at:
            self.leave()

    def take(self, data: bytes) -> None:
        """Compare bytes."""
        heard = self.heard
        if self.expected is None or self.expected[heard.byte_count : heard.byte_count + len(data)] != data:
            heard.wrong = True
        heard.byte_count += len(data)

    def leave(self) -> None:
        """Reset."""
        if not self.heard.is_over:
            self.heard.left = True
            self.socket.abort()
            self._over()

    def broken(self, number: int) -> None:
        """The stream is broken."""
        self.heard.error = number
        self.socket.close()
        self._over()

    def over_if_ended(self) -> None:
        """Close where both directions have ended."""
        if self.heard.ended and self.half_closed and not self.heard.is_over:
            self.socket.close()
            self._over()

    def _over(self) -> None:
        self.heard.finished_at = self.actor.now()
        self.actor.disown(self.socket)


class ServiceTalk(Talk):
    """The service's side: it learns the terms from the header."""

    def __init__(
        self, actor: Actor[Any], socket: StreamSocket, heard: Heard, on_terms: Callable[[Terms, Heard], None]
    ) -> None:
        super().__init__(actor, socket, heard)
        self.head = b""
        self.on_terms = on_terms
        self.terms: Terms | None = None

    @property
    def is_open(self) -> bool:
        """Whether somebody converses at the other end, as far as can be seen without reading."""
        if self.terms is None or self.heard.is_over:
            return False
        hung_up = self.socket.hung_up()
        return hung_up is HangUp.NO or (hung_up is HangUp.HALF_CLOSED and not self.half_closed)

    def take(self, data: bytes) -> None:
        """Compare bytes; the first ones say what to compare them with."""
        if self.terms is None:
            self.head += data
            if len(self.head) < _HEADER.size:
                return
            number, up, down, manner, turning = _HEADER.unpack(self.head[: _HEADER.size])
            if manner not in Manner.__members__.values():
                self.heard.wrong = True
                self.leave()
                return
            data, self.head = self.head, b""
            self.terms = Terms(number, up, down, Manner(manner), turning)
            self.expected = self.terms.request
            self.on_terms(self.terms, self.heard)
            if self.terms.manner in (Manner.AT_ONCE, Manner.FINISH_FIRST, Manner.LAST_WORDS):
                self._answer()
            if self.terms.manner is Manner.LAST_WORDS:
                self.leave()
        super().take(data)
        if self.terms.manner is Manner.RESET and self.heard.byte_count >= self.terms.turning:
            self.leave()

    def read(self) -> None:
        """Take what has arrived, and answer where it was the last."""
        super().read()
        terms = self.terms
        if not self.heard.ended or self.heard.is_over:
            return
        if terms is None:
            # A client that said nothing: its end of stream is answered by one.
            self.heard.cut_short = False
            self.finishing = True
        elif terms.manner in (Manner.AFTER_END, Manner.SILENT, Manner.RESET):
            self._answer()
        else:
            self.finishing = True
        self.pump()

    def _answer(self) -> None:
        terms = self.terms
        if terms is not None:
            self.send(terms.answer)
            self.finishing = self.heard.ended or terms.manner is Manner.FINISH_FIRST
            self.pump()


class Service(Actor[Any]):
    """Takes every client on one address."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        address: SocketAddress,
        options: SocketOptions,
        records: "dict[int, Heard]",
        silent: "list[Heard]",
    ) -> None:
        super().__init__(dispatcher)
        self.address = address
        self.options = options
        self.records = records
        self.silent = silent
        self.talks: dict[Any, ServiceTalk] = {}
        self.reads = True
        self.most_at_once = 0
        """Conversations that were open at one time."""

    def on_start(self) -> None:
        """Listen."""
        self.listener = self.own(self.dispatcher.bind(self.address, self.options))
        self.listener.listen()
        self.listener.watch_read(True)

    def on_receive(self, message: Any) -> None:
        """A boolean says whether to read from now on; ``None`` is a sudden death."""
        if message is None:
            for socket in self.talks:
                socket.abort()
            self.stop_now()
            return
        self.reads = message
        for socket, talk in self.talks.items():
            if not talk.heard.is_over:
                socket.watch_read(message)

    def on_readable(self, socket: Any) -> None:
        """A client has come, or bytes of one."""
        if socket is self.listener:
            client = self.own(socket.accept())
            heard = Heard()
            self.silent.append(heard)
            self.talks[client] = ServiceTalk(self, client, heard, self._terms_known)
            client.watch_read(self.reads)
            return
        talk = self.talks[socket]
        talk.read()
        self._tidy(socket, talk)

    def on_writable(self, socket: Any) -> None:
        """There is room to go on."""
        talk = self.talks[socket]
        talk.pump()
        self._tidy(socket, talk)

    def _tidy(self, socket: Any, talk: Talk) -> None:
        if talk.heard.is_over:
            del self.talks[socket]

    def _terms_known(self, terms: Terms, heard: Heard) -> None:
        self.silent.remove(heard)
        if terms.number in self.records:
            heard.wrong = True  # one client, yet two connections to the service
        self.records[terms.number] = heard
        at_once = sum(talk.is_open for talk in self.talks.values())
        self.most_at_once = max(self.most_at_once, at_once)


class Pace(msgspec.Struct, frozen=True):
    """How a client goes about its conversation."""

    byte_count: int = 0
    """Send so many at a time; 0 sends all at once."""
    pause_s: float = 0.0
    """Wait so long between two."""
    reads_at: float = 0.0
    """Seconds after connecting at which it begins to read."""
    leaves_at: float = -1.0
    """Seconds after the start at which it resets; negative: never."""
    resets_after: int = -1
    """Bytes heard after which it resets; negative: never."""
    last_words: bool = False
    """Send nothing but the header until the service has answered; then all the rest, and reset at once."""
    finishes: bool = True
    """Half-close behind the last byte; else once the service has finished."""
    options: SocketOptions = SocketOptions()


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
            talk.may_send = _HEADER.size
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


@dataclass(slots=True, eq=False)
class Conversation:
    """A client and what came of it; the service's side stands under the terms' number."""

    terms: Terms
    pace: Pace
    heard: Heard = field(default_factory=Heard)
