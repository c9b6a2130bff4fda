"""A SOCKS listener: who is let in, for how long, and what those are told who cannot be served."""

from unittest.mock import Mock

import pytest

from actors.connections.named_service import IDLE_S
from actors.connections.socks_listener import HANDSHAKE_S, MAX_HANDSHAKES
from actors.messages.listener import CandidateFailed, CandidateServed, ClientGivenUp, StopListening
from actors.messages.route_table import RoutesChanged
from actors.messages.socks_listener import ChangeSocks
from mesh.config.schema import SocksSection
from mesh.config.secret import Secret
from mesh.socks.client import GREETING, request
from mesh.socks.numbers import Method, Reply
from mesh.trust.identity import display_id
from tests.actors.company import record_of, routes_of
from tests.actors.connections.socks_company import ADDRESS, FAR, KEY, NEAR, OWN, WELCOME, SocksHouse, login

pytestmark = pytest.mark.usefixtures("no_crashes")

GUARDED = {"user": "somebody", "password": Secret(b"something")}


@pytest.fixture
def houses():
    made = []

    def make(**settings):
        made.append(SocksHouse(**settings))
        made[-1].offer(NEAR)
        return made[-1]

    yield make
    for house in made:
        house.world.stop()


def test_a_client_is_handed_over_with_its_request_read_and_unanswered(houses):
    house = houses()
    client = house.ask()
    assert (client.told, client.end, house.served) == (WELCOME, "", 1)


def test_who_says_nothing_is_let_go_in_time(houses):
    house = houses()
    silent = house.connect()
    house.world.run(HANDSHAKE_S / 2)
    slow = house.connect(GREETING)
    house.world.run(HANDSHAKE_S / 2 - 0.1)
    assert (silent.end, slow.end) == ("", "")
    house.world.run(0.2)
    assert (silent.end != "", slow.end) == (True, "")
    house.world.run(HANDSHAKE_S / 2)
    assert slow.end
    assert house.meters.socks_refused == 2
    late = house.connect()  # the time is kept for those that come afterwards, too
    house.world.run(HANDSHAKE_S + 0.1)
    assert late.end


def test_who_is_served_has_no_deadline(houses):
    house = houses()
    client = house.ask()
    house.world.run(3 * HANDSHAKE_S)
    assert (client.end, house.meters.socks_refused) == ("", 0)


def test_the_oldest_of_too_many_makes_room(houses):
    house = houses()
    crowd = [house.connect() for _ in range(MAX_HANDSHAKES)]
    assert not any(client.end for client in crowd)
    assert house.ask().told == WELCOME
    assert [bool(client.end) for client in crowd[:2]] == [True, False]


@pytest.mark.parametrize(
    ("user", "password", "welcome"), [("somebody", "something", 0), ("somebody", "x", 1)]
)
def test_a_password_lets_in_or_does_not(houses, user, password, welcome):
    house = houses(**GUARDED)
    client = house.connect(login(user, password))
    assert client.told == bytes((5, Method.PASSWORD, 1, welcome))
    assert (house.served, client.end) == ((1, "") if welcome == 0 else (0, "EOF"))


def test_without_the_password_nobody_is_let_in(houses):
    house = houses(**GUARDED)
    client = house.ask()
    assert (client.told, client.end, house.served) == (bytes((5, Method.UNACCEPTABLE)), "EOF", 0)


def test_a_password_changes_in_place_and_who_is_in_stays(houses):
    house = houses(**GUARDED)
    before = house.connect(login("somebody", "something"))
    house.tell(ChangeSocks(SocksSection(address=ADDRESS, user="somebody", password=Secret(b"else"))))
    house.connect(login("somebody", "something"))
    assert house.served == 1
    house.connect(login("somebody", "else"))
    assert (house.served, before.end) == (2, "")
    house.tell(ChangeSocks(SocksSection(address=ADDRESS)))
    house.ask()
    assert house.served == 3


def test_the_limit_is_for_all_keys_and_changes_in_place(houses):
    house = houses(max_connections=1)
    first, second = house.ask(), house.ask()
    assert (first.end, second.code, second.end, house.served) == ("", Reply.FAILED, "EOF", 1)
    house.tell(ChangeSocks(SocksSection(address=ADDRESS, max_connections=2)))
    third, fourth = house.ask(), house.ask()
    assert (third.end, fourth.code, house.served) == ("", Reply.FAILED, 2)


def test_the_limit_counts_those_who_ask_at_the_same_moment(houses):
    house = houses(max_connections=2)
    clients = [house.connect() for _ in range(4)]
    for client in clients:
        client.ref.tell(GREETING + request(KEY))
    house.world.run(0.01)
    refused = [client for client in clients if client.end]
    assert [client.code for client in refused] == [Reply.FAILED, Reply.FAILED]
    assert (house.served, house.clients.connected) == (2, 2)


def test_the_place_of_somebody_who_is_not_served_after_all_is_free_again(houses):
    house = houses(max_connections=2)
    house.ask()
    house.services[0].tell(RoutesChanged(routes_of(OWN)))  # its listener has not heard that yet
    house.world.run(0.0)
    assert house.ask().code is Reply.HOST_UNREACHABLE
    assert house.clients.connected == 1


def test_a_key_that_the_certificate_forbids(houses):
    house = houses(may_use=False)
    client = house.ask()
    assert (client.code, client.end, house.served) == (Reply.NOT_ALLOWED, "EOF", 0)
    house.may_use = True  # a certificate that permits it
    house.ask()
    assert house.served == 1


def test_a_key_that_nobody_offers_and_one_that_is_cut_off(houses):
    house = houses()
    assert house.ask("other").code is Reply.HOST_UNREACHABLE
    assert house.ask(f"{KEY}.nobody").code is Reply.HOST_UNREACHABLE
    near = record_of(NEAR, KEY)
    nowhere = routes_of(OWN)
    nowhere.records[near.agent_id] = near
    house.hear(nowhere)
    assert house.ask().code is Reply.NETWORK_UNREACHABLE
    assert house.served == 0


def test_what_serves_a_key_ends_when_nobody_asks_and_comes_again(houses):
    house = houses()
    client = house.ask()
    (service,) = house.services
    house.world.run(IDLE_S / 2)
    house.ask()
    service.tell(CandidateServed(NEAR.id))
    house.world.run(IDLE_S - 1.0)
    assert (service.is_alive(), house.services) == (True, [service])
    assert house.standing_by == 1
    house.world.run(2.0)
    assert not service.is_alive()
    assert house.standing_by == 0
    assert client.end == ""  # a connection outlives what has started it
    assert house.ask().end == ""
    assert len(house.services) == 2


def test_a_key_asked_for_by_name_is_measured_while_something_serves_it(houses):
    house = houses()
    assert house.meters.listened.by_key() == house.meters.named == {}
    house.ask()
    house.ask(f"{KEY}.near.mesh")
    (service, *_) = house.services
    named = house.meters.named[service.actor_urn]
    assert (named.key, named.meter.is_open) == (KEY, True)
    assert house.meters.listened.by_key().keys() == {KEY}
    service.tell(ClientGivenUp("refused at near", ()))
    house.world.run(0.0)
    assert (named.meter.refusals.clients, named.meter.refusals.why) == (1, "refused at near")
    house.world.run(2 * IDLE_S + 1.0)
    assert house.meters.listened.by_key() == house.meters.named == {}


@pytest.mark.interpreted
def test_of_very_many_keys_asked_for_by_name_some_are_measured(houses, monkeypatch):
    monkeypatch.setattr("actors.meters.MAX_NAMED_KEYS", 1)
    house = houses()
    house.hear(routes_of(OWN, record_of(NEAR, KEY, "other")))
    assert [house.ask(key).end for key in (KEY, "other")] == ["", ""]
    assert len(house.services) == 2
    assert house.meters.listened.by_key().keys() == {KEY}
    house.world.run(2 * IDLE_S + 1.0)
    assert house.meters.named == {}


@pytest.mark.interpreted
def test_of_very_many_keys_the_one_asked_for_longest_ago_makes_room_and_its_clients_stay(houses, monkeypatch):
    monkeypatch.setattr("actors.connections.socks_listener.MAX_SERVICES", 2)
    house = houses()
    house.hear(routes_of(OWN, record_of(NEAR, KEY, "other", "third")))
    clients = [house.ask(key) for key in (KEY, "other", KEY, "third", KEY)]
    house.world.run(0.1)
    assert [service.is_alive() for service in house.services] == [True, False, True]
    assert [client.end for client in clients] == [""] * 5


def test_one_that_closes_its_port_serves_those_that_have_come(houses):
    house = houses()
    client = house.ask()
    house.services[0].tell(CandidateServed(NEAR.id))
    half = house.connect(GREETING)
    assert house.standing_by == 1
    house.tell(StopListening())
    assert (house.standing_by, house.connect().end) == (0, "Connection refused")
    half.ref.tell(request(KEY))
    house.world.run(0.1)
    house.services[0].tell(CandidateServed(NEAR.id))
    house.world.run(0.1)
    assert (house.served, house.standing_by) == (2, 0)
    assert house.services[0].is_alive()  # who is being served may ask for others that offer the key
    assert (client.end, half.end) == ("", "")


def test_what_serves_a_key_ends_with_its_listener(houses):
    house = houses()
    client = house.ask()
    half = house.connect(GREETING)
    house.socks.ref.stop(block=False)
    house.world.run(0.1)
    assert (house.services[0].is_alive(), client.end, half.end != "") == (False, "", True)


def test_who_asks_for_one_agent_distrusts_no_other(houses, caplog):
    house = houses()
    house.offer(NEAR, FAR)
    assert house.ask(f"{KEY}.{display_id(NEAR.id)}.mesh").end == ""
    house.offer(FAR)
    assert "ignores" not in caplog.text
    assert house.meters.offers_disbelieved == 0


def test_its_lines_say_by_which_door(houses, caplog):
    caplog.set_level("INFO", logger="mesh.forward")
    house = houses()
    house.ask()
    house.services[0].tell(CandidateFailed(NEAR.id, "refused"))
    house.world.run(0.0)
    house.offer(FAR, NEAR)
    facts = [record.args for record in caplog.records if record.name == "mesh.forward"]
    lines = [record.getMessage() for record in caplog.records if "what" in record.args]
    assert [line.partition(KEY)[2].split()[0] for line in lines] == ["sets", "prefers"]
    assert all(line.startswith(f"SOCKS listener {ADDRESS} for {KEY} ") for line in lines)
    assert all(each["key"] == KEY for each in facts[-2:])


def test_whom_it_refuses_is_said_even_if_that_client_has_no_name(houses, caplog):
    caplog.set_level("INFO", logger="mesh.forward")
    house = houses()
    house.ask("other")
    house.socks._tell_refused("why", Mock(peer_name="unix:"))
    named, unnamed = (record.getMessage() for record in caplog.records if "client" in record.args)
    assert f"{ADDRESS} refuses 10." in named or f"{ADDRESS} refuses 127." in named
    assert unnamed == f"SOCKS listener at {ADDRESS} refuses a client: why"
