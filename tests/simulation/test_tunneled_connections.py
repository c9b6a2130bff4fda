"""Connections through three agents, all in one simulated world."""

import errno
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.runtime.seam import SocketOptions
from scripts.simulation.conversation import Manner, Pace, Terms
from tests.examples import examples, seeds
from tests.simulation.mesh_world import KEY, LISTEN_PORT, SERVICE_PORT, mesh_world, three_agents

SMALL = SocketOptions(send_buffer_bytes=8192, receive_buffer_bytes=8192)
MIB = 1024 * 1024


def one_connection(seed: int) -> str:
    draw = random.Random(seed)
    small = SMALL if draw.random() < 0.5 else SocketOptions()
    with mesh_world(seed) as mesh:
        for one, other in (("branch", "relay"), ("relay", "hq"), ("client", "branch"), ("hq", "service")):
            rate = draw.choice([None, 100_000.0, 1e6, 1e8])
            mesh.network.shape(one, other, latency_s=draw.choice([0.0001, 0.01, 0.1]), bytes_per_s=rate)
        three_agents(mesh, service_options=small)
        terms = Terms(
            number=seed,
            up=draw.choice([0, 1, 65_536, draw.randrange(300_000)]),
            down=draw.choice([0, 1, 65_536, draw.randrange(300_000)]),
            manner=draw.choice([Manner.AT_ONCE, Manner.AFTER_END, Manner.FINISH_FIRST]),
        )
        finishes = terms.manner is not Manner.FINISH_FIRST or draw.random() < 0.5
        mesh.converse(terms, Pace(options=small, finishes=finishes))
        mesh.run_until_said(120.0)
        mesh.run(2.0)
        mesh.assert_all_complete()
        return mesh.finish()


@pytest.mark.parametrize("seed", seeds(40))
def test_one_connection_of_any_size_over_any_network_completes(seed):
    one_connection(seed)


def test_equal_seeds_give_equal_histories():
    assert one_connection(3) == one_connection(3)
    assert one_connection(3) != one_connection(4)


conversations = st.lists(
    st.builds(
        lambda up, down, manner, start, byte_count: (up, down, manner, start, byte_count),
        st.one_of(st.integers(0, 5000), st.integers(0, 400_000)),
        st.one_of(st.integers(0, 5000), st.integers(0, 400_000)),
        st.sampled_from([Manner.AT_ONCE, Manner.AFTER_END, Manner.FINISH_FIRST]),
        st.floats(0.0, 2.0),
        st.sampled_from([0, 0, 777, 20_000]),
    ),
    min_size=1,
    max_size=25,
)


@examples(0.25, are_large=True)
@given(seed=st.integers(0, 2**32), talks=conversations)
def test_many_connections_at_once_mix_nothing_up(seed, talks):
    with mesh_world(seed) as mesh:
        mesh.network.shape("branch", "relay", bytes_per_s=5e6)
        three_agents(mesh)
        for number, (up, down, manner, start, byte_count) in enumerate(talks):
            pace = Pace(byte_count=byte_count, pause_s=0.01 if byte_count else 0.0)
            mesh.converse(Terms(number, up, down, manner), pace, start_s=start)
        mesh.run_until_said(120.0)
        mesh.run(2.0)
        mesh.assert_all_complete()
        mesh.finish()


def test_a_bulk_transfer_both_ways_over_a_thin_link_drops_nothing_at_the_relay():
    with mesh_world(1) as mesh:
        mesh.network.shape("relay", "hq", bytes_per_s=2e6, latency_s=0.02)
        three_agents(mesh)
        mesh.converse(Terms(1, 8 * MIB, 8 * MIB))
        mesh.run_until_said(60.0)
        mesh.run(2.0)
        mesh.assert_all_complete()
        mesh.finish()
        assert mesh.plans["relay"].relay_budget.dropped_frames == 0


def test_a_reader_that_stops_stalls_nobody_else():
    with mesh_world(1) as mesh:
        three_agents(mesh)
        slow = mesh.converse(Terms(1, 100, 20 * MIB), Pace(reads_at=20.0))
        mesh.run(1.0)
        quick = mesh.converse(Terms(2, 100_000, 2 * MIB))
        mesh.run_until(lambda: quick.heard.is_over, 5.0)
        assert not slow.heard.is_over
        held = mesh.plans["branch"].budget.reserved_bytes + mesh.plans["hq"].budget.reserved_bytes
        assert held < 12 * MIB
        mesh.run_until_said(60.0)
        mesh.run(2.0)
        mesh.assert_all_complete()
        mesh.finish()


def test_an_idle_connection_is_never_cut():
    with mesh_world(1) as mesh:
        three_agents(mesh)
        talk = mesh.converse(Terms(1, 20_000, 1000, Manner.AT_ONCE), Pace(byte_count=10_100, pause_s=4000.0))
        mesh.run(3990.0)
        assert not talk.heard.is_over
        assert talk.heard.byte_count == 1000
        mesh.run_until_said(60.0)
        mesh.run(2.0)
        mesh.assert_all_complete()
        mesh.finish()


def test_a_clients_reset_arrives_at_the_service_as_a_reset():
    with mesh_world(1) as mesh:
        three_agents(mesh)
        mesh.converse(Terms(1, 50_000, 500_000), Pace(resets_after=1000, finishes=False))
        mesh.run_until_said(10.0)
        mesh.run(2.0)
        assert mesh.records[1].error in (errno.ECONNRESET, errno.EPIPE)
        assert not mesh.records[1].ended
        mesh.finish()


@pytest.mark.parametrize("turning", [21, 30_000, 400_000])
def test_a_services_reset_arrives_at_the_client_as_a_reset(turning):
    with mesh_world(turning) as mesh:
        three_agents(mesh)
        talk = mesh.converse(Terms(1, 500_000, 500_000, Manner.RESET, turning), Pace(finishes=False))
        mesh.run_until_said(10.0)
        assert talk.heard.error in (errno.ECONNRESET, errno.EPIPE)
        assert not talk.heard.ended
        mesh.finish()


def test_a_target_that_refuses_resets_the_client_at_once():
    with mesh_world(1) as mesh:
        three_agents(mesh)
        mesh.world.crash("service")
        talk = mesh.converse(Terms(1, 10, 10))
        took = mesh.run_until(lambda: talk.heard.is_over, 5.0)
        assert took < 0.1
        assert talk.heard.error == errno.ECONNRESET
        mesh.finish()
        assert mesh.plans["hq"].meters.opens_rejected == 1


def test_a_client_that_leaves_before_the_open_completes_leaves_nothing():
    with mesh_world(1) as mesh:
        mesh.network.shape("branch", "relay", latency_s=0.2)
        three_agents(mesh)
        for number in range(10):
            mesh.converse(Terms(number, 10, 10), Pace(leaves_at=0.1 * number))
        mesh.run_until_said(10.0)
        mesh.finish(limit_s=15.0)


def test_an_end_of_stream_before_the_open_completes_is_a_half_close():
    with mesh_world(1) as mesh:
        mesh.network.shape("branch", "relay", latency_s=0.2)
        three_agents(mesh)
        mesh.converse(Terms(1, 0, 50_000, Manner.AFTER_END))
        mesh.run_until_said(10.0)
        mesh.run(3.0)
        mesh.assert_all_complete()
        mesh.finish()


def test_listener_and_endpoint_on_one_agent():
    from mesh.addresses import TcpAddress

    with mesh_world(1) as mesh:
        mesh.plan("solo", endpoints={KEY: TcpAddress("service", SERVICE_PORT)}, listeners={KEY: LISTEN_PORT})
        mesh.serve("service")
        mesh.start()
        mesh.converge()
        assert mesh.snapshot("solo").candidates[KEY][0].hop_count == 0
        for number in range(20):
            mesh.converse(Terms(number, 10_000 * number, 300_000, Manner(number % 2)), at="solo")
        mesh.run_until_said(20.0)
        mesh.run(2.0)
        mesh.assert_all_complete()
        mesh.finish()


def test_max_connections_is_exact_and_the_places_come_back():
    with mesh_world(1) as mesh:
        three_agents(mesh)
        mesh.plan("branch", peers=["relay"], listeners={KEY: LISTEN_PORT}, max_connections=5)
        mesh.restart("branch")
        mesh.converge()
        talks = [mesh.converse(Terms(n, 20, 20), Pace(byte_count=30, pause_s=3.0)) for n in range(12)]
        mesh.run(1.0)
        assert sum(talk.heard.error == errno.ECONNRESET for talk in talks) == 7
        assert sum(not talk.heard.is_over for talk in talks) == 5
        assert mesh.plans["branch"].meters.clients_refused == 7
        mesh.run_until_said(20.0)
        mesh.run(2.0)
        again = [mesh.converse(Terms(100 + n, 20, 20)) for n in range(5)]
        mesh.run_until_said(20.0)
        assert all(talk.heard.is_complete for talk in again)
        mesh.finish()


def test_a_listener_refuses_while_nobody_offers_its_key():
    with mesh_world(1) as mesh:
        three_agents(mesh)
        first = mesh.converse(Terms(1, 10, 10))
        mesh.run_until_said(5.0)
        assert first.heard.is_complete
        mesh.crash("hq")
        mesh.run(5.0)
        refused = mesh.converse(Terms(2, 10, 10))
        mesh.run_until_said(5.0)
        assert refused.heard.refused == errno.ECONNREFUSED
        mesh.start("hq")
        mesh.converge()
        again = mesh.converse(Terms(3, 10, 10))
        mesh.run_until_said(5.0)
        assert again.heard.is_complete
        mesh.finish()
