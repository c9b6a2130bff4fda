import math

import msgspec

from actors.connections.offers import offers_of
from mesh.alarms import AlarmKind
from mesh.link.bodies import Digest
from mesh.routing.allowance import ORIGIN_BYTE_BURST, ORIGIN_BYTE_RATE
from mesh.routing.answers import ANSWER_BYTE_BURST, ANSWER_WAIT_S
from mesh.routing.database import ARRIVAL_BURST
from mesh.routing.early_records import ARRIVAL_HOLD_S, MAX_EARLY_BYTES, EarlyRecords
from mesh.routing.effects import Effects
from mesh.routing.flooding import FLOOD_PACE_S
from mesh.routing.record_reader import RecordReader
from mesh.routing.records import MAX_SIGNED_BYTES, EndpointEntry, Neighbour
from mesh.routing.work_steps import STEP_RECORDS, STEP_VERIFIED
from mesh.trust.identity import AgentId, Identity, short_id
from tests.mesh.routing.route_table_company import (
    ALICE,
    BOB,
    DAVE,
    IDENTITIES,
    INSTANCE,
    UNIX,
    hear,
    linked,
    records_in,
    wire_of,
)


def answered(effects: Effects) -> int:
    return sum(len(bodies) for _, bodies in records_in(effects))


def test_many_copies_of_an_older_record_are_answered_once():
    state = linked(ALICE, BOB)
    hear(state, ALICE, [wire_of(identity, sequence=5) for identity in IDENTITIES[3:5]], 0.0, UNIX)
    older = [wire_of(identity, sequence=sequence) for sequence in range(3) for identity in IDENTITIES[3:5]]
    effects = hear(state, BOB, older * 50, 1.0, UNIX)
    assert [(peers, len(bodies)) for peers, bodies in records_in(effects)] == [((BOB,), 2)]


def test_older_records_without_end_are_answered_slowly_and_other_peers_as_before():
    state = linked(ALICE, BOB)
    long = tuple(EndpointEntry(f"{number:03}".rjust(200, "x"), None) for number in range(200))
    newest = wire_of(IDENTITIES[4], sequence=5, endpoints=long)
    hear(state, ALICE, [newest], 0.0, UNIX)
    older = [msgspec.structs.replace(wire_of(IDENTITIES[4]), signature=bytes(64))]
    answers = sum(answered(hear(state, BOB, older, 1.0, UNIX)) for _ in range(1_000))
    assert answers == ANSWER_BYTE_BURST // len(newest.signed)
    assert answered(hear(state, ALICE, older, 1.0, UNIX)) == 1
    # Another link to the same peer begins no new burst; what is owed waits, once, whatever asked for it.
    state.link_up(BOB, INSTANCE, 0.001, 1.0, UNIX)
    assert answered(hear(state, BOB, older, 1.0, UNIX)) == 0
    assert state.deadline() <= 1.0 + ANSWER_WAIT_S
    assert answered(state.tick(1.0 + ANSWER_WAIT_S, UNIX)) == 1
    assert answered(state.tick(2.0, UNIX)) == 0


def test_a_peer_that_comes_again_and_again_is_answered_as_slowly():
    state = linked(ALICE, BOB)
    long = tuple(EndpointEntry(f"{number:03}".rjust(200, "x"), None) for number in range(200))
    newest = wire_of(IDENTITIES[4], sequence=5, endpoints=long)
    hear(state, ALICE, [newest], 0.0, UNIX)
    older = [msgspec.structs.replace(wire_of(IDENTITIES[4]), signature=bytes(64))]
    answers = 0
    for _ in range(20):
        state.link_down(BOB, 1.0, UNIX)
        state.link_up(BOB, INSTANCE, 0.001, 1.0, UNIX)
        answers += sum(answered(hear(state, BOB, older, 1.0, UNIX)) for _ in range(50))
    assert answers == ANSWER_BYTE_BURST // len(newest.signed)


def test_digests_without_end_cost_a_bounded_number_of_bytes_and_lose_nothing():
    """Each may be empty and speak for all IDs: all records, as often as it comes."""
    state = linked(ALICE, BOB)
    long = tuple(EndpointEntry(f"{number:03}".rjust(200, "x"), None) for number in range(200))
    strangers = [Identity(number.to_bytes(2, "big") * 16) for number in range(1_000, 1_050)]
    hear(state, ALICE, [wire_of(identity, endpoints=long) for identity in strangers], 0.0, UNIX)
    sent = sum(
        len(send.body)
        for _ in range(64)
        for send in state.digest_arrived(BOB, Digest(()), 1.0, UNIX).sends
        if BOB in send.peers
    )
    assert ANSWER_BYTE_BURST * 0.9 < sent < ANSWER_BYTE_BURST * 1.1
    rest: set[bytes] = set()
    now = 1.0
    while state._answers.deadline() < math.inf:
        now = max(now, state._answers.deadline())
        effects = state.tick(now, UNIX)
        rest |= {body.public_key for _, bodies in records_in(effects) for body in bodies}
    assert rest >= {identity.public_key for identity in strangers}, "what waited is told, each record once"
    assert now < 10.0


def test_records_of_one_agent_are_taken_by_their_bytes():
    state = linked(ALICE, BOB)
    long = tuple(EndpointEntry(f"{number:03}".rjust(250, "x"), None) for number in range(220))
    size = len(wire_of(IDENTITIES[4], endpoints=long).signed)
    assert 50_000 < size < MAX_SIGNED_BYTES
    taken = passed_on = 0
    notices = []
    for sequence in range(1_000):
        now = sequence / 10
        before = state.counts().records_stored_total
        wire = wire_of(IDENTITIES[4], sequence=sequence, endpoints=long)
        effects = hear(state, ALICE, [wire], now, UNIX)
        effects.sends += state.tick(now + 0.05, UNIX).sends
        taken += (state.counts().records_stored_total - before) * size
        passed_on += sum(len(send.body) for send in effects.sends if send.peers == (BOB,))
        notices += effects.notices
    most = ORIGIN_BYTE_BURST + ORIGIN_BYTE_RATE * 100
    assert 0.9 * most < taken <= most
    assert passed_on < 1.05 * most
    [notice] = notices
    assert notice.kind is AlarmKind.EXCESS
    assert notice.member == short_id(ALICE), "who passed it on"
    assert f" of agent {IDENTITIES[4].public_key.hex()[:4]} {short_id(DAVE)} " in notice.line
    # The newest is heard in the end.
    for second in range(5):
        state.tick(101.0 + second, UNIX)
    assert next(entry.sequence for entry in state._link_state.digest() if entry.agent_id == DAVE) == 999


def test_too_many_records_that_an_agent_never_signed_are_laid_to_the_peer_that_passed_them_on():
    state = linked(ALICE, BOB)
    hear(state, ALICE, [wire_of(IDENTITIES[4], sequence=0)], 0.0, UNIX)
    notices = []
    for sequence in range(1, int(ARRIVAL_BURST) + 2):
        wire = wire_of(IDENTITIES[4], sequence=sequence)
        if sequence >= ARRIVAL_BURST:
            wire = msgspec.structs.replace(wire, signature=bytes(64))
        notices += hear(state, BOB, [wire], 0.0, UNIX).notices
    [notice] = notices
    assert (notice.kind, notice.member) == (AlarmKind.EXCESS, short_id(BOB))


def test_what_comes_too_early_takes_bounded_memory():
    early = EarlyRecords()
    wire = msgspec.structs.replace(wire_of(IDENTITIES[4]), signed=bytes(60_000))
    agents = [AgentId(number.to_bytes(16, "big")) for number in range(1_000)]
    held = sum(early.hold(ALICE, agent_id, wire, 0.0) for agent_id in agents)
    assert held == MAX_EARLY_BYTES // 60_000
    assert early.hold(ALICE, agents[0], wire, 0.0), "in place of what it said before"
    assert early.hold(BOB, agents[-1], wire, 0.0), "and another peer has room of its own"
    assert len(list(early.release(ARRIVAL_HOLD_S))) == held + 1
    assert early.hold(ALICE, agents[-1], wire, 1.0)


def test_nothing_is_verified_that_there_is_no_room_for():
    verified = []

    class Reader(RecordReader):
        def verify(self, wire, *arguments):
            verified.append(wire)
            return super().verify(wire, *arguments)

    state = linked(ALICE, max_records=2)
    hear(state, ALICE, [wire_of(IDENTITIES[3])], 0.0, UNIX)
    state._link_state._reader = Reader()
    hear(state, ALICE, [wire_of(identity) for identity in IDENTITIES[4:]], 0.0, UNIX)
    assert verified == []
    assert state.counts().records_refused_full_total == 3


def test_an_age_that_was_raised_on_one_way_is_corrected_by_who_knows_better():
    # BOB has it with a false age and passes it on, while the honest copy still waits to be told to him.
    state = linked(ALICE, BOB)
    honest = [wire_of(IDENTITIES[4], sequence=sequence) for sequence in range(2)]
    hear(state, ALICE, honest[:1], 0.0, UNIX)
    assert answered(hear(state, ALICE, honest[1:], 0.001, UNIX)) == 0
    hear(state, BOB, [msgspec.structs.replace(honest[1], age_ms=400_000)], 0.002, UNIX)
    [(peers, [body])] = records_in(state.tick(FLOOD_PACE_S, UNIX))
    assert peers == (BOB,)
    assert body.sequence == 1


def test_what_was_held_back_is_judged_in_steps():
    verified: list[bytes] = []

    class Reader(RecordReader):
        def verify(self, wire, *arguments):
            verified.append(wire.signed)
            return super().verify(wire, *arguments)

    strangers = [Identity(number.to_bytes(2, "big") * 16) for number in range(1_000, 1_030)]
    state = linked(ALICE, BOB)
    state._link_state._reader = Reader()
    last = int(ARRIVAL_BURST) + 5
    for sequence in range(last + 1):
        wires = [wire_of(identity, sequence=sequence) for identity in strangers]
        hear(state, ALICE, wires, 0.0, UNIX)
    assert len(verified) == ARRIVAL_BURST * len(strangers)
    assert state.deadline() <= ARRIVAL_HOLD_S
    steps = []
    now = ARRIVAL_HOLD_S
    while sum(steps) < len(strangers):
        verified.clear()
        assert state.deadline() <= now
        state.tick(now, UNIX)
        steps.append(len(verified))
        now += 0.001
    assert max(steps) == STEP_VERIFIED
    state.tick(now, UNIX)
    digest = {entry.agent_id: entry.sequence for entry in state._link_state.digest()}
    assert {digest[identity.id] for identity in strangers} == {last}


def test_what_was_held_back_and_is_old_by_now_is_looked_at_in_steps_too():
    read: list[bytes] = []

    class Reader(RecordReader):
        def read(self, signed):
            read.append(signed)
            return super().read(signed)

    strangers = [Identity(number.to_bytes(2, "big") * 16) for number in range(1_000, 1_100)]
    state = linked(ALICE, BOB)
    last = int(ARRIVAL_BURST)
    for sequence in [*range(last), last + 1, last]:  # ALICE says what is newer, BOB what is older
        peer_id = BOB if sequence == last else ALICE
        hear(state, peer_id, [wire_of(each, sequence=sequence) for each in strangers], 0.0, UNIX)
    now = ARRIVAL_HOLD_S
    while True:
        state._link_state._reader = Reader()
        read.clear()
        assert state.deadline() <= now
        state.tick(now, UNIX)
        assert 0 < len(read) <= STEP_RECORDS
        now += 0.001
        if state._intake.deadline() == math.inf:
            break
    digest = {entry.agent_id: entry.sequence for entry in state._link_state.digest()}
    assert {digest[identity.id] for identity in strangers} == {last + 1}
    assert len(read) > STEP_VERIFIED, "most of the last ones were only read"


def test_keys_that_nobody_can_write_any_more_are_kept_as_what_they_are():
    """Of an older or a hostile agent: other spellings, quotes, control characters. They meet no listener."""
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    keys = (decomposed, '"quoted"', " a ", "a\x1b[2J", "\u200b")
    endpoints = tuple(EndpointEntry(key, None) for key in keys)
    state = linked(ALICE)
    record = wire_of(IDENTITIES[1], neighbours=(Neighbour(IDENTITIES[0].id, 3),), endpoints=endpoints)
    hear(state, ALICE, [record], 0.0, UNIX)
    state.tick(1.0, UNIX)
    snapshot = state.snapshot
    assert set(snapshot.candidates) == set(keys)
    assert offers_of(snapshot, decomposed)
    assert offers_of(snapshot, composed) == ()
