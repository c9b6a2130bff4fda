"""A listener hears how candidates do, and hands them over in the order that follows from it."""

import logging
from typing import Any

import pytest

from actors.connections.listener import Listener
from actors.connections.offers import KnownOffers
from actors.listener_meter import MAX_ASIDE_SHOWN
from actors.messages import listener as messages
from actors.messages.client_count import ClientCount
from actors.messages.connection import ServeClient
from actors.messages.route_table import RoutesChanged
from actors.meters import Meters
from actors.runtime.virtual.world import VirtualWorld
from mesh.addresses import TcpAddress
from mesh.connection.candidates import MAX_SET_ASIDE_S
from mesh.connection.loops import LoopWatch
from mesh.routing.counterparts import NO_WAY
from mesh.trust.identity import Identity, short_id
from tests.actors.company import IDENTITIES, Client, Ear, record_of, routes_of, start

OWN, NEAR, FAR = IDENTITIES[:3]
ADDRESS = TcpAddress("127.0.0.1", 5432)


class House:
    def __init__(self) -> None:
        self.world = VirtualWorld(1)
        self.meters = Meters()
        self.ingresses: list[Ear] = []
        self.listener = start(
            self.world,
            Listener,
            name="the listener",
            key="my-api",
            address=ADDRESS,
            max_connections=0,
            believed=frozenset(),
            is_granted=False,
            may_use=lambda: True,
            route_table=start(self.world).ref,
            start_ingress=self._start_ingress,
            clients=ClientCount(),
            loops=LoopWatch(),
            offers=KnownOffers(),
            meters=self.meters,
            root=start(self.world).ref,
        )
        self.tell(RoutesChanged(routes_of(OWN, record_of(NEAR, "my-api"), record_of(FAR, "my-api"))))

    def _start_ingress(self, prepare_for: Any, listener: Any) -> Any:
        ref = Ear.start(self.world.dispatcher("here"))
        self.ingresses.append(self.world.dispatcher("here").actors[-1])
        return ref

    def tell(self, *told: Any) -> None:
        for message in told:
            self.listener.ref.tell(message)
        self.world.run(0.0)

    def order(self) -> list[Any]:
        start(self.world, Client, ADDRESS)
        self.world.run(0.01)
        served = [command for ingress in self.ingresses for command in ingress.of(ServeClient)]
        for command in served:
            command.socket.close()
        return [offer.party.id for offer in served[-1].candidates]


@pytest.fixture
def house(caplog):
    caplog.set_level("INFO", logger="mesh.forward")
    house = House()
    yield house
    house.world.stop()


@pytest.mark.parametrize(
    "code", ["refused", "timed-out", "at-capacity", "silent", "restarted", "not-permitted"]
)
def test_who_failed_is_tried_last_for_a_while(house, code):
    assert house.order() == [NEAR.id, FAR.id]
    house.tell(messages.CandidateFailed(NEAR.id, code))
    assert house.order() == [FAR.id, NEAR.id]
    house.world.run(MAX_SET_ASIDE_S)
    assert house.order() == [NEAR.id, FAR.id]


def test_a_connection_that_waits_hears_of_those_it_has_not_tried(house):
    asker = start(house.world)
    near, far = (offer.party for offer in house.listener._desk.offers)
    for tried in ({near}, {near, far}):
        house.tell(messages.FindCandidates(asker.ref, frozenset(tried)))
    found = [[offer.party for offer in told.offers] for told in asker.of(messages.CandidatesFound)]
    assert found == [[far], []]


def test_who_serves_again_is_where_it_was(house, caplog):
    house.tell(messages.CandidateFailed(NEAR.id, "refused"), messages.CandidateServed(NEAR.id))
    assert house.order() == [NEAR.id, FAR.id]
    house.tell(messages.CandidateServed(NEAR.id), messages.CandidateServed(FAR.id))
    (line,) = [record.message for record in caplog.records if "serves again" in record.message]
    assert f"agent {short_id(NEAR.id)} serves again" in line


def test_of_a_client_that_nobody_answered_the_way_that_was_tried_is_shown(house, caplog):
    caplog.set_level(logging.INFO, logger="mesh.forward")
    house.tell(messages.CandidateFailed(FAR.id, "silent"))
    house.tell(messages.ClientGivenUp("no candidate answered", (FAR.id,)))
    aside = caplog.records[-1].message
    assert aside.endswith(f"sets agent {short_id(FAR.id)} aside: no answer, {NO_WAY}")
    who = f"agent {short_id(FAR.id)} ({NO_WAY})"
    assert house.meters.listeners["the listener"].refusals.why == (
        f"no candidate answered; no answer from {who}"
    )


def test_each_setting_aside_is_told_and_counted_once(house, caplog):
    house.tell(*[messages.CandidateFailed(NEAR.id, "bad\ncode")] * 20)
    assert house.meters.candidates_set_aside == 1
    (line,) = [record.message for record in caplog.records if "aside" in record.message]
    assert "\n" not in line
    assert f"sets agent {short_id(NEAR.id)} aside" in line
    assert house.ingresses == []


def test_its_meter_shows_who_is_set_aside_until_it_serves_again(house):
    house.world.run(1.0)
    failed_at = house.world.now()
    house.tell(messages.CandidateFailed(NEAR.id, "refused"), messages.CandidateFailed(FAR.id, "silent"))
    meter = house.meters.listeners["the listener"]
    assert [(each.agent_id, each.code) for each in meter.aside] == [(NEAR.id, "refused"), (FAR.id, "silent")]
    assert [each.since_s for each in meter.aside] == [pytest.approx(failed_at)] * 2
    assert all(each.since_s < each.until_s for each in meter.aside)
    house.world.run(MAX_SET_ASIDE_S)
    house.order()  # one connection finds out whether they are back
    house.tell(messages.CandidateFailed(NEAR.id, "unavailable"), messages.CandidateServed(FAR.id))
    ((agent_id, code, since_s, _),) = meter.aside
    assert (agent_id, code, since_s) == (NEAR.id, "unavailable", pytest.approx(failed_at))


def test_its_meter_shows_nobody_as_set_aside_who_offers_the_key_no_more_or_anew(house):
    house.tell(messages.CandidateFailed(NEAR.id, "silent"))
    house.world.run(MAX_SET_ASIDE_S)
    house.tell(RoutesChanged(routes_of(OWN, record_of(FAR, "my-api"))))
    assert house.meters.listeners["the listener"].aside == ()
    house.tell(RoutesChanged(routes_of(OWN, record_of(NEAR, "my-api"), record_of(FAR, "my-api"))))
    assert house.meters.listeners["the listener"].aside == ()


def test_of_many_exits_that_fail_some_are_shown(house):
    numbers = range(10, 11 + MAX_ASIDE_SHOWN)
    crowd = [record_of(Identity(bytes((number,)) * 32), "my-api") for number in numbers]
    house.tell(RoutesChanged(routes_of(OWN, *crowd)))
    house.tell(*[messages.CandidateFailed(record.agent_id, "refused") for record in crowd])
    assert len(house.meters.listeners["the listener"].aside) == MAX_ASIDE_SHOWN


def test_its_meter_counts_clients_that_nobody_served_until_one_is_served(house):
    house.world.run(1.0)
    first_at = house.world.now()
    house.tell(messages.ClientGivenUp("refused at\nnear", ()))
    house.world.run(5.0)
    house.tell(messages.ClientGivenUp("no candidate answered", (FAR.id,)))
    clients, since_s, why = house.meters.listeners["the listener"].refusals
    assert (clients, since_s) == (2, pytest.approx(first_at))
    assert why.startswith("no candidate answered; no answer from ")
    house.tell(messages.CandidateServed(NEAR.id))
    assert house.meters.listeners["the listener"].refusals.clients == 0


def test_its_meter_says_whether_and_since_when_it_is_open_and_goes_with_it(house):
    meter = house.meters.listeners["the listener"]
    assert (meter.is_open, meter.address) == (True, str(ADDRESS))
    house.world.run(7.0)
    house.tell(RoutesChanged(routes_of(OWN)))
    assert not meter.is_open
    assert meter.since_s == pytest.approx(7.0, abs=0.1)
    house.listener.ref.stop(block=False)
    house.world.run(0.0)
    assert house.meters.listeners == {}
