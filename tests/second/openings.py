"""How connections open at either end, as section 8 of docs/PROTOCOL.md has it."""

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.second.connections import Connection, reset_socket
from tests.second.frames import Frame, Type
from tests.second.halves import INITIAL_WINDOW_BYTES
from tests.second.pairs import EXIT_GRACE_S, PAIR_AGE_S, SHORT, Pair, Pairs, Short
from tests.second.records import Records
from tests.second.session import Answer, Arrival, Asked, Name, Opening, Session
from tests.second.session_keys import Statics
from tests.second.stream import HOP_LIMIT, Stream
from tests.second.wire import ProtocolError, matches

FIRST_REPEAT_S: Final = 0.25
MAX_REPEAT_S: Final = 2.0
OPEN_TIMEOUT_S: Final = 10.0
CANDIDATE_PATIENCE_S: Final = 2.0
REJECT_LINGER_S: Final = 1.0
MAX_FOLLOWING: Final = 64

Address = tuple[str, int]
Accepted = tuple[Name, Answer, Session, list[Frame]]
"""An answer, and the frames that came right behind it."""
Table = dict[tuple[bytes, bytes, int], Connection]
"""Connections by ingress, exit and number."""


class ShortOpening:
    """As :class:`Opening`, under a pair session."""

    def __init__(self, short: Short, asked: Asked) -> None:
        self.body = short.open_body(asked)
        self.read_answer = short.read_answer


class ShortArrival:
    """As :class:`Arrival`, under a pair session."""

    def __init__(self, short: Short, body: bytes) -> None:
        self.asked = short.read_open(body)
        self.answer = short.answer


AnyOpening = Opening | ShortOpening


class RejectedError(Exception):
    """No exit serves the client; the text is the last code."""


@dataclass(frozen=True)
class Local:
    """What both ends need of their agent."""

    id: bytes
    instance: bytes
    session_key: bytes = field(repr=False)
    records: Records
    transmit: Callable[[Frame], None]
    clock: Callable[[], float]
    start: Callable[[Coroutine[None, None, None]], None]
    table: Table

    def stream(self, session: Session, is_ingress: bool, credit: int) -> Stream:
        return Stream(session, is_ingress, credit, self.transmit, self.clock)

    async def carry(self, name: Name, connection: Connection) -> None:
        key = (name.ingress, name.exit, name.number)
        self.table[key] = connection
        try:
            await connection.run()
        finally:
            del self.table[key]


def socket_tag(ingress_instance: bytes, own: Address, target: Address) -> bytes:
    """8 bytes that tell an ingress which socket leads to a target."""
    texts = [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in (own, target)]
    text = " ".join(texts).encode()
    return hashlib.blake2b(text, digest_size=8, key=ingress_instance, person=b"mesh socket").digest()


def waits() -> Iterator[float]:
    """Seconds between repetitions, for ever."""
    wait = FIRST_REPEAT_S
    while True:
        yield wait
        wait = min(2 * wait, MAX_REPEAT_S)


class Exit:
    """Serves OPENs."""

    def __init__(self, local: Local, endpoints: dict[str, Address]) -> None:
        self._local = local
        self._endpoints = endpoints
        self._answers: dict[tuple[bytes, int], tuple[bytes, list[Frame]]] = {}
        self._used: set[tuple[bytes, int]] = set()
        self._pairs = Pairs(local.clock)
        self.shorts = 0
        """Connections that others have opened under pair sessions."""

    def open_arrived(self, frame: Frame) -> None:
        local = self._local
        key = (frame.source, frame.connection)
        if key in self._answers:
            body, answers = self._answers[key]
            if body == frame.body:
                for answer in answers:
                    local.transmit(answer)
            return
        record = local.records.live().get(frame.source)
        if record is None or frame.source not in local.records.paths():
            return
        ingress_instance, exit_instance = frame.body[:16], frame.body[16:32]
        pair = self._pairs.find(frame.source, frame.body[32:48]) if frame.number == SHORT else None
        used = (ingress_instance, frame.connection)
        if (
            ingress_instance != record.statement.instance
            or exit_instance != local.instance
            or frame.connection < 1
            or used in self._used
        ):
            return
        name = Name(frame.source, local.id, frame.connection, ingress_instance, exit_instance)
        if frame.number == SHORT and (pair is None or pair.ingress_instance != ingress_instance):
            back = Frame(Type.UNKNOWN, b"", local.id, frame.source, frame.connection, 0, True, HOP_LIMIT)
            local.transmit(back)
            return
        with contextlib.suppress(ProtocolError):  # dropped, unanswered
            arrival: Arrival | ShortArrival
            if pair is None:
                arrival = Arrival(name, local.session_key, record.statement.session_key, frame.body)
            else:
                statics = Statics(local.session_key, record.statement.session_key)
                arrival = ShortArrival(Short(name, pair, statics, is_ingress=False), frame.body)
                self.shorts += 1
            self._used.add(used)
            self._answers[key] = frame.body, []
            local.start(self._serve(name, arrival, record.grants.may_use))

    async def _serve(self, name: Name, arrival: Arrival | ShortArrival, may_use: tuple[str, ...]) -> None:
        try:
            await self._connect(name, arrival, may_use)
        except RejectedError as rejected:
            body, _ = arrival.answer(Answer(False, 0, str(rejected), "the second implementation says so"))
            self._answer(name, arrival, Type.REJECT, body)
            await asyncio.sleep(REJECT_LINGER_S)
        finally:
            del self._answers[name.ingress, name.number]

    async def _connect(self, name: Name, arrival: Arrival | ShortArrival, may_use: tuple[str, ...]) -> None:
        try:
            asked = arrival.asked
        except ProtocolError:
            raise RejectedError("malformed") from None
        if not matches(may_use, asked.routing_key):
            raise RejectedError("not-permitted")
        target = self._endpoints.get(asked.routing_key)
        if target is None:
            raise RejectedError("unknown-key")
        try:
            reader, writer = await asyncio.open_connection(*target)
        except OSError:
            raise RejectedError("refused") from None
        tag = socket_tag(
            name.ingress_instance, *(writer.get_extra_info(each)[:2] for each in ("sockname", "peername"))
        )
        keeps_pair = isinstance(arrival, Arrival) and asked.wants_pair
        accepting = Answer(True, INITIAL_WINDOW_BYTES, "", "", tag, renews_keys=True, keeps_pair=keeps_pair)
        body, session = arrival.answer(accepting)
        if isinstance(arrival, Arrival) and keeps_pair:
            pair = Pair(arrival.secret, name.ingress_instance, name.exit_instance)
            self._pairs.keep(name.ingress, pair.name, pair, PAIR_AGE_S + EXIT_GRACE_S)
        stream = self._local.stream(session, False, asked.credit)
        accept = self._answer(name, arrival, Type.ACCEPT, body)
        connection = Connection(stream, reader, writer)
        self._local.start(self._repeat(accept, connection))
        await self._local.carry(name, connection)

    def _answer(self, name: Name, arrival: Arrival | ShortArrival, kind: Type, body: bytes) -> Frame:
        form = SHORT if isinstance(arrival, ShortArrival) else 0
        frame = Frame(kind, body, name.exit, name.ingress, name.number, form, True, HOP_LIMIT)
        self._answers[name.ingress, name.number][1].append(frame)
        self._local.transmit(frame)
        return frame

    async def _repeat(self, accept: Frame, connection: Connection) -> None:
        """Until the connection is confirmed; what nobody confirms ends."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                for wait in waits():
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(connection.confirmed.wait(), wait)
                        return
                    self._local.transmit(accept)
        connection.stream.give_up()


class Ingress:
    """Opens connections for clients."""

    def __init__(self, local: Local) -> None:
        self._local = local
        self._numbered = 0
        self._waiting: dict[int, tuple[AnyOpening, asyncio.Future[tuple[Answer, Session]], list[Frame]]] = {}
        self._pairs = Pairs(local.clock)
        self.shorts = 0
        """Connections that were opened under pair sessions."""

    def has_asked(self, number: int) -> bool:
        """Whether an exit has yet to answer."""
        return number in self._waiting

    def answer_arrived(self, frame: Frame) -> None:
        """An answer, or what follows it at once; what comes before it is dropped, and the exit repeats it."""
        opening, answered, following = self._waiting[frame.connection]
        if answered.done() and len(following) < MAX_FOLLOWING:
            following.append(frame)
        if frame.type not in {Type.ACCEPT, Type.REJECT}:
            return
        with contextlib.suppress(ProtocolError):  # it changes nothing
            answer = opening.read_answer(frame.body, frame.type == Type.ACCEPT)
            if not answered.done():
                answered.set_result(answer)

    async def serve(
        self, key: str, exits: Sequence[bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Carry a client's connection to the first exit that takes it, or reset it."""
        try:
            name, answer, session, following = await self._first_to_accept(key, exits)
        except RejectedError:
            reset_socket(writer)
            return
        connection = Connection(self._local.stream(session, True, answer.credit), reader, writer)
        for frame in following:
            connection.receive(frame)
        await self._local.carry(name, connection)

    async def _first_to_accept(self, key: str, exits: Sequence[bytes]) -> Accepted:
        code = "unknown-key"
        for exit_id in exits:
            try:
                accepted = await self._ask(exit_id, key)
            except TimeoutError:
                code = "timed-out"
                continue
            if accepted[1].is_accepted:
                return accepted
            code = accepted[1].code
        raise RejectedError(code)

    async def _ask(self, exit_id: bytes, key: str) -> Accepted:
        local = self._local
        statement = local.records.live()[exit_id].statement
        self._numbered += 1
        name = Name(local.id, exit_id, self._numbered, local.instance, statement.instance)
        asked = Asked(key, INITIAL_WINDOW_BYTES)
        pair = self._pairs.find(exit_id, statement.instance)
        statics = Statics(local.session_key, statement.session_key)
        opening: AnyOpening
        if pair is None:
            opening = Opening(name, local.session_key, statement.session_key, asked)
        else:
            asked = Asked(key, INITIAL_WINDOW_BYTES, wants_pair=False)
            opening = ShortOpening(Short(name, pair, statics, is_ingress=True), asked)
        answered = asyncio.get_running_loop().create_future()
        following: list[Frame] = []
        self._waiting[name.number] = opening, answered, following
        form = 0 if pair is None else SHORT
        frame = Frame(Type.OPEN, opening.body, local.id, exit_id, name.number, form, False, HOP_LIMIT)
        try:
            async with asyncio.timeout(CANDIDATE_PATIENCE_S):
                for wait in waits():
                    local.transmit(frame)
                    await asyncio.wait([answered], timeout=wait)
                    if answered.done():
                        answer, session = answered.result()
                        if isinstance(opening, Opening) and answer.keeps_pair:
                            pair = Pair(opening.secret, name.ingress_instance, name.exit_instance)
                            self._pairs.keep(exit_id, name.exit_instance, pair, PAIR_AGE_S)
                        self.shorts += answer.is_accepted and form == SHORT
                        return name, answer, session, following
        finally:
            del self._waiting[name.number]
        raise AssertionError
