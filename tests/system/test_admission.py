"""Who gets a link and who does not: certificates, other meshes, and the end of a certificate."""

import contextlib

import pytest

from mesh.trust.identity import Identity, encode_public_key, short_id
from scripts.lab.agents import DAY_S
from scripts.lab.clients import connect, read_exactly
from scripts.lab.services import Service, echo
from scripts.lab.waiting import wait_until
from tests.system.peer_client import PeerClient

REFUSALS = {
    "foreign": (
        {"authority": Identity(b"\x07" * 32)},
        "shows no authority that this agent trusts",
    ),
    "expired": ({"not_before": -2 * DAY_S, "not_after": -DAY_S}, "has been expired since"),
    "early": ({"not_before": DAY_S, "not_after": 2 * DAY_S}, "is not valid until"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_certificate_that_does_not_admit_is_refused_and_told_and_other_links_go_on(chain, case):
    changes, says = REFUSALS[case]
    refused = chain.relay.stats()["links_refused_total"]
    name = f"stranger-{case}"
    with Service(echo, port=chain.target_port), connect(chain.port) as client:
        # From an address of its own: log lines of strangers are sampled by address.
        with PeerClient(chain.relay, name=name, source="127.0.0.11", **changes) as stranger:
            with contextlib.suppress(EOFError, ConnectionResetError):
                stranger.shake()
            assert stranger.ends()
        client.sendall(b"goes on")
        assert read_exactly(client, 7) == b"goes on"
    wait_until(lambda: chain.relay.stats()["links_refused_total"] == refused + 1, "it is counted")
    (told,) = wait_until(lambda: chain.relay.lines_with(stranger.address), "it is told")
    assert says in told
    if case != "foreign":
        assert repr(name) in told
        assert short_id(stranger.identity.id) in told
    assert "warning" in told


def test_an_agent_of_another_mesh_gets_no_link_and_hears_so(mesh):
    relay = mesh.agent("relay").accept()
    stranger = mesh.agent("stranger").dial(relay)
    authority = Identity(b"\x05" * 32)
    stranger.config["trust"]["authorities"].append(encode_public_key(authority.public_key))
    stranger.certify(authority)
    mesh.start()
    wait_until(lambda: stranger.lines_with("link refused"), "the stranger tells")
    wait_until(lambda: relay.lines_with("link refused"), "the relay tells")
    assert relay.dashboard()["peers"] == []
    assert stranger.stats()["peer_count"] == 0


def test_a_link_ends_with_the_certificate_it_rests_on_and_is_refused_from_then_on(mesh):
    branch, relay, hq = mesh.chain("branch", "relay", "hq")
    with Service(echo) as service:
        hq.offer("a", service.port)
        port = relay.listen("a")
        for agent in (relay, hq):
            agent.start()
        relay.wait_for_peers(hq)
        branch.certify(not_after=4)  # a start takes less than a second where the machine is idle
        branch.start()
        relay.wait_for_peers(branch, hq)
        with connect(port) as client:
            client.sendall(b"x")
            assert read_exactly(client, 1) == b"x"
            relay.wait_for_peers(hq)
            relay.wait_for_lines_with("has been expired since")  # the next attempt is refused
            problem = branch.dashboard()["problems"][0]
            assert "the certificate of this agent expired on" in problem
            wait_until(lambda: branch.lines_with("this agent expired on"), "its own log says so at once", 5)
            client.sendall(b"y")
            assert read_exactly(client, 1) == b"y"
    (told,) = relay.lines_with("the certificate of branch has expired")
    assert "warning" in told
