"""Two real links with a wire between them whose every byte is the test's to deliver, hold back or make up."""

import enum
import gc
import random
import sys
from types import FunctionType, ModuleType
from typing import Any

from mesh.link import effects
from mesh.link.carried import Deliver
from mesh.link.frame_sealing import FrameWriter
from mesh.link.frames import Frame, FrameType, link_frame
from mesh.link.link import Link
from mesh.link.own_frames import digest_budgets
from mesh.link.rekeying import KeySource, RekeyLimits
from mesh.link.states import LinkState
from mesh.trust.identity import AgentId
from mesh.trust.noise.primitives import KeyPair, key_pair
from tests.mesh.link.handshake_company import ALICE, BOB, NOW, Party, side

START = 100.0
LIMITS = RekeyLimits(after_s=100.0, after_bytes=1_000_000, answer_s=20.0, rate=1.0, burst=3.0)
VERDICTS = (effects.LinkBroken, effects.LinkLost, effects.LinkOver, effects.LinkRefused)


class End:
    """One end: a link, and what its actor would do for it."""

    def __init__(self, party: Party, *, is_dialer: bool, limits: RekeyLimits, **changes: Any) -> None:
        self.id = party.identity.id
        self._random = random.Random(party.static.public)
        self.link = Link(
            is_dialer=is_dialer,
            handshake=side(party, initiator=is_dialer, **changes),
            own_id=self.id,
            timeout_s=3.0,
            now=START,
            digests=digest_budgets(),
            key_source=KeySource(party.static, self.fresh, limits),
        )
        self.now = START
        self.out = bytearray()
        """What waits on the wire to the other end."""
        self.writer: Any = None
        self.keys: list[bytes] = []
        """All that this end has ever sealed with."""
        self.delivered: list[Frame] = []
        self.frames: list[Frame] = []
        """All that it has sealed."""
        self.rekeyed = 0
        self.end: list[Any] = []
        self.do(self.link.start())

    def fresh(self) -> KeyPair:
        return key_pair(self._random.randbytes(32))

    def do(self, wanted: effects.LinkEffects) -> None:
        for effect in wanted:
            match effect:
                case effects.SendHandshake(data=data):
                    self.out += data
                case effects.StartSealing(key=key):
                    self.seal_with(key)
                case effects.SendOwn(frame_type=frame_type, body=body):
                    self.send(link_frame(frame_type, body))
                case effects.SwitchSealing(body=body, key=key):
                    self.send(link_frame(FrameType.NEW_KEY, body))
                    self.seal_with(key)
                case Deliver(frames=frames):
                    self.delivered += frames
                case effects.LinkRekeyed():
                    self.rekeyed += 1
                case effects.AskForAdmission():
                    pass
                case _ if isinstance(effect, VERDICTS):
                    self.end.append(effect)

    def seal_with(self, key: bytes) -> None:
        self.writer = FrameWriter(key)
        self.keys.append(key)

    def send(self, frame: Frame) -> None:
        self.frames.append(frame)
        self.out += b"".join(self.writer.seal(frame))

    @property
    def sent(self) -> list[int]:
        """The types of all that it has sealed, in order."""
        return [frame.type for frame in self.frames]

    def data(self, to: AgentId, number: int, body: bytes) -> None:
        """A frame of a connection."""
        self.send(Frame(FrameType.DATA, False, self.id, to, 1, number, body))

    def take(self, data: bytes) -> None:
        if not data or self.link.state is LinkState.CLOSED:
            return
        if self.link.state is LinkState.HANDSHAKE:
            self.do(self.link.shaken(data, self.now, NOW))
        else:
            self.do(self.link.received(memoryview(data), self.now))

    def ping(self, carried_bytes: int = 0) -> None:
        """Its timer has fired."""
        self.do(self.link.ping(self.now, NOW, took_at=self.now, carried_bytes=carried_bytes))

    def rekey_by(self, *, seconds: float) -> None:
        """Its keys are so old now; the peer has been heard, and the timer has not been late."""
        self.now += seconds
        self.link._pulse.begin(self.now)
        self.ping()


class Pair:
    """Alice has dialed Bob, and both have admitted the link."""

    def __init__(self, limits: RekeyLimits = LIMITS, **changes: Any) -> None:
        self.dialer = End(ALICE, is_dialer=True, limits=limits, **changes)
        self.acceptor = End(BOB, is_dialer=False, limits=limits)
        for _ in range(2):
            self.carry(self.dialer)
            self.carry(self.acceptor)
        assert self.acceptor.link.state is LinkState.WAITING
        self.acceptor.do(self.acceptor.link.admit(START, NOW))
        self.carry(self.acceptor)
        self.dialer.do(self.dialer.link.admit(START, NOW))
        self.settle()

    @property
    def ends(self) -> tuple[End, End]:
        return self.dialer, self.acceptor

    def other(self, end: End) -> End:
        return self.acceptor if end is self.dialer else self.dialer

    def carry(self, end: End, byte_count: int = sys.maxsize) -> None:
        """Deliver the next bytes that ``end`` has said, in one read."""
        data = bytes(end.out[:byte_count])
        del end.out[:byte_count]
        self.other(end).take(data)

    def settle(self) -> None:
        """Deliver all that is under way."""
        while self.dialer.out or self.acceptor.out:
            self.carry(self.dialer)
            self.carry(self.acceptor)

    def assert_works(self) -> None:
        """Both directions carry a frame, and nobody has ended."""
        for end in self.ends:
            other, before = self.other(end), len(self.other(end).delivered)
            end.data(other.id, before, b"still there")
            self.settle()
            assert [frame.number for frame in other.delivered[before:]] == [before]
        assert [end.end for end in self.ends] == [[], []]


END_NAMES = ("dialer", "acceptor")


def held_by_link(end: End) -> set[bytes]:
    """All bytes objects that can be reached from a link by attributes and containers.

    But for what lies behind the source of its keys, which leads back to the test; the link is of no use then.
    """
    link: Any = end.link
    link._key_source = link._own_frames.rekeying._source = ()
    seen: set[int] = set()
    found: set[bytes] = set()
    todo: list[Any] = [link]
    while todo:
        item = todo.pop()
        if id(item) in seen or isinstance(item, type | FunctionType | ModuleType | enum.Enum):
            continue  # what is in those is the program
        seen.add(id(item))
        if isinstance(item, bytes):
            found.add(item)
        todo += gc.get_referents(item)
        slots = (name for kind in type(item).__mro__ for name in getattr(kind, "__slots__", ()))
        todo += [getattr(item, name) for name in slots if hasattr(item, name)]
    return found
