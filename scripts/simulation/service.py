"""A service of a simulated mesh: it takes every client, and answers as the client's terms say."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from actors.runtime.actor import Actor
from actors.runtime.seam import Dispatcher, HangUp, SocketOptions, StreamSocket
from mesh.addresses import SocketAddress
from scripts.simulation.conversation import HEADER, NUMBER, Heard, Manner, Terms
from scripts.simulation.talk import Talk


class ServiceTalk(Talk):
    """The service's side: it learns the terms from the header."""

    def __init__(
        self,
        actor: Actor[Any],
        socket: StreamSocket,
        heard: Heard,
        met: Counter[int],
        on_terms: Callable[[Terms, Heard], None],
    ) -> None:
        super().__init__(actor, socket, heard)
        self.head = b""
        self.met = met
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
            was_known = len(self.head) >= NUMBER.size
            self.head += data
            if len(self.head) >= NUMBER.size and not was_known:
                self.met[NUMBER.unpack_from(self.head)[0]] += 1
            if len(self.head) < HEADER.size:
                return
            number, up, down, manner, turning = HEADER.unpack(self.head[: HEADER.size])
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
            if self.terms.manner is Manner.IN_STEP:
                self.outgoing = memoryview(self.terms.answer)
            if self.terms.manner is Manner.LAST_WORDS:
                self.leave()
        super().take(data)
        if self.terms.manner is Manner.IN_STEP:
            self.may_send = min(self.heard.byte_count, len(self.outgoing))
            self.pump()
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
        elif terms.manner in (Manner.AFTER_END, Manner.SILENT, Manner.RESET, Manner.IN_STEP):
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
    """Takes every client on one address of ``host``."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        address: SocketAddress,
        options: SocketOptions,
        records: "dict[int, Heard]",
        silent: "list[Heard]",
        met: Counter[int],
        host: str,
    ) -> None:
        super().__init__(dispatcher)
        self.address = address
        self.options = options
        self.records = records
        self.silent = silent
        self.met = met
        self.host = host
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
            heard = Heard(host=self.host)
            self.silent.append(heard)
            self.talks[client] = ServiceTalk(self, client, heard, self.met, self._terms_known)
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
        self.records[terms.number] = heard
        at_once = sum(talk.is_open for talk in self.talks.values())
        self.most_at_once = max(self.most_at_once, at_once)
