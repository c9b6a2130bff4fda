"""When an agent that has peers is not ready for want of a link, and what it says of it."""

import pytest

from actors.links.dialer import State
from actors.messages.peer_directory import PeerStatus
from mesh.addresses import TcpAddress
from mesh.agent.dashboard.status import CONNECTED
from mesh.agent.link_problems import NO_LINK, link_problems
from mesh.config.schema import Config, PeerSection
from mesh.routing.counterparts import MAX_NAMES_SHOWN


def config(*hosts):
    return Config(peers=tuple(PeerSection(address=TcpAddress(host, 4433)) for host in hosts))


def status(address, state, problem=None, *, is_dialer=True):
    return PeerStatus(
        peer_id=None, name="", state=state, address=address, is_dialer=is_dialer, rtt_s=None, problem=problem
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
    assert link_problems(config("hq"), found) == (f"{NO_LINK}: {said}",)


def test_of_many_peers_some_are_named():
    hosts = [f"relay{number}" for number in range(MAX_NAMES_SHOWN + 2)]
    (line,) = link_problems(config(*hosts), [status(f"{host}:4433", "waiting", "no") for host in hosts])
    assert line.count(": no") == MAX_NAMES_SHOWN
    assert line.endswith("; relay2:4433: no and 2 more")


def test_a_peer_that_is_this_agent_itself_does_not_count():
    itself = status("relays:4433", State.ITSELF.value)
    assert link_problems(config("relays"), (itself,)) == ()
    (line,) = link_problems(config("relays", "hq"), (itself, status("hq:4433", "dialing")))
    assert line == f"{NO_LINK}: hq:4433: dialing"
