import math

import msgspec

from actors.connections.offers import offers_of
from mesh.routing.answers import ANSWER_BURST, ANSWER_RATE
from mesh.routing.database import ARRIVAL_BURST
from mesh.routing.early_records import ARRIVAL_HOLD_S
from mesh.routing.effects import Effects
from mesh.routing.flooding import FLOOD_PACE_S
from mesh.routing.records import EndpointEntry, Neighbour, RecordReader
from mesh.routing.work_steps import STEP_RECORDS, STEP_VERIFIED
from mesh.trust.identity import Identity
from tests.mesh.routing.route_table_company import (
    ALICE,
    BOB,
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
    hear(state, ALICE, [wire_of(IDENTITIES[4], sequence=5)], 0.0, UNIX)
    older = [msgspec.structs.replace(wire_of(IDENTITIES[4]), signature=bytes(64))]
    answers = sum(answered(hear(state, BOB, older, 1.0, UNIX)) for _ in range(1_000))
    assert answers == ANSWER_BURST
    assert answered(hear(state, ALICE, older, 1.0, UNIX)) == 1
    # Another link to the same peer begins no new burst, and after a while it is answered again.
    state.link_up(BOB, INSTANCE, 0.001, 1.0, UNIX)
    assert answered(hear(state, BOB, older, 1.0, UNIX)) == 0
    assert answered(hear(state, BOB, older, 1.0 + 1 / ANSWER_RATE, UNIX)) == 1


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
