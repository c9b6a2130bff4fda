"""Peers whose address is held to one agent, when another member has taken that address."""

from msgspec import structs

from mesh.addresses import TcpAddress
from mesh.config.schema import PeerSection
from scripts.simulation.conversation import Terms
from scripts.simulation.world import PEER_PORT
from tests.simulation.mesh_world import KEY, LISTEN_PORT, SERVICE_PORT, mesh_world


def pin(mesh, name, host, agent):
    plan = mesh.plans[name]
    peer = PeerSection(address=TcpAddress(host, PEER_PORT), id=mesh.id_of(agent))
    config = structs.replace(plan.setup.config, peers=(peer,))
    plan.setup = structs.replace(plan.setup, config=config)


def test_only_the_agent_that_is_named_becomes_the_peer():
    with mesh_world(1) as mesh:
        mesh.plan("branch", peers=["relay"], listeners={KEY: LISTEN_PORT})
        mesh.plan("relay")
        mesh.plan("hq", peers=["relay"], endpoints={KEY: TcpAddress("service", SERVICE_PORT)})
        mesh.serve("service")
        pin(mesh, "branch", "relay", "relay")
        mesh.start()
        mesh.converge()
        mesh.converse(Terms(1, 1000, 1000))
        mesh.run_until_said(10.0)
        mesh.assert_all_complete()
        mesh.finish()


def test_a_member_at_the_address_of_a_peer_becomes_nothing_and_is_told():
    with mesh_world(1) as mesh:
        mesh.plan("branch")
        mesh.plan("relay")
        mesh.plan("mallory")
        pin(mesh, "branch", "mallory", "relay")  # as if a name or an address had been taken over
        mesh.start()
        mesh.run(20.0)
        assert mesh.peers("branch") == {}
        assert mesh.peers("mallory") == {}
        (alarm,) = mesh.log.of("branch", "another agent at the address of a peer")
        assert f"found 'mallory', agent {mesh.id_of('mallory').hex()}" in alarm
        assert not mesh.log.of("mallory", "'branch'")
