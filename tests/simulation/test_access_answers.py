"""What an agent answers to who may use a key is what happens when somebody tries."""

import random

import pytest

from actors.runtime.virtual.world import UNIX_START_S
from mesh.addresses import TcpAddress
from mesh.config.schema import EndpointSection, ListenerSection
from mesh.routing.access import AccessJudge, May, OwnLists, Question
from scripts.simulation.conversation import Terms
from tests.simulation.mesh_world import KEY, LISTEN_PORT, SERVICE_PORT, mesh_world


def answered(mesh, agent, allow, agents):
    """What ``agent`` says of clients at branch, and the service at hq."""
    snapshot = mesh.snapshot(agent)
    lists = ({KEY: frozenset(allow)}, {}) if agent == "hq" else ({}, {KEY: frozenset(agents)})
    own = OwnLists(frozenset(), *lists)
    judge = AccessJudge(snapshot.own_id, snapshot.records, snapshot.paths_from_each, own, UNIX_START_S)
    (access,) = judge.judge([Question(mesh.id_of("branch"), KEY, mesh.id_of("hq"))])
    return access.may is not May.NO


@pytest.mark.parametrize("seed", range(12))
def test_the_answers_of_both_ends_are_what_a_client_meets(seed):
    draw = random.Random(seed)
    lists = [(), ("branch", "hq"), ("group:dba",), ("nobody",)]
    allow, agents = draw.choice(lists), draw.choice(lists)
    target = TcpAddress("service", SERVICE_PORT)
    endpoint = EndpointSection(key=KEY, target=target, allow=allow)
    listener = ListenerSection(key=KEY, address=TcpAddress("", LISTEN_PORT), agents=agents)
    patterns = ["*", "my-*", "other"]
    with mesh_world(seed) as mesh:
        mesh.plan("branch", peers=["relay"], listener_sections=[listener])
        mesh.plan("relay")
        mesh.plan("hq", peers=["relay"], endpoint_sections=[endpoint], may_register=["*"])
        mesh.serve("service")
        mesh.start()
        mesh.converge()
        groups = [["dba"], []]
        mesh.certify("branch", may_use=[draw.choice(patterns)], groups=draw.choice(groups))
        mesh.certify("hq", may_register=[draw.choice(patterns)], groups=draw.choice(groups))
        mesh.certify("relay", may_relay=draw.random() < 0.8)
        mesh.run(2.0)
        says = answered(mesh, "hq", allow, agents) and answered(mesh, "branch", allow, agents)
        conversation = mesh.converse(Terms(1, 100, 100))
        mesh.run_until(lambda: conversation.heard.is_over, 15.0)
        assert conversation.heard.is_complete is says
