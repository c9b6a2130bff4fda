"""What is shown of peers that were linked and are not any more."""

from collections.abc import Iterator

import pytest

from actors.links.absent_peers import LEFT, LOST, LOST_KEPT_S, MAX_LOST
from actors.messages import peer_directory as messages
from mesh.trust.identity import AgentId
from tests.actors.company import start
from tests.actors.links.test_peer_directory import HIGH, House


@pytest.fixture(name="house")
def _house() -> Iterator[House]:
    house = House()
    yield house
    house.world.stop()


def test_a_lost_peer_keeps_its_name_and_shows_why_and_since_when(house: House):
    link = house.establish()
    house.world.run(5.0)
    lost_at = house.world.now()
    house.end(link, why="silent for 4.0 s")
    house.world.run(10.0)
    (peer,) = house.peers()
    assert (peer.peer_id, peer.name, peer.state, peer.problem) == (HIGH.id, "peer", LOST, "silent for 4.0 s")
    assert peer.since_s == pytest.approx(lost_at, abs=0.1)
    house.establish()
    (peer,) = house.peers()
    assert (peer.state, peer.problem) == ("connected", None)


def test_a_lost_peer_that_is_dialed_shows_what_its_dialer_is_about_too(house: House):
    house.end(house.establish(dialer=start(house.world)), why="silent for 4.0 s")
    refused = messages.DialerReported("hq:4433", "waiting", "Connection refused", HIGH.id)
    house.tell(refused)
    house.world.run(LOST_KEPT_S)
    (peer,) = house.peers()
    assert (peer.name, peer.address, peer.state) == ("peer", "hq:4433", "waiting")
    assert peer.problem == "Connection refused; the last link ended: silent for 4.0 s"


def test_a_peer_that_left_is_shown_as_that_and_in_the_end_forgotten(house: House):
    house.end(house.establish(), why="the agent has left", has_left=True)
    (peer,) = house.peers()
    assert peer.state == LEFT
    house.world.run(LOST_KEPT_S)
    assert house.peers() == ()


def test_so_many_lost_peers_are_remembered_and_no_more(house: House):
    for number in range(MAX_LOST + 1):
        peer_id = AgentId(number.to_bytes(16, "big"))
        house.end(house.establish(peer_id=peer_id), peer_id)
    assert len(house.peers()) == MAX_LOST
    assert AgentId(bytes(16)) not in {peer.peer_id for peer in house.peers()}
