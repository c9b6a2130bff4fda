"""Which way connections take: the nearer exit of two, and a better path as soon as there is one."""

import pytest

from mesh.addresses import TcpAddress
from scripts.simulation.conversation import Pace, Terms
from tests.simulation.mesh_world import KEY, LISTEN_PORT, SERVICE_PORT, mesh_world

MIB = 1024 * 1024
GAP_S = 0.15
"""A new path costs a receiver no more: 60 ms until what the old one still carries is here, and its queue."""


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


def longest_gap_s(mesh, heard, limit_s):
    """Let time pass until all is heard; the longest that ``heard`` had to wait for a byte meanwhile."""
    last, byte_count, longest_s = mesh.world.now(), heard.byte_count, 0.0

    def is_over():
        nonlocal last, byte_count, longest_s
        if heard.byte_count != byte_count:
            now = mesh.world.now()
            longest_s = max(longest_s, now - last)
            last, byte_count = now, heard.byte_count
        return heard.is_over

    mesh.run_until(is_over, limit_s)
    return longest_s


@pytest.mark.parametrize("bytes_per_s", [2e6, 2e7])
@pytest.mark.parametrize(
    ("up", "down", "pace"),
    [
        (16 * MIB, 100, Pace()),
        (100, 16 * MIB, Pace()),
        (100_000, 100, Pace(byte_count=500, pause_s=0.02)),
    ],
    ids=["bulk up", "bulk down", "paced"],
)
def test_a_better_path_is_taken_without_a_hiccup(bytes_per_s, up, down, pace):
    """Three hops at 20 ms each carry a connection; then two at 2 ms appear."""
    with mesh_world(1) as mesh:
        mesh.plan("branch", peers=["slow-1"], listeners={KEY: LISTEN_PORT})
        mesh.plan("slow-1", peers=["slow-2"])
        mesh.plan("slow-2", peers=["hq"])
        mesh.plan("hq", endpoints={KEY: TcpAddress("service", SERVICE_PORT)})
        for one, other in (("branch", "slow-1"), ("slow-1", "slow-2"), ("slow-2", "hq")):
            mesh.network.shape(one, other, latency_s=0.02, bytes_per_s=bytes_per_s)
        mesh.plan("fast", peers=["branch", "hq"])
        for other in ("branch", "hq"):
            mesh.network.shape("fast", other, latency_s=0.002, bytes_per_s=bytes_per_s)
        mesh.serve("service")
        mesh.start("branch", "slow-1", "slow-2", "hq")
        mesh.converge()
        assert mesh.snapshot("branch").hop_counts[mesh.id_of("hq")] == 3
        talk = mesh.converse(Terms(1, up, down), pace)
        mesh.run(0.7)
        heard = mesh.records[1] if up > down else talk.heard
        assert 0 < heard.byte_count < max(up, down)
        mesh.start("fast")
        gap_s = longest_gap_s(mesh, heard, 60.0)
        assert mesh.snapshot("branch").hop_counts[mesh.id_of("hq")] == 2
        mesh.run_until_said(10.0)
        mesh.run(2.0)
        mesh.assert_all_complete()
        mesh.finish()
        assert gap_s < GAP_S
