"""Many records at once: the route table verifies a few in a turn, in order, and keeps no more than it may."""

import functools
from itertools import pairwise
from typing import Any

import pytest

from actors.messages import route_table as messages
from actors.route_table import MAX_WAITING_BYTES, RouteTable
from actors.runtime.actor import Actor
from actors.runtime.virtual.world import VirtualWorld
from mesh.alarms import AlarmBook
from mesh.config.schema import RoutingSection
from mesh.link.bodies import (
    MAX_WANTED_AGENTS,
    MAX_WANTED_PAGES,
    Digest,
    DigestEntry,
    WantedPages,
    WireRecord,
)
from mesh.routing.origination import OwnAgent
from mesh.routing.page_table import PageTable
from mesh.routing.record_reader import RecordReader
from mesh.routing.work_steps import STEP_RECORDS, STEP_VERIFIED
from mesh.trust.certificates import TrustStore, read_certificate
from mesh.trust.identity import Identity, Instance
from mesh.trust.noise.primitives import SharedSecrets, key_pair
from tests.actors.company import Ear, start
from tests.actors.test_route_table_actor import (
    ALICE,
    AUTHORITY,
    BOB,
    INSTANCE,
    OWN,
    RTT_S,
    ask,
    bodies_sent,
    certificate_of,
    wire_of,
)

MANY = 100
STRANGERS = [Identity(number.to_bytes(4, "big") * 8) for number in range(1_000, 1_000 + MANY)]


@functools.cache
def wires(copies: int = 1) -> tuple[WireRecord, ...]:
    """Records of agents that nobody knows yet, ``copies`` of each, newer each time."""
    return tuple(wire_of(identity, number) for number in range(copies) for identity in STRANGERS)


class Reader(RecordReader):
    """Notes what is verified, and forgets it when somebody else has a turn."""

    def __init__(self) -> None:
        super().__init__()
        self.verified = 0
        self.read_now = 0
        self.order: list[bytes] = []

    def read(self, signed: bytes) -> Any:
        self.read_now += 1
        return super().read(signed)

    def verify(self, wire: WireRecord, *arguments: Any) -> Any:
        self.verified += 1
        self.order.append(wire.signed)
        return super().verify(wire, *arguments)


class Other(Actor[Any]):
    """Somebody else on the same thread: says at each turn what was verified since the last."""

    def __init__(self, dispatcher: Any, scene: "Scene") -> None:
        super().__init__(dispatcher)
        self._scene = scene

    def on_receive(self, message: Any) -> None:
        scene, reader = self._scene, self._scene.reader
        scene.verified.append(reader.verified)
        scene.read.append(reader.read_now)
        scene.held.append(scene.table._waiting.byte_count)
        scene.links.append(len(scene.table._links))
        reader.verified = reader.read_now = 0
        if scene.table._waiting or scene.table.actor_inbox.queue:
            self.schedule(0.0, message)


class Scene:
    def __init__(self) -> None:
        self.world = VirtualWorld(1)
        self.reader = Reader()
        self.verified: list[int] = []
        self.read: list[int] = []
        self.held: list[int] = []
        self.links: list[int] = []
        certificate = certificate_of(OWN)
        self.table = start(
            self.world,
            RouteTable,
            identity=OWN,
            fixed=OwnAgent(certificate, session_key=b"s" * 32, instance=Instance(b"i" * 16), relays=True),
            certificate=read_certificate(certificate),
            trust=TrustStore([AUTHORITY.public_key]),
            shared=SharedSecrets(key_pair(b"s" * 32)),
            reader=self.reader,
            settings=RoutingSection(),
            alarms=AlarmBook(),
            root=start(self.world).ref,
        )
        self.source, self.link = start(self.world), start(self.world)
        self.tell(messages.LinkUp(ALICE, INSTANCE, self.source.ref, RTT_S))
        self.tell(messages.LinkUp(BOB, INSTANCE, self.link.ref, RTT_S))
        self.world.run(5.0)
        self.source.heard.clear()
        self.link.heard.clear()

    def tell(self, *told: Any) -> None:
        for message in told:
            self.table.ref.tell(message)

    def run(self) -> None:
        """Until nothing is left to do at this moment."""
        Other.start(self.world.dispatcher("here"), self).tell("go on")
        self.world.run(0.0)

    def taken(self, ear: Ear) -> list[bytes]:
        """Whose records a link was told to send."""
        return [body.public_key for body in bodies_sent(ear.heard)]


@pytest.fixture
def scene():
    scene = Scene()
    yield scene
    scene.world.stop()


def test_a_turn_verifies_a_few_and_the_others_follow_in_order(scene):
    scene.tell(messages.RecordsArrived(ALICE, wires()))
    scene.run()
    assert scene.reader.order == [wire.signed for wire in wires()]
    assert max(scene.verified) <= STEP_VERIFIED
    assert scene.taken(scene.link) == [identity.public_key for identity in STRANGERS]
    assert len(scene.link.heard) <= 2, "news of one frame goes on together"
    assert scene.taken(scene.source) == []
    assert ask(scene.world, scene.table.ref, messages.GetCounts()).records_stored_total == MANY


def test_many_messages_of_one_record_are_held_to_the_same(scene):
    for wire in wires():
        scene.tell(messages.RecordsArrived(ALICE, (wire,)))
    scene.run()
    assert scene.reader.order == [wire.signed for wire in wires()]
    # All that waits when a pass begins is handed over in it; only as much is verified.
    assert max(scene.verified) <= STEP_VERIFIED


def test_what_need_not_be_verified_is_taken_in_larger_steps(scene):
    scene.tell(messages.RecordsArrived(ALICE, wires(2)[MANY:]))
    scene.run()
    scene.read.clear()
    scene.tell(messages.RecordsArrived(BOB, wires(2)[:MANY]))
    scene.run()
    assert scene.verified[-1] == 0
    assert max(scene.read) == STEP_RECORDS
    assert sum(scene.read) == MANY


def test_a_digest_takes_a_turn_of_its_own(scene):
    scene.tell(
        messages.DigestArrived(ALICE, Digest(())),
        messages.RecordsArrived(BOB, wires()[:1]),
    )
    scene.run()
    assert scene.verified == [0, 1]


@pytest.mark.interpreted
def test_pages_are_looked_up_a_few_in_a_turn_however_many_one_frame_wants(scene, monkeypatch):
    looked_up, turns = [], []
    give = PageTable.give

    def counting(self, peer_id, wanted, now):
        looked_up.extend((peer_id, digest) for wants in wanted for digest in wants.digests)
        return give(self, peer_id, wanted, now)

    class Watch(Other):
        def on_receive(self, message):
            turns.append(len(looked_up))
            super().on_receive(message)

    monkeypatch.setattr(PageTable, "give", counting)
    digests = [number.to_bytes(16, "big") for number in range(MAX_WANTED_AGENTS * MAX_WANTED_PAGES)]
    wanted = tuple(
        WantedPages(identity.id, tuple(digests[first : first + MAX_WANTED_PAGES]))
        for first, identity in zip(range(0, len(digests), MAX_WANTED_PAGES), STRANGERS, strict=False)
    )
    scene.tell(messages.PagesWanted(ALICE, wanted), messages.RecordsArrived(BOB, wires()[:1]))
    Watch.start(scene.world.dispatcher("here"), scene).tell("go on")
    scene.world.run(0.0)
    assert looked_up == [(ALICE, digest) for digest in digests]
    steps = [after - before for before, after in pairwise([0, *turns])]
    assert max(steps) == STEP_VERIFIED
    assert sum(step > 0 for step in steps) == len(digests) / STEP_VERIFIED
    assert 0 < max(scene.held) < MAX_WAITING_BYTES
    assert scene.held[-1] == 0
    assert len(scene.reader.order) == 1


def test_what_a_link_says_after_its_records_is_heard_after_them(scene):
    entries = [DigestEntry(identity.id, 1, 0, INSTANCE) for identity in STRANGERS]
    scene.tell(
        messages.RecordsArrived(ALICE, wires()),
        messages.DigestArrived(ALICE, Digest(tuple(entries))),
        messages.LinkDown(ALICE, scene.source.actor_urn),
        messages.LinkUp(ALICE, INSTANCE, scene.source.ref, RTT_S),
    )
    scene.run()
    assert len(scene.reader.order) == MANY
    assert scene.taken(scene.source)[0] == OWN.public_key, "all others it had told of"
    counts = ask(scene.world, scene.table.ref, messages.GetCounts())
    assert (counts.links, counts.records_stored_total) == (2, MANY)


def test_the_loss_of_a_link_passes_what_other_peers_have_said(scene):
    scene.tell(messages.RecordsArrived(ALICE, wires()), messages.LinkDown(BOB, scene.link.actor_urn))
    scene.run()
    assert scene.links[:2] == [2, 1]
    assert len(scene.reader.order) == MANY
    assert scene.held[-1] == 0


def test_the_loss_of_a_link_does_not_pass_what_its_own_peer_has_said(scene):
    scene.tell(
        messages.RecordsArrived(ALICE, wires()),
        messages.RecordsArrived(BOB, wires(2)[MANY : MANY + 3]),
        messages.RecordsArrived(ALICE, wires(2)[MANY + 3 :]),
        messages.LinkDown(BOB, scene.link.actor_urn),
    )
    scene.run()
    of_bob = {wire.signed for wire in wires(2)[MANY : MANY + 3]}
    assert [one for one in scene.reader.order if one not in of_bob] == [
        wire.signed for wire in (*wires(2)[:MANY], *wires(2)[MANY + 3 :])
    ]
    assert of_bob < set(scene.reader.order)


def test_a_peer_that_says_much_delays_what_another_says_by_a_turn(scene):
    for _ in range(10):
        scene.tell(messages.RecordsArrived(ALICE, wires()))
    for _ in range(50):
        scene.tell(messages.DigestArrived(ALICE, Digest(())))
    scene.tell(messages.RecordsArrived(BOB, wires(2)[MANY : MANY + 1]))
    scene.run()
    assert scene.reader.order.index(wires(2)[MANY].signed) <= 2 * STEP_VERIFIED
    assert len(scene.reader.order) == MANY + 1


def test_records_that_wait_are_copied_once(scene):
    class Watched(tuple):
        __slots__ = ()
        copied = 0

        def __getitem__(self, index):
            found = super().__getitem__(index)
            if isinstance(index, slice):
                Watched.copied += len(found)
            return found

    scene.tell(messages.RecordsArrived(ALICE, Watched(wires())))
    scene.run()
    assert len(scene.reader.order) == MANY
    assert Watched.copied <= MANY


def test_what_waits_is_bounded_and_nothing_is_lost(scene):
    count = 0
    while count * len(wires()[0].signed) < 4 * MAX_WAITING_BYTES:
        scene.tell(messages.RecordsArrived(ALICE, wires()), messages.RecordsArrived(BOB, wires(2)[MANY:]))
        count += 2 * MANY
    scene.run()
    assert 0 < max(scene.held) <= MAX_WAITING_BYTES
    assert scene.held[-1] == 0
    assert sorted(scene.reader.order) == sorted(wire.signed for wire in wires(2))
    counts = ask(scene.world, scene.table.ref, messages.GetCounts())
    assert counts.records_stored_total + counts.records_duplicate_total + counts.records_older_total == count


def test_a_peer_that_breaks_the_protocol_in_the_middle_is_not_heard_further(scene):
    broken = WireRecord(b"junk", bytes(64), 0)
    scene.tell(messages.RecordsArrived(ALICE, (*wires()[:20], broken, *wires()[20:])))
    scene.run()
    assert len(scene.reader.order) == 20
    assert ask(scene.world, scene.table.ref, messages.GetCounts()).links == 1
    assert scene.table._waiting.byte_count == 0
