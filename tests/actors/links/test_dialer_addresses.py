"""A peer's name with several addresses, of which some are silent, no peer's, or this agent's own."""

import logging

import pytest

from actors.links.dialer import DIAL_TIMEOUT_S, FIRST_REDIAL_S, MAX_REDIAL_S, OWN_ADDRESS_S, State
from actors.messages import dialer as messages
from mesh.reaching import NEXT_ADDRESS_AFTER_S
from tests.actors.company import start
from tests.actors.links.dialer_company import PEER, Acceptor, House


@pytest.fixture
def house():
    house = House()
    yield house
    house.world.stop()


def several(house, *hosts: str, cut: tuple[str, ...] = ()) -> None:
    """Give the name ``several`` the addresses of ``hosts``, of which those in ``cut`` are silent."""
    for host in hosts:
        house.world.network.host(host)
        house.world.network.add_name("several", host)
    for host in cut:
        house.world.network.cut("here", host)


def test_a_name_whose_first_addresses_are_silent_costs_a_quarter_of_a_second_for_each(house):
    several(house, "silent1", "silent2", "relay", cut=("silent1", "silent2"))
    start(house.world, Acceptor, host="relay")
    house.dial("several")
    house.world.run(2 * NEXT_ADDRESS_AFTER_S - 0.01)
    assert house.links == []
    house.world.run(0.1)
    assert len(house.links) == 1
    assert house.world.open_sockets("here") == 1
    assert not house.world.network.attempts


def test_a_name_with_a_hundred_silent_addresses_is_linked_in_time_by_its_last(house):
    silent = tuple(f"silent{number}" for number in range(100))
    several(house, *silent, "relay", cut=silent)
    start(house.world, Acceptor, host="relay")
    house.dial("several")
    house.world.run(DIAL_TIMEOUT_S / 2 + 0.1)
    assert len(house.links) == 1


def test_the_time_to_dial_is_for_all_addresses_and_the_most_telling_failure_is_said(house, caplog):
    several(house, "silent1", "refusing", "silent2", cut=("silent1", "silent2"))
    house.dial("several")
    house.world.run(DIAL_TIMEOUT_S + 0.1)
    assert house.states()[:2] == ["dialing", "waiting"]
    assert "Connection refused" in caplog.text


def test_an_address_that_accepts_but_is_no_peer_does_not_hide_the_others(house):
    several(house, "other", "relay")
    start(house.world, Acceptor, host="other")
    relay = start(house.world, Acceptor, host="relay")
    dialer = house.dial("several")
    house.world.run(0.1)
    assert relay.clients == []
    house.tell(dialer, messages.DialedLinkEnded(house.links[-1].actor_urn))
    house.world.run(FIRST_REDIAL_S + 0.1)
    assert len(relay.clients) == 1


def meet_itself(house, dialer):
    house.tell(dialer, messages.MetItself(), messages.DialedLinkEnded(house.links[-1].actor_urn))


def test_an_agent_that_is_its_own_peer_says_so_once_and_rarely_looks_whether_that_has_changed(house, caplog):
    start(house.world, Acceptor, host="relay")
    dialer = house.dial()
    house.world.run(0.1)
    with caplog.at_level(logging.INFO, logger="mesh.links"):
        for count in range(1, 4):
            meet_itself(house, dialer)
            house.world.run(OWN_ADDRESS_S - 1)
            assert len(house.links) == count, "not dialed meanwhile"
            house.world.run(1.0 + FIRST_REDIAL_S + 0.1)
            assert len(house.links) == count + 1
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "peer relay:4433 is this agent itself" in caplog.text
    assert house.states()[1:4] == [State.SHAKING.value, "waiting", "dialing"], (
        "a name may have other addresses"
    )
    assert set(house.states()[4:]) == {"this agent itself"}, "to look again is no reason not to be ready"
    house.tell(
        dialer, messages.LinkAdmitted(PEER, "relay"), messages.DialedLinkEnded(house.links[-1].actor_urn)
    )
    house.world.run(FIRST_REDIAL_S + 0.1)
    assert len(house.links) == 5, "once it is another agent, that is redialed as any"
    assert house.states()[-4:] == [None, "waiting", "dialing", State.SHAKING.value]


def test_an_agent_at_its_own_literal_address_is_not_looked_up_again(house):
    dialer = house.dial("127.0.0.1")
    start(house.world, Acceptor, host="here")
    house.world.run(MAX_REDIAL_S)
    assert len(house.links) == 1
    meet_itself(house, dialer)
    assert house.states()[-1] == "this agent itself"


def test_a_name_that_stands_for_this_agent_and_others_leads_to_the_others(house):
    several(house, "own", "relay")
    start(house.world, Acceptor, host="own")
    relay = start(house.world, Acceptor, host="relay")
    dialer = house.dial("several")
    house.world.run(0.1)
    meet_itself(house, dialer)
    house.world.run(FIRST_REDIAL_S + 0.1)
    assert len(relay.clients) == len(house.links) - 1 == 1


def test_an_own_name_with_an_address_that_refuses_is_the_own_one_still(house, caplog):
    several(house, "own", "own-by-ipv6")
    start(house.world, Acceptor, host="own")
    dialer = house.dial("several")
    house.world.run(0.1)
    meet_itself(house, dialer)
    house.world.run(OWN_ADDRESS_S - 1.0)
    assert house.states()[-1] == "this agent itself"
    assert house.states().count("dialing") == 2
    assert len(house.links) == 1
    house.world.run(2.0)
    assert len(house.links) == 2
    assert house.states().count("dialing") == 2, "to look again is no reason not to be ready"
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_another_agent_behind_the_own_name_that_is_silent_is_dialed_on_as_any(house, caplog):
    several(house, "own", "relay", cut=("relay",))
    start(house.world, Acceptor, host="own")
    relay = start(house.world, Acceptor, host="relay")
    dialer = house.dial("several")
    house.world.run(0.1)
    meet_itself(house, dialer)
    house.world.run(DIAL_TIMEOUT_S + 1.0)
    assert "cannot reach peer several:4433: no answer within 10 s" in caplog.text
    assert house.states()[-1] != "this agent itself"
    house.world.network.heal("here", "relay")
    house.world.run(MAX_REDIAL_S + DIAL_TIMEOUT_S)
    assert len(relay.clients) == 1
