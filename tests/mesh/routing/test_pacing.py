"""A peer whose link comes and goes without end makes its peers say little, and delays nobody."""

import pytest

from mesh.routing.database import ARRIVAL_BURST, ARRIVAL_RATE
from mesh.routing.origination import Originator, OwnAgent
from mesh.routing.pacing import (
    FIRST_HOLD_S,
    LINK_UP_COST_S,
    MAX_DEBT_S,
    MAX_HOLD_S,
    MAX_UNPAID,
    RESTLESS_HOLD_S,
    RESTLESS_S,
    Pacing,
)
from mesh.routing.records import EndpointEntry, decode_body
from mesh.token_bucket import TokenBucket
from mesh.trust.identity import AgentId, Identity, Instance
from tests.work.instructions import instructions

QUIET = AgentId(b"q" * 16)


def restless(number: int) -> AgentId:
    return AgentId(number.to_bytes(16, "big"))


def originator() -> Originator:
    fixed = OwnAgent(certificate=b"cert", session_key=b"s" * 32, instance=Instance(b"i" * 16), relays=True)
    source = Originator(Identity(b"\x01" * 32), fixed, epoch=1, advertise_interval_s=1_000.0)
    assert source.issue(0.0) is not None
    return source


def flap(source: Originator, flaps: int, now: float) -> None:
    peer = restless(flaps % 3)
    source.link_down(peer, now)
    source.link_up(peer, 0.001, now)
    if flaps % 2:
        source.link_down(peer, now)


def waits(of: int) -> list[float]:
    """How long the news of others waits while three links come and go, 20 times a second each, for minutes.

    ``of``: 0 for an endpoint that comes and goes each 5 s, 1 for another peer's link that does each 30 s.
    """
    source = originator()
    found, said = [], 0.0
    for tick in range(60 * 1_000):
        now = 10.0 + tick / 500
        if not tick % 10:
            flap(source, tick // 10, now)
        if tick % 2_500 == 1_250 and of == 0:
            said = now
            source.set_endpoints((EndpointEntry(f"key-{tick}", None),))
        if tick % 15_000 == 7_500 and of == 1:
            said = now
            source.link_up(QUIET, 0.001 * 4 ** (tick // 15_000), now)
        wire = source.issue(now)
        if wire is not None and said:
            found.append(now - said)
            body = decode_body(wire.signed)
            assert body.endpoints if of == 0 else QUIET in [each.id for each in body.neighbours]
            said = 0.0
    return found


@pytest.mark.parametrize(("of", "count"), [(0, 24), (1, 4)])
def test_links_that_come_and_go_delay_nobody_elses_news(of: int, count: int):
    found = waits(of)
    assert len(found) == count
    assert max(found) <= 2 * FIRST_HOLD_S


@pytest.mark.parametrize("peers", [1, 20])
def test_all_restless_peers_together_cost_a_record_a_second(peers: int):
    source = originator()
    issued = 0
    for tick in range(20 * 120):
        now = 10.0 + tick / 20
        peer = restless(tick % peers)
        source.link_down(peer, now)
        if tick // peers % 2:
            source.link_up(peer, 0.001, now)
        if now >= 70.0:
            issued += source.issue(now) is not None
        else:
            source.issue(now)
    assert issued <= 60 / MAX_HOLD_S + 1


@pytest.mark.parametrize("calm_each_s", [0.1, 0.7, 1.001, 1.5, 2.1, 5.0])
@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_an_agent_says_no_more_than_others_take_whatever_changes(calm_each_s: float, at_once: int):
    """Restless peers all the time, and others' changes at any pace: 1.5 records a second at the most."""
    pacing, told_at = Pacing(), []
    for number in range(10):
        pacing.link_up(restless(1), number / 1_000)
    calm, length_s = 0, 120
    for tick in range(length_s * 1_000):
        now = tick / 1_000
        pacing.link_up(restless(1), now)
        if now >= calm // at_once * calm_each_s + calm % at_once * 0.01:
            calm += 1
            pacing.changed()
        if now >= pacing.due_at():
            pacing.told(now)
            told_at.append(now)
    taken, rate = TokenBucket(ARRIVAL_RATE, ARRIVAL_BURST), 1 / MAX_HOLD_S + 1 / RESTLESS_HOLD_S
    assert all(taken.take(now) for now in told_at), "others take all of it"
    late = [now for now in told_at if now >= length_s / 2]
    assert len(late) <= rate * length_s / 2 + 2


def test_an_hour_of_restless_peers_and_others_leaves_no_debt_behind():
    pacing, now = Pacing(), 0.0
    for _ in range(3_600 * 2):
        now += 0.5
        pacing.link_up(restless(1), now)
        pacing.changed()
        if now >= pacing.due_at():
            pacing.told(now)
    now += (MAX_UNPAID + 1) * MAX_HOLD_S
    pacing.changed()
    assert pacing.due_at() <= now
    pacing.told(now)
    pacing.changed()
    assert pacing.due_at() == now + FIRST_HOLD_S
    pacing.told(now)
    pacing.link_changed(restless(1), now)
    assert pacing.due_at() == now + 2 * FIRST_HOLD_S


def test_a_peer_that_keeps_its_link_is_like_any_other_again():
    pacing = Pacing()
    for number in range(100):
        pacing.link_up(restless(1), number / 100)
        pacing.told(number / 100)
    pacing.link_changed(restless(1), 1.0)
    assert pacing.due_at() == 0.99 + RESTLESS_HOLD_S
    pacing.link_changed(restless(1), 1.0 + MAX_DEBT_S - RESTLESS_S)
    assert pacing.due_at() <= 0.99 + MAX_HOLD_S


def test_a_peer_that_is_restarted_now_and_then_is_not_restless():
    pacing = Pacing()
    for number in range(50):
        pacing.link_up(restless(1), number * LINK_UP_COST_S)
        assert pacing._is_calm
        pacing.told(number * LINK_UP_COST_S)


def test_what_is_remembered_of_peers_does_not_grow_with_those_that_have_paid():
    pacing = Pacing()
    for number in range(3_000):
        pacing.link_up(restless(number), number * 0.1)
    assert len(pacing._debts) <= 2 * LINK_UP_COST_S / 0.1 + 1


def test_a_crowd_of_new_links_takes_no_more_work_for_each_than_a_few():
    def work(count: int) -> int:
        pacing, peers = Pacing(), [restless(number) for number in range(count)]
        return instructions(lambda: [pacing.link_up(peer, 0.0) for peer in peers])

    assert work(5_000) < 10 * work(500) * 1.5
