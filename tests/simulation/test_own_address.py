"""An agent among its own peers: one configuration for all relays, or a name that stands for all of them."""

import logging

from actors.links.dialer import OWN_ADDRESS_S
from mesh.addresses import TcpAddress
from tests.simulation.mesh_world import KEY, LISTEN_PORT, SERVICE_PORT, mesh_world


def test_an_agent_that_is_its_own_peer_says_so_once_and_serves_as_any(caplog):
    with mesh_world(5) as mesh, caplog.at_level(logging.INFO, logger="mesh.links"):
        mesh.plan("branch", peers=["relay"], listeners={KEY: LISTEN_PORT})
        mesh.plan("relay", peers=["relay"])
        mesh.plan("hq", peers=["relay"], endpoints={KEY: TcpAddress("service", SERVICE_PORT)})
        mesh.serve("service")
        mesh.start()
        mesh.converge()
        mesh.run(3 * OWN_ADDRESS_S + 10.0)
        said = [record.getMessage() for record in caplog.records if "itself" in record.getMessage()]
        assert len(said) == 1, said
        assert "peer relay:4433 is this agent itself" in said[0]
        assert [record for record in caplog.records if record.levelno > logging.INFO] == []
        mesh.finish()
