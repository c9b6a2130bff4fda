"""A listener has a connection ready for its next client, for the candidate whose turn it is."""

from collections import Counter

import pytest
from msgspec.structs import replace

from actors.messages import listener as messages
from actors.messages.connection import CloseConnection
from actors.messages.route_table import RoutesChanged
from mesh.connection.candidates import MAX_SET_ASIDE_S
from tests.actors.company import IDENTITIES, Client, record_of, routes_of, start
from tests.actors.connections.listener_company import ADDRESS, FAR, NEAR, OWN, House

KEY = "postgres-main"
NEARBY = record_of(NEAR, KEY)
FURTHER = record_of(FAR, KEY)


@pytest.fixture
def houses():
    made = []

    def make(*records, equally_near=False, **settings):
        house = House(**settings)
        made.append(house)
        house.open()
        house.offer(*(records or (NEARBY,)), equally_near=equally_near)
        return house

    yield make
    for house in made:
        house.world.stop()


def serve_one(house):
    """A client comes, and its candidate serves it; the ingress that it was handed to."""
    house.connect()
    served = next(each for each in reversed(house.ingresses) if each.clients is not None)
    house.tell(messages.CandidateServed(served.candidates[0].id))
    return served


def standing_by(house):
    return [each for each in house.ingresses if each.clients is None and each.ref.is_alive()]


def test_nobody_stands_by_before_a_first_client_was_served(houses):
    house = houses()
    house.world.run(100.0)
    assert house.ingresses == []
    house.connect()
    assert standing_by(house) == []
    house.tell(messages.CandidateServed(NEAR.id))
    (standby,) = standing_by(house)
    assert standby.prepare_for.party.id == NEAR.id
    assert house.listener._clients.connected == house.meters.clients_accepted == 1


def test_the_next_client_gets_what_stands_by(houses):
    house = houses()
    serve_one(house)
    (standby,) = standing_by(house)
    assert serve_one(house) is standby
    assert len(house.ingresses) == 3


def test_one_stands_by_however_many_were_served(houses):
    house = houses()
    house.connect()
    house.tell(*[messages.CandidateServed(NEAR.id)] * 50)
    assert len(standing_by(house)) == 1


def test_of_clients_that_come_at_once_the_first_gets_what_stands_by(houses):
    house = houses()
    serve_one(house)
    (standby,) = standing_by(house)
    clients = [start(house.world, Client, ADDRESS) for _ in range(8)]
    house.world.run(0.1)
    assert [client.end for client in clients] == [""] * 8
    assert standby.clients is not None
    assert len(house.ingresses) == 1 + 8
    assert house.listener._clients.connected == 9


def withdraw(house):
    house.offer(FURTHER)


def restart(house):
    house.offer(record_of(NEAR, KEY, instance=b"n"), FURTHER)


def park(house):
    house.offer()


def stop(house):
    house.tell(messages.StopListening())


def crash(house):
    house.tell("no such message")


@pytest.mark.parametrize("happens", [withdraw, restart, park, stop, crash])
def test_it_is_discarded_at_once_when_it_cannot_be_of_use_any_more(houses, happens):
    house = houses(NEARBY, FURTHER)
    first = serve_one(house)
    (standby,) = standing_by(house)
    happens(house)
    assert len(standby.of(CloseConnection)) == 1
    assert not standby.ref.is_alive()
    assert standing_by(house) == []
    assert first.ref.is_alive()
    if house.listener.ref.is_alive():
        house.tell(messages.CandidateServed(NEAR.id))
    assert len(standing_by(house)) == (happens in (withdraw, restart))


def fail(house):
    house.tell(messages.CandidateFailed(NEAR.id, "refused"))
    return FAR.id


def come_nearer(house):
    house.offer(FURTHER, NEARBY)
    return FAR.id


def fall_dead(house):
    standing_by(house)[0].ref.stop(block=False)
    house.world.run(0.0)
    return NEAR.id


@pytest.mark.parametrize("happens", [fail, come_nearer, fall_dead])
def test_a_client_for_whom_it_is_of_no_use_gets_another(houses, happens):
    house = houses(NEARBY, FURTHER)
    serve_one(house)
    (standby,) = standing_by(house)
    first = happens(house)
    served = serve_one(house)
    assert served is not standby
    assert served.candidates[0].id == first
    assert not standby.ref.is_alive()
    (standby,) = standing_by(house)
    assert standby.prepare_for.party.id == first
    assert serve_one(house) is standby


def test_it_is_kept_for_a_candidate_that_is_back_before_the_next_client(houses):
    house = houses(NEARBY, FURTHER)
    serve_one(house)
    (standby,) = standing_by(house)
    house.tell(messages.CandidateFailed(NEAR.id, "refused"))
    house.world.run(MAX_SET_ASIDE_S)
    assert serve_one(house) is standby


def test_it_takes_no_place_among_the_clients(houses):
    house = houses(max_connections=2)
    serve_one(house)
    assert len(standing_by(house)) == 1
    assert [house.connect().end for _ in range(2)] == ["", "Connection reset by peer"]


@pytest.mark.parametrize("together", [1, 2, 3, 7])
def test_equal_candidates_have_equal_shares(houses, together):
    records = [record_of(identity, KEY) for identity in IDENTITIES[1:4]]
    house = houses(*records, equally_near=True)
    for _ in range(0, 210, together):
        for _ in range(together):
            start(house.world, Client, ADDRESS)
        house.world.run(0.01)
        served = [each for each in house.ingresses if each.clients is not None][-together:]
        house.tell(*[messages.CandidateServed(each.candidates[0].id) for each in served])
    served = [each for each in house.ingresses if each.clients is not None]
    assert len(served) == 210
    assert set(Counter(each.candidates[0].id for each in served).values()) == {70}
    prepared = [each for each in served if each.prepare_for is not None]
    assert len(prepared) == 210 // together - 1
    assert all(each.candidates[0] == each.prepare_for.party for each in prepared)


def test_whom_the_draw_prefers_among_those_that_never_had_a_turn_makes_no_difference(houses):
    records = [record_of(identity, KEY) for identity in IDENTITIES[1:]]
    for _ in range(20):
        house = houses(*records, equally_near=True)
        served = [serve_one(house) for _ in range(4)]
        assert len({each.candidates[0].id for each in served}) == 4
        assert [each.prepare_for is not None for each in served] == [False, True, True, True]


def test_another_is_preferred_only_if_it_is_nearer(houses, caplog):
    """Among equals each has its turn; round trips change all the time, and nobody wants to read that."""
    caplog.set_level("INFO", logger="mesh.forward")
    house = houses(NEARBY)
    house.offer(FURTHER, NEARBY, equally_near=True)
    house.offer(NEARBY, FURTHER, equally_near=True)
    routes = routes_of(OWN, FURTHER, NEARBY, equally_near=True)
    first, second = routes.candidates[KEY]
    quicker = replace(routes, candidates={KEY: (first, second._replace(rtt_steps=3))})
    house.tell(RoutesChanged(quicker))
    assert house.listener._desk.offers[0].rtt_step < house.listener._desk.offers[1].rtt_step
    assert "prefers" not in caplog.text
    house.offer(NEARBY)
    assert caplog.text.count("prefers") == 1
    house.offer(FURTHER, NEARBY)
    assert caplog.text.count("prefers") == 2
