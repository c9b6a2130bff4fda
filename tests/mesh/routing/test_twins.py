"""Two running agents with one identity, as all others hear of them."""

import msgspec
import pytest

from mesh.alarms import AlarmBook, AlarmKind
from mesh.link.bodies import WireRecord
from mesh.routing.origination import JUMP_SEQUENCES
from mesh.routing.router import RouteTableState
from mesh.routing.runs import MAX_KNOWN_RUNS, TWIN_BURST, TWIN_RATE
from mesh.trust.identity import Instance
from tests.mesh.routing.route_table_company import (
    ALICE,
    BOB,
    DAVE,
    IDENTITIES,
    INSTANCE,
    OTHER_INSTANCE,
    OWN,
    OWN_INSTANCE,
    RTT_S,
    UNIX,
    hear,
    linked,
    records_in,
    table,
    wire_of,
)

VICTIM = IDENTITIES[4]
GENUINE, THIEF = INSTANCE, OTHER_INSTANCE


def speaks(sequence: int, instance: Instance, age_ms: int = 0, **changes) -> WireRecord:
    wire = wire_of(VICTIM, sequence=sequence, instance=instance, **changes)
    return msgspec.structs.replace(wire, age_ms=age_ms)


def both_run(state: RouteTableState) -> None:
    """Hear two runs say what shows that both do: sequences and seconds 0 to 4, from two peers."""
    for number in range(5):
        instance, peer = ((GENUINE, ALICE), (THIEF, BOB))[number % 2]
        hear(state, peer, (speaks(number, instance),), float(number), UNIX)


def instance_held(state: RouteTableState) -> Instance | None:
    return state._link_state.instance_of(VICTIM.id)


def kinds(notices) -> list[AlarmKind]:
    return [notice.kind for notice in notices]


@pytest.mark.parametrize("thief_age_ms", [0, 290_000])
def test_the_run_that_was_known_first_is_held_on_to_whatever_the_other_says(thief_age_ms):
    state = linked(ALICE, BOB)
    held, notices = [], []
    for round_ in range(40):
        now = float(round_)
        for instance, peer in ((GENUINE, ALICE), (THIEF, BOB)):
            sequence = 2 * round_ + (instance == THIEF)
            age_ms = thief_age_ms if instance == THIEF else 0
            notices += hear(state, peer, (speaks(sequence, instance, age_ms),), now, UNIX).notices
            held.append(instance_held(state))
    assert set(held[4:]) == {GENUINE}, "traffic does not alternate"
    assert set(kinds(notices)) <= {AlarmKind.IDENTITY, AlarmKind.EXCESS}
    line = next(notice.line for notice in notices if notice.kind is AlarmKind.IDENTITY)
    assert GENUINE.hex() in line
    assert THIEF.hex() in line
    assert state.counts().records_twin_total >= 37


def test_a_restart_is_no_twin_however_often():
    state = linked(ALICE, BOB)
    for number in range(3 * MAX_KNOWN_RUNS):
        instance = Instance(bytes([number]) * 16)
        for sequence in range(2):
            wire = speaks(2 * number + sequence, instance)
            assert hear(state, ALICE, (wire,), 10.0 * number, UNIX).notices == []
            assert instance_held(state) == instance


def test_what_a_run_of_before_has_left_in_the_mesh_is_no_twin():
    """A clock was set back: the old record comes late, over another way, and the new run jumps past it."""
    state = linked(ALICE, BOB)
    left = speaks(1_000, THIEF, age_ms=120_000)
    for number, wire in enumerate((speaks(1, GENUINE), left, speaks(1_001, GENUINE))):
        assert hear(state, ALICE, (wire,), float(number), UNIX).notices == []
    assert instance_held(state) == GENUINE


def test_what_a_run_of_before_has_left_is_no_twin_where_its_last_but_one_was_known():
    """It lay in the buffer of an agent that stood still, so it seems as young as what the new run says."""
    state = linked(ALICE, BOB)
    told = (speaks(1_000, THIEF), speaks(1_001, GENUINE), speaks(1_002, THIEF), speaks(1_003, GENUINE))
    for number, wire in enumerate(told):
        assert hear(state, (ALICE, BOB)[number % 2], (wire,), 40.0 * number, UNIX).notices == []
    assert instance_held(state) == GENUINE
    # And so is the next restart none, of which the mesh hears at once.
    third = Instance(b"3" * 16)
    assert hear(state, ALICE, (speaks(1_004, third),), 160.0, UNIX).notices == []
    assert instance_held(state) == third


def test_a_thief_that_takes_a_new_instance_each_time_does_not_take_turns_for_ever():
    state = linked(ALICE, BOB)
    held = []
    for round_ in range(20):
        thief = Instance(bytes([round_]) * 16)
        for number, (instance, age_ms) in enumerate(((GENUINE, 0), (thief, 290_000))):
            wire = speaks(2 * round_ + number, instance, age_ms)
            hear(state, (ALICE, BOB)[number], (wire,), float(round_), UNIX)
            held.append(instance_held(state))
    assert set(held[4:]) == {GENUINE}


def test_one_instance_with_another_session_key_changes_nothing_from_the_first_record_on():
    book = AlarmBook()
    state = linked(ALICE, BOB, alarms=book)
    hear(state, ALICE, (speaks(0, GENUINE),), 0.0, UNIX)
    effects = hear(state, BOB, (speaks(1, GENUINE, session_key=b"t" * 32),), 1.0, UNIX)
    assert kinds(effects.notices) == [AlarmKind.IDENTITY]
    assert state._link_state._store.live[VICTIM.id].record.session_key == b"s" * 32
    assert [(alarm.kind, alarm.times) for alarm in book.counts()] == [(AlarmKind.IDENTITY, 1)]


def test_others_hear_of_the_other_run_but_not_without_end():
    state = linked(ALICE, BOB, DAVE)
    both_run(state)
    passed_on = 0
    for sequence in range(5, 205):
        effects = hear(state, BOB, (speaks(sequence, THIEF, age_ms=5),), 5.0 + sequence / 10, UNIX)
        told = records_in(effects)
        assert all(set(peers) == {ALICE, DAVE} and len(bodies) == 1 for peers, bodies in told)
        passed_on += len(told)
    assert TWIN_BURST <= passed_on <= TWIN_BURST + 20 * TWIN_RATE + 1
    # The first one's own records do not suffer from them.
    assert hear(state, ALICE, (speaks(300, GENUINE),), 26.0, UNIX).notices == []
    assert state._link_state._store.live[VICTIM.id].record.body.sequence == 300


def test_it_is_let_go_once_it_leaves_or_is_refreshed_no_more():
    for withdrawn, now in ((True, 7.0), (False, 400.0)):
        state = linked(ALICE, BOB)
        both_run(state)
        hear(state, BOB, (speaks(5, THIEF),), 5.0, UNIX)
        assert instance_held(state) == GENUINE
        if withdrawn:
            hear(state, ALICE, (speaks(6, GENUINE, withdrawn=True),), 6.0, UNIX)
        state.tick(now, UNIX)
        hear(state, BOB, (speaks(10, THIEF),), now, UNIX)
        assert instance_held(state) == THIEF


def test_the_genuine_one_says_so_where_readiness_is_asked_for():
    state = table(OWN)
    state.link_up(ALICE, INSTANCE, RTT_S, 0.0, UNIX)
    epoch = int(UNIX * 1000)
    hear(state, ALICE, (wire_of(OWN, epoch, 1, instance=THIEF),), 1.0, UNIX)
    assert state.problems(1.0) == (), "it may be of a run before, met after a clock was set back"
    state.tick(2.0, UNIX)
    hear(state, ALICE, (wire_of(OWN, epoch, 2 * JUMP_SEQUENCES, instance=THIEF),), 31.0, UNIX)
    [problem] = state.problems(31.0)
    assert problem.startswith("another running agent has this agent's identity key; ")
    assert state.warnings(31.0) == ()
    assert state.problems(10_000.0) == state.warnings(10_000.0) == ()


def overtaken_twice() -> RouteTableState:
    """The genuine one, whom a thief has overtaken twice by second 31."""
    state = table(OWN)
    state.link_up(ALICE, INSTANCE, RTT_S, 0.0, UNIX)
    for sequence, now in ((1, 1.0), (2 * JUMP_SEQUENCES, 31.0)):
        hear(state, ALICE, (wire_of(OWN, int(UNIX * 1000), sequence, instance=THIEF),), now, UNIX)
        state.tick(now + 1.0, UNIX)
    return state


@pytest.mark.parametrize("withdraws", [True, False])
def test_the_genuine_one_is_ready_and_warns_as_soon_as_the_other_is_gone(withdraws):
    state = overtaken_twice()
    gone_at = 40.0 if withdraws else 31.0 + 300.0
    assert state.problems(gone_at - 0.1) != ()
    if withdraws:
        wire = wire_of(OWN, int(UNIX * 1000), 4 * JUMP_SEQUENCES, instance=THIEF, withdrawn=True)
        hear(state, ALICE, (wire,), gone_at, UNIX)
    assert state.problems(gone_at) == ()
    [warning] = state.warnings(gone_at)
    assert warning.startswith("another agent with this agent's identity key was running; ")
    hear(
        state,
        ALICE,
        (wire_of(OWN, int(UNIX * 1000), 6 * JUMP_SEQUENCES, instance=THIEF),),
        gone_at + 40.0,
        UNIX,
    )
    assert state.problems(gone_at + 40.0) != (), "a thief that only said so is told again"


def test_that_the_other_run_has_left_is_passed_on_whatever_it_has_said_before():
    state = linked(ALICE, BOB, DAVE)
    both_run(state)
    for sequence in range(5, 40):
        hear(state, BOB, (speaks(sequence, THIEF),), 5.0, UNIX)
    told = [
        records_in(hear(state, BOB, (speaks(sequence, THIEF, withdrawn=True),), 6.0, UNIX))
        for sequence in range(50, 90)
    ]
    assert [len(each) for each in told[:2]] == [1, 1]
    assert sum(map(len, told)) <= TWIN_BURST, "nor may this fill the mesh"
    assert instance_held(state) == GENUINE


def test_who_copies_this_agents_instance_is_running_at_once():
    state = table(OWN)
    state.link_up(ALICE, INSTANCE, RTT_S, 0.0, UNIX)
    effects = hear(state, ALICE, (wire_of(OWN, int(UNIX * 1000), 100, instance=OWN_INSTANCE),), 1.0, UNIX)
    assert kinds(effects.notices) == [AlarmKind.IDENTITY]
    assert state.problems(1.0) != ()
