"""What an agent does not get that has no right to it: others' traffic, another's clients, a service."""

import errno

import pytest

from mesh.addresses import TcpAddress
from mesh.config.schema import EndpointSection, ListenerSection
from mesh.newcomers import SETTLING_S
from mesh.trust.identity import display_id
from scripts.simulation.conversation import Terms
from tests.simulation.mesh_world import KEY, LISTEN_PORT, SERVICE_PORT, mesh_world

SERVICE = TcpAddress("service", SERVICE_PORT)


@pytest.fixture
def mesh():
    with mesh_world(1) as mesh:
        yield mesh


def talk(mesh, number=1):
    """A whole conversation; ``errno`` at the client, or nothing if all came back."""
    conversation = mesh.converse(Terms(number, 100, 100))
    mesh.run_until(lambda: conversation.heard.is_over, 30.0)
    heard = conversation.heard
    return None if heard.is_complete else heard.error or heard.refused


def test_an_agent_without_the_right_carries_nobodys_traffic_though_it_is_nearer(mesh):
    mesh.plan("bystander", may_relay=False)
    mesh.plan("one")
    mesh.plan("two", peers=["one"])
    mesh.plan("branch", peers=["bystander", "one"], listeners={KEY: LISTEN_PORT})
    mesh.plan("hq", peers=["bystander", "two"], endpoints={KEY: SERVICE})
    mesh.serve("service")
    mesh.start()
    mesh.converge()
    snapshot = mesh.snapshot("branch")
    path = [mesh.id_of(name) for name in ("branch", "one", "two", "hq")]
    assert list(snapshot.graph.paths_from(mesh.id_of("branch"))[mesh.id_of("hq")]) == path
    assert not snapshot.records[mesh.id_of("bystander")].body.relays
    assert talk(mesh) is None
    assert mesh.plans["bystander"].meters.frames_forwarded == 0
    mesh.crash("two")
    mesh.run(60.0)
    assert talk(mesh, 2) == errno.ECONNREFUSED
    assert mesh.plans["bystander"].meters.frames_forwarded == 0


def hijacked(mesh, *agents):
    """A listener that has used ``hq``, two links away; then ``thief`` offers the key, one link away."""
    section = ListenerSection(key=KEY, address=TcpAddress("", LISTEN_PORT), agents=agents)
    mesh.plan("relay")
    mesh.plan("branch", peers=["relay"], listener_sections=[section])
    mesh.plan("hq", peers=["relay"], endpoints={KEY: SERVICE})
    mesh.serve("service")
    mesh.start()
    mesh.converge()
    mesh.run(SETTLING_S)
    assert talk(mesh, 1) is None
    mesh.plan("thief", peers=["branch"], endpoints={KEY: TcpAddress("trap", SERVICE_PORT)})
    mesh.serve("trap")
    mesh.start("thief")
    mesh.run(5.0)
    for number in range(2, 8):
        assert talk(mesh, number) is None
    return mesh.plans["branch"].meters


def test_an_agent_that_comes_to_offer_anothers_key_is_told_once_by_name(mesh):
    meters = hijacked(mesh)
    assert mesh.plans["thief"].meters.opens_answered == 6
    assert meters.offers_new == 1
    assert mesh.log.count("listener my-api: thief") == 1
    assert mesh.log.count("endpoint my-api: thief") == 1  # hq is told, which had it
    assert mesh.log.count("endpoint my-api: hq") == 0
    assert meters.offers_disbelieved == 0


@pytest.mark.parametrize("by_id", [False, True])
def test_a_listener_that_names_its_exits_believes_no_other(mesh, by_id):
    meters = hijacked(mesh, display_id(mesh.identity("hq").id) if by_id else "hq")
    assert mesh.plans["thief"].meters.opens_answered == 0
    assert mesh.plans["hq"].meters.opens_answered == 7
    assert (meters.offers_disbelieved, meters.offers_new) == (1, 0)
    assert mesh.log.count("listener my-api ignores the offer of thief") == 1


@pytest.mark.parametrize(("allowed", "is_served"), [("branch", True), ("other", False)])
def test_an_endpoint_that_names_who_may_use_it_serves_no_other(mesh, allowed, is_served):
    mesh.plan("branch", listeners={KEY: LISTEN_PORT})
    section = EndpointSection(key=KEY, target=SERVICE, allow=(allowed,))
    mesh.plan("hq", peers=["branch"], endpoint_sections=[section])
    mesh.serve("service")
    mesh.start()
    mesh.converge()
    assert talk(mesh) == (None if is_served else errno.ECONNRESET)
    assert (mesh.plans["hq"].meters.opens_not_allowed > 0) is not is_served
    assert (mesh.log.count("this endpoint's allow: does not name branch") > 0) is not is_served
