"""OPENs that come to nothing are rationed by link and source; those of others are looked at as ever."""

import pytest

from mesh.connection.open_admission import (
    INGRESS_BURST,
    INGRESS_RATE,
    LINK_BURST,
    LINK_RATE,
    LITTLE_RATE,
    MAX_BUCKETS,
    TOLD_BURST,
    OpenAdmission,
    Refusal,
)
from mesh.trust.identity import NO_AGENT, AgentId

HOSTILE, GOOD = (AgentId(letter * 16) for letter in (b"h", b"g"))


def agent(number):
    return AgentId(number.to_bytes(16, "big"))


ALICE, BOB = agent(1), agent(2)


@pytest.fixture
def admission():
    return OpenAdmission(4096)


def flood(admission, count, now, sources=(ALICE,), first=1):
    """So many OPENs by the hostile link that come to nothing; how many were looked at."""
    looked_at = 0
    for number in range(first, first + count):
        source = sources[number % len(sources)]
        if admission.admit(source, number, HOSTILE, now) is None:
            looked_at += 1
            admission.settled(source, number, is_in_use=False)
    return looked_at


def test_what_is_served_is_not_rationed(admission):
    for number in range(20_000):
        assert admission.admit(ALICE, number, GOOD, 0.0) is None
        admission.settled(ALICE, number, is_in_use=True)
    assert len(admission) == 0


def test_what_comes_to_nothing_is_rationed_for_its_source(admission):
    assert flood(admission, 20_000, 0.0) == INGRESS_BURST
    assert flood(admission, 20_000, 1.0) == INGRESS_RATE
    assert admission.admit(ALICE, 1, HOSTILE, 1.0) is Refusal.RATE


def test_in_whosever_name_it_comes_it_is_rationed_for_its_link(admission):
    sources = [agent(number) for number in range(100)]
    assert flood(admission, 20_000, 0.0, sources) == LINK_BURST
    assert flood(admission, 20_000, 1.0, sources) == LINK_RATE


def test_an_agent_in_whose_name_a_link_floods_is_served_by_another(admission):
    for second in range(5):
        flood(admission, 20_000, float(second))
        for number in range(300):
            assert admission.admit(ALICE, number, GOOD, float(second)) is None
            admission.settled(ALICE, number, is_in_use=False)


def test_beside_a_flood_in_one_name_others_on_its_link_are_served(admission):
    for second in range(5):
        flood(admission, 20_000, float(second))
        for number in range(100):
            assert admission.admit(BOB, number, HOSTILE, float(second)) is None
            admission.settled(BOB, number, is_in_use=True)


def test_beside_a_flood_in_many_names_those_who_ask_little_are_served(admission):
    names = [agent(number) for number in range(100, 100 + int(LINK_RATE / LITTLE_RATE) - 10)]
    for second in range(60):
        flood(admission, 5_000, float(second), names)
        for number in range(int(LITTLE_RATE)):
            assert admission.admit(BOB, number, HOSTILE, float(second)) is None
            admission.settled(BOB, number, is_in_use=False)


def test_one_link_cannot_have_all_that_is_under_way():
    admission = OpenAdmission(90)
    verdicts = [admission.admit(agent(number % 7), number, HOSTILE, 0.0) for number in range(200)]
    assert verdicts.count(None) == len(admission) == 80
    assert verdicts[-1] is Refusal.PENDING
    assert [admission.admit(ALICE, number, GOOD, 0.0) for number in range(1000, 1005)] == [None] * 5


def test_one_source_cannot_have_all_that_is_under_way_on_its_link():
    admission = OpenAdmission(90)
    for number in range(60):
        admission.admit(ALICE, number, HOSTILE, 0.0)
    for number in range(100, 105):
        admission.admit(BOB, number, GOOD, 0.0)
    assert admission.admit(BOB, 200, HOSTILE, 0.0) is None


def test_it_is_known_whose_an_open_was_while_it_is_under_way(admission):
    admission.admit(ALICE, 7, GOOD, 0.0)
    assert admission.via_of(ALICE, 7, NO_AGENT) == GOOD
    for is_in_use in (True, False):  # told twice, counted once
        admission.settled(ALICE, 7, is_in_use=is_in_use)
    assert admission.via_of(ALICE, 7, NO_AGENT) == NO_AGENT
    assert len(admission) == 0


def test_memory_is_bounded(admission):
    for number in range(MAX_BUCKETS + 10):
        admission.admit(agent(number), number, HOSTILE, float(number))
        admission.settled(agent(number), number, is_in_use=True)
    assert len(admission._rates) == MAX_BUCKETS
    admission.admit(ALICE, 1, GOOD, 0.0)
    admission._rates.clear()
    admission.settled(ALICE, 1, is_in_use=True)  # whose bucket was forgotten meanwhile


def test_refusals_are_told_now_and_then(admission):
    assert sum(admission.is_to_be_told(HOSTILE, 0.0) for _ in range(1000)) == TOLD_BURST
    assert admission.is_to_be_told(GOOD, 0.0)
    assert admission.is_to_be_told(HOSTILE, 1.0)
