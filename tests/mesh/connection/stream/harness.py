"""Two streams with real sessions, a network between them that does as it is told, and virtual time."""

import functools
import hashlib
import heapq
import itertools
from dataclasses import dataclass, field
from math import inf

from mesh.connection.farewells import Farewells
from mesh.connection.key_terms import KeyLimits, KeyTerms
from mesh.connection.session import Session
from mesh.connection.stream import INITIAL_WINDOW_BYTES, Stream, StreamBudget
from mesh.link.frames import Frame, FrameType
from mesh.trust.identity import AGENT_ID_BYTES, NO_AGENT, AgentId
from mesh.trust.noise.primitives import SharedSecrets, key_pair

INGRESS = AgentId(b"ingress-ingress-")
EXIT = AgentId(b"exit-exit-exit-e")
MIB = 1024 * 1024
LATENCY_S = 0.01


STATICS = tuple(key_pair(bytes([byte]) * 32) for byte in (3, 4))
"""Of the ingress and of the exit."""
START = 100.0


def sessions(*, renews_keys=True):
    """The two ends' sessions of one connection."""
    to_exit, to_ingress = b"\x01" * 32, b"\x02" * 32
    ingress = Session(
        local=INGRESS,
        remote=EXIT,
        is_exit=False,
        connection=7,
        send_key=to_exit,
        receive_key=to_ingress,
        remote_static=STATICS[1].public,
        renews_keys=renews_keys,
    )
    exit_ = Session(
        local=EXIT,
        remote=INGRESS,
        is_exit=True,
        connection=7,
        send_key=to_ingress,
        receive_key=to_exit,
        remote_static=STATICS[0].public,
        renews_keys=renews_keys,
    )
    return ingress, exit_


def key_terms(*, is_exit, **limits):
    """What one of the two agrees on new keys with; every ephemeral key is another.

    By default they are never due.
    """
    static, numbers = STATICS[is_exit], itertools.count(1)

    def make_ephemeral():
        return key_pair(hashlib.sha256(bytes([is_exit]) + next(numbers).to_bytes(8, "big")).digest())

    return KeyTerms(
        static, SharedSecrets(static), make_ephemeral, lambda: None, KeyLimits(**({"age_s": inf} | limits))
    )


def make_stream(session, *, budget=None, send_credit=INITIAL_WINDOW_BYTES, keys=None, **settings):
    budget = StreamBudget(256 * MIB) if budget is None else budget
    timeouts = {"reroute_timeout_s": 30.0, "idle_probe_s": 60.0}
    terms = key_terms(is_exit=session.is_exit, **(keys or {}))
    fixed = {"session": session, "send_credit": send_credit, "budget": budget, "terms": terms}
    return Stream(opened_at=START, **fixed, **(timeouts | settings))


def make_pair(**settings):
    return tuple(make_stream(session, **settings) for session in sessions())


@functools.cache
def pattern(size, seed=0):
    """Bytes of which any two stretches differ."""
    return hashlib.shake_128(str(seed).encode()).digest(size)


def tell_unknown(stream, now):
    """What a stream does when the other end's agent says that it does not know the connection."""
    own = AgentId(bytes(AGENT_ID_BYTES))  # nothing vouches for it, so nothing is looked at
    return stream.receive([Frame(FrameType.UNKNOWN, True, own, own, 1, 0, b"")], now)


def unknown_frame(answered):
    """What an agent answers to a frame of a connection that it does not have."""
    back = answered.destination, answered.source
    return Frame(FrameType.UNKNOWN, not answered.from_exit, *back, answered.connection, 0, b"")


@dataclass
class End:
    """What an actor does: feeds a stream from a local socket and writes what it delivers."""

    stream: Stream
    outgoing: bytes | memoryview = b""
    chunk: int = MIB
    """Most bytes of one read."""
    ends: bool = False
    """Whether the local socket sends its end of stream after ``outgoing``."""
    taking: bool = True
    """Whether the local socket takes what is delivered."""
    incoming: bytearray = field(default_factory=bytearray)
    waiting: bytearray = field(default_factory=bytearray)
    finishes: int = 0
    """How often the end of the other's stream was reported."""
    resets: list = field(default_factory=list)
    done: bool = False
    done_at: float | None = None
    sent_end: bool = False
    sent: list = field(default_factory=list)
    """Type of every frame sent."""
    farewells: Farewells = field(default_factory=Farewells)
    """What its agent answers once it is done."""

    def count(self, *types):
        return sum(kind in types for kind in self.sent)


class World:
    """Runs two ends against each other.

    ``fate(frame, now)`` gives what becomes of a frame: a list of (delay in seconds, frame), empty where it is
    lost; it may hold other frames than the one sent.
    """

    def __init__(self, *, fate=None, pair=None, **settings):
        self.now = START
        self.fate = fate or (lambda frame, now: [(LATENCY_S, frame)])
        self.ends = tuple(End(stream) for stream in (pair or make_pair(**settings)))
        self._flights = []
        self._order = itertools.count()
        self.unknowns_answered = True
        self.timeouts = 0

    @property
    def ingress(self):
        return self.ends[0]

    @property
    def exit(self):
        return self.ends[1]

    def apply(self, end, effects):
        self.transmit(end, effects.frames)
        for byte_count in effects.delivered:
            assert byte_count, "an empty piece would look like an end of stream"
            assert not end.finishes, "bytes after the end"
            assert not end.resets, "bytes after a reset"
            end.waiting += byte_count
        if effects.peer_finished:
            end.finishes += 1
        if effects.peer_reset is not None:
            end.resets.append(effects.peer_reset)
        end.done = end.done or effects.done
        self.take(end)
        if end.done and not end.waiting and end.done_at is None:
            end.done_at = self.now
            end.farewells.keep(NO_AGENT, None, end.stream.farewell, self.now)
            end.stream.release()

    def take(self, end, most=None):
        """The local socket takes what waits."""
        if most is None:
            most = len(end.waiting) if end.taking else 0
        piece = bytes(end.waiting[:most])
        if piece:
            del end.waiting[:most]
            end.incoming += piece
            self.apply(end, end.stream.delivered(len(piece), self.now))

    def transmit(self, end, frames):
        for frame in frames:
            end.sent.append(frame.type)
            to = self.ends[1] if end is self.ends[0] else self.ends[0]
            for delay, arriving in self.fate(frame, self.now):
                heapq.heappush(self._flights, (self.now + delay, next(self._order), to, arriving))

    def pump(self, end):
        """Read the local socket as far as there is room."""
        stream = end.stream
        while end.outgoing and (room := stream.writable_bytes):
            outgoing = memoryview(end.outgoing)  # no copies of the rest
            piece = outgoing[: min(room, end.chunk)]
            end.outgoing = outgoing[len(piece) :]
            self.apply(end, stream.send(piece, self.now))
        if end.ends and not end.outgoing and not end.sent_end and not end.done:
            end.sent_end = True
            self.apply(end, stream.finish(self.now))

    def arrive(self, end, frame):
        if end.done_at is not None:
            farewell = end.farewells.answer(NO_AGENT, None, frame)
            if farewell:
                self.transmit(end, farewell)
            elif frame.type != FrameType.UNKNOWN and self.unknowns_answered:
                self.transmit(end, [unknown_frame(frame)])
        else:
            self.apply(end, end.stream.receive([frame], self.now))

    def next_time(self):
        times = [end.stream.deadline() for end in self.ends]
        if self._flights:
            times.append(self._flights[0][0])
        return min(times, default=inf)

    def step(self):
        """One instant; False where nothing is left to happen."""
        for end in self.ends:
            self.pump(end)
        time = self.next_time()
        if time == inf:
            return False
        assert time >= self.now - 1e-9, "a deadline in the past that its timeout left standing"
        self.now = max(self.now, time)
        while self._flights and self._flights[0][0] <= self.now:
            _, _, to, frame = heapq.heappop(self._flights)
            self.arrive(to, frame)
        for end in self.ends:
            deadline = end.stream.deadline()
            if deadline <= self.now:
                self.timeouts += 1
                self.apply(end, end.stream.timeout(self.now))
                again = end.stream.deadline()
                assert again > self.now, "a timeout that leaves its own deadline standing"
        return True

    def run(self, duration=None, until=None, most=1_000_000):
        """Until ``duration`` is over, ``until()`` holds or nothing is left."""
        end_time = None if duration is None else self.now + duration
        for _ in range(most):
            for end in self.ends:
                self.pump(end)
            if until is not None and until():
                return
            time = self.next_time()
            if time == inf or (end_time is not None and time > end_time):
                if end_time is not None:
                    self.now = max(self.now, end_time)
                return
            self.step()
        raise AssertionError(f"still busy after {most} instants")

    def all_done(self):
        return all(end.done_at is not None for end in self.ends)


def confirmed(**settings):
    """A world whose connection is open, with nothing on the way and nothing noted."""
    world = World(**settings)
    world.apply(world.ingress, world.ingress.stream.confirm(world.now))
    world.run(duration=1.0)
    for end in world.ends:
        end.sent.clear()
    return world


def nothing(frame, now):
    """The fate of frames none of which arrives."""
    return []
