import msgspec

from mesh.routing.database import ARRIVAL_BURST
from mesh.routing.early_records import ARRIVAL_HOLD_S
from mesh.routing.record_outcomes import Early, Newer, Refusal, Refused, Stored
from mesh.routing.records import EndpointEntry, PageName
from tests.mesh.routing.database_company import ALICE, BOB, CAROL, UNIX, graph, wire_of


def test_beyond_the_limit_nobody_is_let_in_but_the_known_stay_current():
    state = graph(max_records=2)
    state.offer(wire_of(ALICE), 0.0, UNIX)
    outcome = state.offer(wire_of(BOB), 0.0, UNIX)
    assert isinstance(outcome, Refused)
    assert outcome.refusal is Refusal.FULL
    assert isinstance(state.offer(wire_of(ALICE, sequence=1), 0.0, UNIX), Stored)
    assert state.counts.refused_full == 1


def test_what_expired_gives_way():
    state = graph(max_records=3)
    state.offer(wire_of(ALICE), 0.0, UNIX)
    state.offer(wire_of(BOB), 100.0, UNIX)
    state.expire(300.0)
    assert isinstance(state.offer(wire_of(CAROL), 300.0, UNIX), Stored)
    # ALICE is forgotten for it, and nobody but the expired may be.
    assert isinstance(state.offer(wire_of(ALICE), 300.0, UNIX), Refused)
    state.expire(400.0)
    assert isinstance(state.offer(wire_of(ALICE), 400.0, UNIX), Stored)


def test_memory_is_bounded_and_given_back():
    large = tuple(EndpointEntry(f"key-{index}", None) for index in range(100))
    state = graph(max_bytes=40_000)
    assert isinstance(state.offer(wire_of(ALICE, endpoints=large), 0.0, UNIX), Stored)
    outcome = state.offer(wire_of(BOB, endpoints=large), 0.0, UNIX)
    assert isinstance(outcome, Refused)
    assert outcome.refusal is Refusal.FULL
    # Replaced by a small one, and by turns: nothing is counted twice.
    for sequence in range(1, 40):
        wire = wire_of(ALICE, sequence=sequence, endpoints=large if sequence % 2 else ())
        assert isinstance(state.offer(wire, float(sequence), UNIX), Stored)
    state.offer(wire_of(ALICE, sequence=40), 40.0, UNIX)
    assert isinstance(state.offer(wire_of(BOB, endpoints=large), 40.0, UNIX), Stored)
    # What has expired makes room here too.
    state.offer(wire_of(ALICE, sequence=41), 200.0, UNIX)
    state.expire(340.0)
    assert BOB.id not in state
    assert isinstance(state.offer(wire_of(CAROL, endpoints=large), 340.0, UNIX), Stored)


def test_nothing_is_forgotten_for_what_does_not_fit_even_so():
    state = graph(max_bytes=40_000)
    state.offer(wire_of(ALICE, sequence=3), 0.0, UNIX)
    state.expire(300.0)
    large = tuple(EndpointEntry(f"key-{index}", None) for index in range(150))
    assert isinstance(state.offer(wire_of(BOB, endpoints=large), 300.0, UNIX), Refused)
    assert isinstance(state.offer(wire_of(ALICE, endpoints=large, sequence=4), 300.0, UNIX), Refused)
    # Else what ALICE said long ago could be brought back.
    assert isinstance(state.offer(wire_of(ALICE, sequence=2), 300.0, UNIX), Newer)
    assert isinstance(state.offer(wire_of(ALICE, sequence=5), 300.0, UNIX), Stored)


def test_long_texts_count_as_memory():
    long = tuple(EndpointEntry(f"{index}" * 100, "t" * 500) for index in range(40))
    state = graph(max_bytes=40_000)
    outcome = state.offer(wire_of(ALICE, endpoints=long), 0.0, UNIX)
    assert isinstance(outcome, Refused)
    assert outcome.refusal is Refusal.FULL


def test_pages_count_as_memory_before_they_come():
    named = tuple(PageName(bytes([number]) * 16, 10_000, 100) for number in range(4))
    needed = 2_500 + 2 * 4 * 10_000 + 250 * 4 * 100
    assert isinstance(graph(max_bytes=2 * needed).offer(wire_of(ALICE, pages=named), 0.0, UNIX), Stored)
    outcome = graph(max_bytes=needed).offer(wire_of(ALICE, pages=named), 0.0, UNIX)
    assert isinstance(outcome, Refused)
    assert outcome.refusal is Refusal.FULL


def test_an_agent_that_says_too_much_is_heard_more_slowly_and_others_as_before():
    state = graph()
    outcomes = [state.offer(wire_of(ALICE, sequence=number), 0.0, UNIX) for number in range(100)]
    stored = int(ARRIVAL_BURST)
    assert [type(outcome) for outcome in outcomes] == [Stored] * stored + [Early] * (100 - stored)
    assert state.counts.early == 100 - stored
    assert isinstance(state.offer(wire_of(BOB), 0.0, UNIX), Stored)
    assert isinstance(state.offer(wire_of(ALICE, sequence=99), ARRIVAL_HOLD_S, UNIX), Stored)


def test_records_that_claim_a_great_age_are_heard_as_slowly():
    state = graph()
    state.offer(wire_of(ALICE), 0.0, UNIX)
    old = [msgspec.structs.replace(wire_of(ALICE, sequence=number), age_ms=10**7) for number in range(1, 100)]
    outcomes = [state.offer(wire, 0.0, UNIX) for wire in old]
    assert sum(isinstance(outcome, Stored) for outcome in outcomes) < ARRIVAL_BURST
    assert isinstance(outcomes[-1], Early)
