"""A dialer whose peer is to be another agent, or a certain one, while it is at work."""

import pytest

from actors.links.dialer import State
from actors.messages import dialer as messages
from actors.messages.peer_link import CloseLink
from tests.actors.company import IDENTITIES, start
from tests.actors.links.dialer_company import PEER, Acceptor, House

OTHER = IDENTITIES[1].id


@pytest.fixture
def house():
    house = House()
    yield house
    house.world.stop()


def test_another_pin_while_the_handshake_is_under_way_is_for_the_next_link(house):
    start(house.world, Acceptor, host="relay")
    dialer = house.dial()
    house.world.run(0.1)
    house.tell(
        dialer, messages.LinkAdmitted(PEER, "relay"), messages.DialedLinkEnded(house.links[-1].actor_urn)
    )
    house.world.run(1.0)
    assert house.states()[-1] == State.SHAKING.value
    house.tell(dialer, messages.PinPeer(OTHER), messages.PinPeer(PEER))
    assert len(house.links[-1].of(CloseLink)) == 2, "which of the two this link expects is not known here"


def test_a_dialer_does_not_rest_for_a_peer_that_is_wanted_no_more(house):
    start(house.world, Acceptor, host="relay")
    dialer = house.dial()
    house.world.run(0.1)
    link = house.links[-1].actor_urn
    house.tell(
        dialer, messages.PinPeer(OTHER), messages.PeerAlreadyLinked(PEER), messages.DialedLinkEnded(link)
    )
    house.world.run(1.0)
    assert len(house.links) == 2
    house.tell(dialer, messages.PeerAlreadyLinked(OTHER))
    assert house.states()[-1] is None
