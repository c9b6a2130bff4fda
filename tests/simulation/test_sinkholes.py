"""A relay on the shorter of two paths loses what it is given: what is open goes on, what is new opens."""

import pytest

from mesh.addresses import TcpAddress
from scripts.simulation.conversation import Pace, Terms
from tests.simulation import sinkhole
from tests.simulation.mesh_world import KEY, LISTEN_PORT, SERVICE_PORT, mesh_world
from tests.simulation.sinkhole import Sinkhole

LATENCY_S = 0.005
KINDS = [sinkhole.data, sinkhole.everything, sinkhole.to_exit, sinkhole.from_exit, sinkhole.answers]


def two_paths(mesh):
    """Branch to hq by way of the shortcut, or by one relay more."""
    Sinkhole.be_honest()
    mesh.plan("branch", peers=["shortcut", "near"], listeners={KEY: LISTEN_PORT})
    for relay, peers in (("shortcut", []), ("near", ["far"]), ("far", [])):
        mesh.plan(relay, peers=peers)
    mesh.plan("hq", peers=["shortcut", "far"], endpoints={KEY: TcpAddress("service", SERVICE_PORT)})
    for one, other in (
        ("branch", "shortcut"), ("shortcut", "hq"), ("branch", "near"), ("near", "far"), ("far", "hq")
    ):  # fmt: skip
        mesh.network.shape(one, other, bytes_per_s=4e6, latency_s=LATENCY_S)
    mesh.serve("service")
    mesh.start()
    mesh.converge()
    assert mesh.snapshot("branch").next_hops[mesh.id_of("hq")] == mesh.id_of("shortcut")
    assert mesh.snapshot("branch").alternates(mesh.id_of("hq")) == (mesh.id_of("near"),)


def suspected(mesh):
    return sum(plan.meters.first_hops_suspected for plan in mesh.plans.values())


def open_talk(mesh, number, *, start_s=0.0):
    """Some bytes there, some back, slowly, for about 12 s."""
    return mesh.converse(Terms(number, 30_000, 30_000), Pace(byte_count=250, pause_s=0.1), start_s=start_s)


def longest_silence_s(mesh, talk, limit_s=60.0):
    """Let time pass until ``talk`` is over; the longest that neither end heard anything meanwhile."""
    service = mesh.records[talk.terms.number]
    last, byte_count, longest_s = mesh.world.now(), -1, 0.0

    def is_over():
        nonlocal last, byte_count, longest_s
        heard = talk.heard.byte_count + service.byte_count
        if heard != byte_count:
            now = mesh.world.now()
            longest_s = max(longest_s, now - last)
            last, byte_count = now, heard
        return talk.heard.is_over

    mesh.run_until(is_over, limit_s)
    return longest_s


@pytest.mark.parametrize("loses", KINDS)
def test_a_connection_that_is_open_goes_on_and_new_ones_open(loses):
    with mesh_world(1, {"shortcut": Sinkhole}) as mesh:
        two_paths(mesh)
        talk = open_talk(mesh, 1)
        mesh.run(2.0)
        Sinkhole.loses = loses
        silence_s = longest_silence_s(mesh, talk)
        assert Sinkhole.lost
        assert silence_s < 4.0
        assert talk.heard.is_complete
        assert suspected(mesh) >= 1
        for number in range(2, 5):
            new = mesh.converse(Terms(number, 1000, 1000))
            start = mesh.world.now()
            mesh.run_until(lambda new=new: new.heard.is_over, 20.0)
            assert new.heard.is_complete
            assert mesh.world.now() - start < 2.0
        mesh.run(2.0)
        mesh.assert_all_complete()
        mesh.finish()
