"""When an agent that has peers is not ready for want of a link, and what it says of it."""

import pytest

from actors.links.absent_peers import LEFT, LOST
from actors.links.dialer import State
from actors.messages.peer_directory import PeerStatus
from mesh.addresses import TcpAddress
from mesh.agent.dashboard.states import CONNECTED
from mesh.agent.link_problems import ALL_LOST, NO_LINK, link_problems
from mesh.config.schema import Config, PeerSection
from mesh.routing.counterparts import MAX_NAMES_SHOWN


def config(*hosts):
    return Config(peers=tuple(PeerSection(address=TcpAddress(host, 4433)) for host in hosts))


def status(address, state, problem=None, *, is_dialer=True, name="", since_s=0.0):
    return PeerStatus(
        peer_id=None,
        name=name,
        state=state,
        address=address,
        is_dialer=is_dialer,
        rtt_s=None,
        problem=problem,
        since_s=since_s,
    )


def test_an_agent_without_peers_needs_no_link():
    assert link_problems(config(), ()) == ()


def test_one_link_is_enough_whoever_dialed_it():
    dialed = status("hq:4433", "waiting", "Connection refused")
    accepted = status("10.0.0.9:51234", CONNECTED, is_dialer=False)
    assert link_problems(config("hq", "relay"), (dialed, accepted)) == ()
    there = (status("10.0.0.1:4433", CONNECTED), status("10.0.0.1:4433", "dialing"))
    assert link_problems(config("10.0.0.1"), there) == (), "a dialer that has crashed dials again meanwhile"


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ((), "hq:4433: not dialed yet"),
        ((status("hq:4433", "dialing"),), "hq:4433: dialing"),
        ((status("hq:4433", "waiting", "refused by hq: duplicate"),), "hq:4433: refused by hq: duplicate"),
    ],
)
def test_without_any_link_it_says_what_became_of_each_peer(found, said):
    ((line, _),) = link_problems(config("hq"), found)
    assert line == f"{NO_LINK}: {said}"


def test_of_many_peers_some_are_named():
    hosts = [f"relay{number}" for number in range(MAX_NAMES_SHOWN + 2)]
    ((line, _),) = link_problems(config(*hosts), [status(f"{host}:4433", "waiting", "no") for host in hosts])
    assert line.count(": no") == MAX_NAMES_SHOWN
    assert line.endswith("; relay2:4433: no and 2 more")


def test_a_peer_that_is_this_agent_itself_does_not_count():
    itself = status("relays:4433", State.ITSELF.value)
    assert link_problems(config("relays"), (itself,)) == ()
    ((line, _),) = link_problems(config("relays", "hq"), (itself, status("hq:4433", "dialing")))
    assert line == f"{NO_LINK}: hq:4433: dialing"


def test_a_lost_peer_that_is_dialed_is_named_and_the_latest_loss_is_since_when():
    found = (
        status("hq:4433", "waiting", "Connection refused", name="hq", since_s=7.0),
        status("relay:4433", "dialing", name="relay", since_s=9.0),
    )
    ((line, since_s),) = link_problems(config("hq", "relay"), found)
    assert line == f"{NO_LINK}: hq:4433: hq: Connection refused; relay:4433: relay: dialing"
    assert since_s == 9.0


def test_an_agent_that_only_accepts_is_not_ready_once_it_has_lost_all_its_peers():
    lost = status("10.0.0.9:51234", LOST, "silent for 4.0 s", is_dialer=False, name="branch", since_s=3.0)
    ((line, since_s),) = link_problems(config(), (lost,))
    assert line == f"{ALL_LOST}: branch at 10.0.0.9:51234: silent for 4.0 s"
    assert since_s == 3.0
    other = status("10.0.0.8:51234", CONNECTED, is_dialer=False)
    assert link_problems(config(), (lost, other)) == ()


def test_an_agent_that_only_accepts_waits_for_those_that_left_in_order_and_is_ready():
    left = status("10.0.0.9:51234", LEFT, "the peer closed it: the agent has left", is_dialer=False)
    assert link_problems(config(), (left,)) == ()
