"""An agent with thousands of endpoints, another with hundreds of listeners: real actors, in virtual time."""

from mesh.addresses import TcpAddress
from mesh.routing.pairings import find_pairings
from scripts.simulation.conversation import Terms
from tests.simulation.mesh_world import KEY, LISTEN_PORT, SERVICE_PORT, mesh_world

ENDPOINTS, LISTENERS = 2_000, 200


def history(seed: int) -> str:
    """Run the mesh; the digest of all that happened."""
    service = TcpAddress("service", SERVICE_PORT)
    others = [f"service-{number:05}" for number in range(ENDPOINTS)]
    with mesh_world(seed) as mesh:
        used = {key: LISTEN_PORT + 1 + number for number, key in enumerate(others[-LISTENERS:])}
        mesh.plan("branch", peers=["relay"], listeners={KEY: LISTEN_PORT, **used})
        mesh.plan("relay")
        mesh.plan("hq", peers=["relay"], endpoints={**dict.fromkeys(others, service), KEY: service})
        mesh.serve("service")
        mesh.start()
        mesh.converge()
        mesh.converse(Terms(1, 1_000, 100_000))
        mesh.run_until_said(20.0)
        mesh.assert_all_complete()
        for name in ("branch", "relay", "hq"):
            snapshot = mesh.snapshot(name)
            assert len(snapshot.candidates) == ENDPOINTS + 1
            pairings = find_pairings(snapshot.own_id, snapshot.records, snapshot.paths_from_each)
            assert len(pairings.matched) == LISTENERS + 1
            assert pairings.unmatched_listeners == ()
            assert len(pairings.unmatched_endpoints) == ENDPOINTS - LISTENERS
        # What others offer is none of an agent's own, and has no figures there.
        counted = {name: mesh.plans[name].meters for name in ("branch", "relay", "hq")}
        assert {name: len(each.listened.by_key()) for name, each in counted.items()} == {
            "branch": LISTENERS + 1,
            "relay": 0,
            "hq": 0,
        }
        assert {name: len(each.served.by_key()) for name, each in counted.items()} == {
            "branch": 0,
            "relay": 0,
            "hq": ENDPOINTS + 1,
        }
        return mesh.finish()


def test_the_last_of_thousands_of_keys_is_reached_over_two_links_the_same_each_time():
    assert history(1) == history(1)
