"""Who pays for handshakes that come to nothing, and what that leaves to others."""

import pytest

from mesh.link.arrivals import ADMISSION_BURST, ADMISSION_RATE
from mesh.link.futile import EVERYBODY, FUTILE_BURST, FUTILE_RATE, SPARE_BURST, SPARE_RATE, FutileHandshakes
from mesh.trust.identity import AgentId

HOME, ELSEWHERE = "192.0.2.1", "192.0.2.2"
AGENT, OTHER = AgentId(b"a" * 16), AgentId(b"o" * 16)
TICKET, STRAY = b"t" * 16, b"s" * 16


def used_up(bucket: str = HOME) -> FutileHandshakes:
    """Somebody without a ticket has begun all handshakes that it could, at time 0."""
    futile = FutileHandshakes()
    count = 0
    while futile.pay(STRAY, bucket, 0.0) is not None:
        count += 1
    assert count == FUTILE_BURST + SPARE_BURST
    return futile


def test_an_address_pays_first_and_then_all_together():
    futile = FutileHandshakes()
    paid = [futile.pay(b"", HOME, 0.0) for _ in range(int(FUTILE_BURST + SPARE_BURST) + 1)]
    assert paid[0] == paid[int(FUTILE_BURST) - 1] == HOME
    assert paid[int(FUTILE_BURST)] == paid[-2] == EVERYBODY
    assert paid[-1] is None


def test_what_one_address_uses_up_is_not_that_of_another():
    futile = used_up()
    assert futile.pay(STRAY, HOME, 0.0) is None
    assert futile.pay(STRAY, ELSEWHERE, 0.0) == ELSEWHERE


def test_the_processor_spends_a_bounded_part_of_a_second_on_each_address_and_one_more_on_all():
    futile = used_up()
    others = used_up(ELSEWHERE)
    begun = sum(futile.pay(STRAY, HOME, tick / 1000) is not None for tick in range(10_000))
    assert begun == pytest.approx((FUTILE_RATE + SPARE_RATE) * 10.0, rel=0.01)
    both = sum(
        others.pay(STRAY, bucket, tick / 1000) is not None
        for tick in range(10_000)
        for bucket in (HOME, ELSEWHERE)
    )
    assert both == pytest.approx(FUTILE_BURST + (2 * FUTILE_RATE + SPARE_RATE) * 10.0, rel=0.01)


def test_an_agent_with_a_ticket_is_let_in_whatever_its_neighbours_do():
    futile = FutileHandshakes()
    futile.admitted(HOME, AGENT, TICKET, 0.0)
    while futile.pay(STRAY, HOME, 0.0) is not None:
        pass
    assert futile.pay(TICKET, HOME, 0.0) == AGENT
    assert futile.pay(TICKET, ELSEWHERE, 0.0) == AGENT, "it may have moved"


def test_a_ticket_is_good_for_as_many_futile_handshakes_as_its_agent_is_let_in_with_links():
    futile = FutileHandshakes()
    futile.admitted(HOME, AGENT, TICKET, 0.0)
    futile.admitted(HOME, OTHER, b"u" * 16, 0.0)
    while futile.pay(STRAY, HOME, 0.0) is not None:
        pass
    assert sum(futile.pay(TICKET, HOME, 0.0) == AGENT for _ in range(100)) == ADMISSION_BURST
    assert futile.pay(b"u" * 16, HOME, 0.0) == OTHER, "others with a ticket do not notice"
    later = [futile.pay(TICKET, HOME, tick / 1000) for tick in range(1, 10_001)]
    assert later.count(AGENT) == ADMISSION_RATE * 10
    assert set(later) == {AGENT, HOME, EVERYBODY, None}, "without one left it is as any newcomer"


@pytest.mark.parametrize("lane", ["agent", "address", "spare"])
def test_who_has_paid_for_a_link_gets_it_back_and_nobody_else(lane):
    futile = FutileHandshakes()
    futile.admitted(HOME, AGENT, TICKET, 0.0)
    payers = {"agent": AGENT, "address": HOME, "spare": EVERYBODY}
    for _ in range(int(ADMISSION_BURST)):
        assert futile.pay(TICKET, HOME, 0.0) == AGENT
    while futile.pay(STRAY, HOME, 0.0) is not None:
        pass
    futile.admitted(payers[lane], AGENT, TICKET, 0.0)
    assert [futile.pay(TICKET, HOME, 0.0) for _ in range(2)] == [payers[lane], None]


def test_an_agent_that_is_let_in_again_and_again_costs_nobody_anything():
    futile = FutileHandshakes()
    ticket = b""
    for number in range(3 * int(FUTILE_BURST)):
        payer = futile.pay(ticket, HOME, 0.0)
        assert payer == (HOME if not number else AGENT)
        ticket = number.to_bytes(16, "big")
        futile.admitted(payer, AGENT, ticket, 0.0)
