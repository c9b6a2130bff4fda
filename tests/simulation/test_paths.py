"""Which way connections take: the nearer exit of two, and a better path as soon as there is one."""

import pytest

from mesh.addresses import TcpAddress
from scripts.simulation.programs import Terms
from tests.simulation.mesh_world import KEY, LISTEN_PORT, SERVICE_PORT, mesh_world


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("near", "far"), [("east", "west"), ("west", "east")])
def test_of_two_exits_as_many_hops_away_the_one_with_the_shorter_round_trip_serves(seed, near, far):
    with mesh_world(seed) as mesh:
        mesh.plan("branch", peers=["relay"], listeners={KEY: LISTEN_PORT})
        mesh.plan("relay")
        for name, latency_s in ((near, 0.0005), (far, 0.0195)):
            mesh.network.shape("relay", name, latency_s=latency_s)
            mesh.plan(name, peers=["relay"], endpoints={KEY: TcpAddress(f"service.{name}", SERVICE_PORT)})
            mesh.serve(f"service.{name}")
        mesh.network.shape("branch", "relay", latency_s=0.0005)  # 2 ms there and back, and 40 ms
        mesh.start()
        mesh.converge()
        candidates = mesh.snapshot("branch").candidates[KEY]
        assert [candidate.hop_count for candidate in candidates] == [2, 2]
        assert [candidate.agent_id for candidate in candidates] == [mesh.id_of(near), mesh.id_of(far)]
        for number in range(10):
            mesh.converse(Terms(number, 1000, 1000))
        mesh.run_until_said(5.0)
        mesh.run(2.0)
        mesh.assert_all_complete()
        assert (mesh.plans[near].meters.opens_answered, mesh.plans[far].meters.opens_answered) == (10, 0)
        mesh.crash(near)
        after = mesh.converse(Terms(100, 1000, 1000))
        mesh.run_until(lambda: after.heard.is_over, 10.0)
        assert after.heard.is_complete
        assert mesh.plans[far].meters.opens_answered == 1
        mesh.run(10.0)
        mesh.finish()
