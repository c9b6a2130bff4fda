"""Frames, records and questions that a hostile member makes up."""

import random
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from mesh.diagnostics.tasks import Task, What
from mesh.link import bodies
from mesh.link.bodies import DigestEntry, WantedList, WantedPages, WirePage, WireRecord
from mesh.link.frames import (
    FIRST_SKIPPED_CONNECTION_TYPE,
    FIRST_SKIPPED_TYPE,
    MAX_BODY_BYTES,
    Frame,
    FrameType,
    link_frame,
)
from mesh.routing.records import EndpointEntry, ListenerEntry, Neighbour, PageName, RecordBody
from mesh.trust.identity import NO_AGENT, RECORD_CONTEXT, AgentId, Identity, Instance
from mesh.trust.revocations import MAX_LIST_BYTES, Revocation, sign_list
from scripts.lab.frames import changed
from scripts.simulation.hostile.links import RIGHT_SIZES, Odd
from scripts.simulation.hostile.loot import Loot

NUMBERS: Final = (0, 1, 2, 3, 1000, 2**16, 2**31, 2**32, 2**62, 2**63, 2**64 - 2, 2**64 - 1)
SIZES: Final = (0, 1, 15, 16, 17, 25, 26, 28, 48, 60, 64, 80, 300, 2000, 2048, 4000, 20_000, MAX_BODY_BYTES)
OF_CONNECTIONS: Final = tuple(kind for kind in FrameType if kind >= FrameType.OPEN)
OF_LINKS: Final = tuple(kind for kind in FrameType if kind < FrameType.OPEN)

REASONS: Final = ("", "this peer is not dialed any more", "x" * 256, "\x1b[31m\n\u202e" * 60)

MAX_CHANGED_ENTRIES: Final = 200


class Inventor:
    """Makes things up, all of them drawn.

    Args:
        draw: decides everything.
        own: the member's identity.
        others: all other agents.
        loot: what it has seen.
    """

    def __init__(self, draw: random.Random, own: Identity, others: Sequence[AgentId], loot: Loot) -> None:
        self._draw, self._own, self._others, self._loot = draw, own, others, loot

    # -- of connections --------------------------------------------------------------------------------------

    def victim(self) -> AgentId:
        """An agent that exists."""
        return self._draw.choice(self._others)

    def anybody(self) -> AgentId:
        """An agent that exists, this one, nobody, or one that does not exist."""
        kind = self._draw.random()
        if kind < 0.7:
            return self.victim()
        return self._draw.choice([self._own.id, NO_AGENT, AgentId(self._draw.randbytes(16))])

    def source(self, honesty: float = 0.4) -> AgentId:
        """Whom a frame pretends to come from."""
        return self._own.id if self._draw.random() < honesty else self.anybody()

    def connection(self) -> int:
        """A number that is in use, one like it, or another."""
        draw, seen = self._draw, self._loot.frames
        if seen and draw.random() < 0.5:
            return max(0, draw.choice(seen).connection + draw.choice([0, 0, 0, 1, -1])) % 2**64
        return draw.choice([draw.randrange(64), draw.choice(NUMBERS), draw.getrandbits(64)])

    def body(self, kind: int) -> bytes:
        """Bytes that mean nothing, or that were another frame's; of the right size, most often."""
        draw, seen = self._draw, self._loot.frames
        if kind in RIGHT_SIZES and draw.random() < 0.95:
            return draw.randbytes(RIGHT_SIZES[FrameType(kind)])
        if seen and draw.random() < 0.2:
            return draw.choice(seen).body
        return draw.randbytes(draw.choice(SIZES))

    def frame(self, honesty: float = 0.4) -> Frame | Odd:
        """Any frame of a connection: made up, or one that was seen, changed in some respect."""
        draw, seen = self._draw, self._loot.frames
        kind = draw.choice(OF_CONNECTIONS)
        frame = Frame(
            kind,
            draw.random() < 0.5,
            self.source(honesty),
            self.victim() if draw.random() < 0.9 else self.anybody(),
            self.connection(),
            draw.choice(NUMBERS),
            self.body(kind),
            draw.choice([16, 16, 255, 1, 0]),
            draw.random() < 0.3,
        )
        if seen and draw.random() < 0.4:
            frame = draw.choice(seen)
            change = draw.randrange(5)
            if change == 1:
                frame = changed(frame, number=draw.choice(NUMBERS))
            elif change == 2:
                frame = changed(frame, type=draw.choice(OF_CONNECTIONS))
            elif change == 3:
                frame = changed(frame, source=frame.destination, destination=frame.source)
            elif change == 4:
                frame = changed(frame, from_exit=not frame.from_exit, body=self.body(frame.type))
        return frame

    def odd(self) -> Odd:
        """A frame whose header breaks the protocol, or comes from a later version."""
        draw = self._draw
        frame = Frame(
            FrameType.DATA, False, self.source(), self.anybody(), self.connection(), 0, self.body(0), 16
        )
        place, value = draw.choice(
            [(0, draw.choice([0, 2, 255])), (1, draw.randrange(256)), (3, draw.randrange(256))]
        )
        return Odd(frame, {place: value})

    def later(self) -> Frame:
        """A frame of a later version that may be skipped: of the link's own, or of a connection."""
        draw = self._draw
        body = draw.randbytes(draw.choice([0, 40, 2048]))
        if draw.random() < 0.5:
            return Frame(
                draw.randrange(FIRST_SKIPPED_TYPE, FIRST_SKIPPED_CONNECTION_TYPE),
                False,
                NO_AGENT,
                NO_AGENT,
                0,
                0,
                body,
                0,
            )
        kind = draw.randrange(FIRST_SKIPPED_CONNECTION_TYPE, 128)
        return Frame(kind, draw.random() < 0.5, self._own.id, self.victim(), self.connection(), 0, body)

    def misshapen(self) -> Frame:
        """A frame of the link's own that cannot be read, or that was not asked for."""
        draw = self._draw
        kind = draw.choice(OF_LINKS)
        body = draw.choice(
            [
                draw.randbytes(draw.choice(SIZES[:-1])),
                msgspec.msgpack.encode((draw.choice(NUMBERS),)),
                msgspec.msgpack.encode([[[]] * 3, draw.randbytes(16), draw.randbytes(16)]),
                b"\x91" * 500,
                b"\xdd\xff\xff\xff\xff",
            ]
        )
        return link_frame(kind, body)

    # -- of links --------------------------------------------------------------------------------------------

    def question(self) -> Frame:
        """What a peer has to answer."""
        draw = self._draw
        match draw.randrange(8):
            case 0:
                return link_frame(FrameType.PING, bodies.encode_ping(draw.choice(NUMBERS)))
            case 1:
                return link_frame(FrameType.PONG, bodies.encode_pong(draw.choice(NUMBERS)))
            case 2:
                return link_frame(FrameType.CHALLENGE, bodies.encode_challenge(draw.randbytes(16)))
            case 3:
                return link_frame(FrameType.CHALLENGE_ANSWER, bodies.encode_challenge(draw.randbytes(16)))
            case 4:
                return link_frame(FrameType.RETIRE, bodies.encode_retire("nobody is dialed"))
            case 5:
                return self._wanted_revocations()
            case 6:
                return self._revocations()
            case _:
                return link_frame(FrameType.WANT_PAGES, bodies.encode_want_pages(self._wanted()))

    def _wanted_revocations(self) -> Frame:
        draw = self._draw
        wanted = tuple(
            WantedList(draw.randbytes(32), draw.choice(NUMBERS)) for _ in range(draw.choice([0, 1, 256]))
        )
        return link_frame(FrameType.WANT_REVOCATIONS, bodies.encode_want_revocations(wanted))

    def _revocations(self) -> Frame:
        """Lists that say of others, as if this member might, that they take part no more; or none at all."""
        draw = self._draw
        revoked = {victim: Revocation(victim, 0) for victim in (self.victim() for _ in range(3))}
        lists = (
            sign_list(self._own, draw.choice([1, 2**31, 2**40]), revoked.values()),
            draw.randbytes(draw.choice([0, 64, 100, MAX_LIST_BYTES])),
        )
        return link_frame(FrameType.REVOCATIONS, bodies.encode_revocations((draw.choice(lists),)))

    def digest(self) -> Frame:
        """One that asks for everything, or claims to hold what does not exist."""
        draw = self._draw
        entries = [
            DigestEntry(self.anybody(), draw.choice(NUMBERS[:9]), draw.choice(NUMBERS[:9]), _instance(draw))
            for _ in range(draw.choice([0, 0, 3, 100]))
        ]
        return link_frame(FrameType.DIGEST, bodies.encode_digest(bodies.batch_digest(entries)[0]))

    def _wanted(self) -> tuple[WantedPages, ...]:
        draw = self._draw
        return tuple(
            WantedPages(self.anybody(), tuple(draw.randbytes(16) for _ in range(draw.randrange(16))))
            for _ in range(draw.choice([1, 8, 64]))
        )

    def pages(self) -> Frame:
        """Pages that nobody asked for."""
        draw = self._draw
        pages = tuple(
            WirePage(self.anybody(), draw.randbytes(draw.choice([0, 10, 3000])))
            for _ in range(draw.randrange(8))
        )
        return link_frame(FrameType.PAGES, bodies.encode_pages(pages))

    # -- records ---------------------------------------------------------------------------------------------

    def own_record(self, body: RecordBody, sequence: int) -> WireRecord:
        """A record of its own, signed, whatever others think of what it says."""
        draw = self._draw
        count = draw.choice([0, 1, 20, MAX_CHANGED_ENTRIES])
        changed = replace(
            body,
            sequence=sequence,
            relays=draw.random() < 0.8,
            draining=draw.random() < 0.1,
            neighbours=tuple(
                Neighbour(AgentId(each), draw.randrange(8))
                for each in dict.fromkeys([*self._others, *(draw.randbytes(16) for _ in range(count))])
            ),
            endpoints=tuple(
                EndpointEntry(draw.choice(["my-api", "echo", f"key-{n}", "k" * 255]), None)
                for n in range(count)
            ),
            listeners=tuple(
                ListenerEntry(draw.choice(["my-api", "echo", f"key-{n}"]), "x" * draw.choice([0, 200]))
                for n in range(count)
            ),
            pages=tuple(
                PageName(draw.randbytes(16), draw.randint(1, 32_000), draw.randint(1, 1024))
                for _ in range(draw.choice([0, 0, 3, 10]))
            ),
        )
        signed = msgspec.msgpack.encode(changed)
        return WireRecord(signed, self._own.sign(RECORD_CONTEXT, signed), draw.choice([0, 0, 1, 299_000]))

    def fickle_record(self, body: RecordBody, sequence: int) -> WireRecord:
        """A record of its own with the same services, that says now this, now that of what else it does."""
        draw = self._draw
        changed = replace(body, sequence=sequence, draining=bool(sequence % 2), relays=draw.random() < 0.9)
        signed = msgspec.msgpack.encode(changed)
        if draw.random() < 0.1:  # something of a later version, or of none
            fields = [*msgspec.msgpack.decode(signed), draw.choice(NUMBERS[:9]), b"more"]
            if draw.random() < 0.5:
                fields[draw.randrange(len(fields))] = draw.choice([2, -1, None, "yes", [True]])
            signed = msgspec.msgpack.encode(fields)
        return WireRecord(signed, self._own.sign(RECORD_CONTEXT, signed), 0)

    def retirement(self) -> Frame:
        """It is about to close the link, it says."""
        return link_frame(FrameType.RETIRE, bodies.encode_retire(self._draw.choice(REASONS)))

    def diagnosis(self, keys: Sequence[str]) -> list[Task]:
        """What to ask echoes and benches of others, under keys that exist and under some that do not."""
        draw = self._draw
        made_up = [f"key-{draw.randrange(1000)}", "mesh:echo", "x" * 255]
        return [
            Task(
                what=draw.choice(list(What)),
                agent_id=self.victim(),
                agent_name="somebody",
                hop_count=1,
                key=draw.choice([*keys, *made_up]),
                count=0,
                interval_s=draw.choice([0.01, 0.1]),
                seconds=draw.choice([0.1, 10.0, 1e6]),
            )
            for _ in range(draw.choice([1, 16, 40]))
        ]

    def old_record(self) -> WireRecord | None:
        """One that was seen, with another age."""
        if not self._loot.records:
            return None
        draw = self._draw
        record = draw.choice(self._loot.records)
        age_ms = draw.choice([0, record.age_ms, 1, 299_999, 300_001, 2**32, 2**63, 2**64 - 1])
        if draw.random() < 0.1:
            return replace(record, signed=record.signed + b"\x00", age_ms=age_ms)
        if draw.random() < 0.1:
            return replace(record, signature=bytes(64), age_ms=age_ms)
        return replace(record, age_ms=age_ms)


def records_frames(records: Sequence[WireRecord]) -> list[Frame]:
    """Frames that carry these records."""
    return [
        link_frame(FrameType.RECORDS, bodies.encode_records(batch)) for batch in bodies.batch_records(records)
    ]


def _instance(draw: random.Random) -> Instance:
    return Instance(draw.randbytes(16))
