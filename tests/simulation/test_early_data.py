"""Early data in a mesh: what it saves, and what becomes of it where agents fail or refuse."""

import errno
from collections import Counter

import pytest

from actors.connections.ingress_connection import IngressConnection
from mesh.addresses import TcpAddress
from mesh.config.schema import EndpointSection, ListenerSection
from mesh.connection.early_data import HEARD_S
from mesh.link.frames import FrameType
from scripts.simulation.conversation import Manner, Terms
from tests.simulation.hostile_transit import RecordingLink
from tests.simulation.mesh_world import KEY, LISTEN_PORT, SERVICE_PORT, mesh_world, three_agents

LINK_S = 0.02
PATH_S = 4 * LINK_S
"""Round trip of a path of two links."""

NEAR_S = 0.012
"""What a client, its listener, an exit and its target may take beside that."""


def converse(mesh, number, **terms):
    """A conversation that is over, and how long its client waited for the last byte."""
    started = mesh.world.now()
    talk = mesh.converse(Terms(number, **({"up": 64, "down": 64} | terms)))
    mesh.run_until(lambda: talk.heard.is_over, 60.0)
    return talk.heard, talk.heard.heard_at - started


def prepare(mesh):
    """Let the agents agree on a pair session."""
    heard, _ = converse(mesh, 0)
    assert heard.is_complete
    mesh.run(HEARD_S / 2)


def chain(mesh, **listener):
    mesh.network.shape("branch", "relay", latency_s=LINK_S)
    mesh.network.shape("relay", "hq", latency_s=LINK_S)
    section = ListenerSection(key=KEY, address=TcpAddress("", LISTEN_PORT), **listener)
    mesh.plan("branch", peers=["relay"], listener_sections=[section])
    mesh.plan("relay")
    mesh.plan("hq", peers=["relay"], endpoints={KEY: TcpAddress("service", SERVICE_PORT)})
    mesh.serve("service")
    mesh.start()
    mesh.converge()


@pytest.mark.parametrize(("early_data", "round_trips"), [(True, 1), (False, 2)])
def test_connection_request_and_answer_take_one_round_trip_of_the_path(early_data, round_trips):
    with mesh_world(1) as mesh:
        chain(mesh, early_data=early_data)
        prepare(mesh)
        heard, took_s = converse(mesh, 1)
        assert heard.is_complete
        assert round_trips * PATH_S < took_s < round_trips * PATH_S + NEAR_S
        mesh.run(HEARD_S)
        _, took_s = converse(mesh, 2)
        assert took_s > 2 * PATH_S, "it was not heard of late"
        mesh.finish()


def test_a_short_connection_takes_four_frames_of_each_agent():
    with mesh_world(2, {"relay": RecordingLink}) as mesh:
        for near in (("client", "branch"), ("hq", "service")):
            mesh.network.shape(*near, latency_s=0.0002)  # of who is further away nobody waits for the words
        three_agents(mesh)
        prepare(mesh)
        RecordingLink.recorded.clear()
        heard, _ = converse(mesh, 1, manner=Manner.AT_ONCE)
        assert heard.is_complete
        mesh.run(5.0)
        kinds = Counter(FrameType(frame.type) for frame in RecordingLink.recorded)
        assert kinds == {FrameType.OPEN: 1, FrameType.ACCEPT: 1, FrameType.FIN: 2}
        mesh.finish()


@pytest.mark.parametrize("manner", [Manner.AT_ONCE, Manner.AFTER_END, Manner.FINISH_FIRST, Manner.IN_STEP])
@pytest.mark.parametrize("size", [0, 1003, 1004, 200_000])
def test_what_is_said_arrives_whole_however_much_it_is(manner, size):
    with mesh_world(3) as mesh:
        three_agents(mesh)
        prepare(mesh)
        heard, _ = converse(mesh, 1, up=size, down=size, manner=manner)
        assert heard.is_complete
        assert heard.byte_count == size
        mesh.assert_all_complete()
        mesh.finish()


@pytest.mark.parametrize("manner", [Manner.RESET, Manner.LAST_WORDS])
def test_a_target_that_resets_at_once_is_heard_out(manner):
    with mesh_world(4) as mesh:
        three_agents(mesh)
        prepare(mesh)
        heard, _ = converse(mesh, 1, manner=manner, turning=10)
        assert heard.error == errno.ECONNRESET
        assert heard.byte_count == (64 if manner is Manner.LAST_WORDS else 0)
        mesh.finish()


def two_exits(mesh, **near):
    """The near one, hq-1, is tried first; hq-2 is further away."""
    for name, latency_s in (("hq-1", 0.005), ("hq-2", 0.05)):
        mesh.network.shape("branch", name, latency_s=latency_s)
        target = TcpAddress(f"{name}.service", SERVICE_PORT)
        of_exit = near if name == "hq-1" else {}
        mesh.plan(name, endpoint_sections=[EndpointSection(key=KEY, target=target, **of_exit)])
        mesh.serve(f"{name}.service")
    mesh.plan("branch", peers=["hq-1", "hq-2"], listeners={KEY: LISTEN_PORT})
    mesh.start()
    mesh.converge()
    mesh.run(11.0)  # round trips are measured
    prepare(mesh)
    assert mesh.records[0].host == "hq-1.service"


def asked_early(mesh):
    """Let a client come, and its OPEN leave for hq-1."""
    talk = mesh.converse(Terms(1, 64, 64))

    def is_asked():
        ends = mesh.actors_on("branch", IngressConnection)
        return any(attempt.may_hold_bytes for end in ends for attempt in end._opening._attempts.values())

    mesh.run_until(is_asked, 1.0)
    return talk


def over_s(mesh, talk):
    """Seconds until the client's conversation is over."""
    return mesh.run_until(lambda: talk.heard.is_over, 60.0)


def reached(mesh, number):
    return mesh.records[number].host if number in mesh.records else ""


def test_an_exit_that_is_restarted_meanwhile_costs_its_client_and_no_other():
    with mesh_world(5) as mesh:
        two_exits(mesh)
        talk = asked_early(mesh)
        mesh.restart("hq-1")
        assert over_s(mesh, talk) < 2.0
        assert talk.heard.error == errno.ECONNRESET
        assert any("may have handed over what the client has said" in line for line in mesh.log.lines)
        heard, _ = converse(mesh, 2)
        assert heard.is_complete
        mesh.finish()


def test_an_exit_that_falls_silent_costs_its_client_and_the_next_find_another():
    with mesh_world(6) as mesh:
        two_exits(mesh)
        mesh.world.pause("hq-1")
        talk = asked_early(mesh)
        mesh.run(0.6)
        for number in range(2, 5):
            heard, took_s = converse(mesh, number)
            assert heard.is_complete
            assert took_s < 1.0
            assert reached(mesh, number) == "hq-2.service"
        over_s(mesh, talk)
        assert talk.heard.error == errno.ECONNRESET
        mesh.assert_nothing_wrong()
        mesh.world.resume("hq-1")
        mesh.run(1.0)
        assert reached(mesh, 1) in ("", "hq-1.service")
        mesh.finish()


def test_an_exit_that_is_silent_for_a_while_serves_its_client_all_the_same():
    with mesh_world(7) as mesh:
        two_exits(mesh)
        mesh.world.pause("hq-1")
        talk = asked_early(mesh)
        mesh.run(1.5)
        mesh.world.resume("hq-1")
        over_s(mesh, talk)
        assert talk.heard.is_complete
        assert reached(mesh, 1) == "hq-1.service"
        mesh.finish()


def test_a_path_that_is_lost_and_comes_back_serves_its_client():
    with mesh_world(8) as mesh:
        two_exits(mesh)
        mesh.network.cut("branch", "hq-1")
        talk = asked_early(mesh)
        mesh.run(4.0)
        assert not talk.heard.is_over
        mesh.network.heal("branch", "hq-1")
        over_s(mesh, talk)
        assert talk.heard.is_complete
        assert reached(mesh, 1) == "hq-1.service"
        mesh.finish()


def test_an_exit_that_refuses_has_handed_nothing_over():
    with mesh_world(9) as mesh:
        two_exits(mesh)
        mesh.world.crash("hq-1.service")
        heard, _ = converse(mesh, 1)
        assert heard.is_complete
        assert reached(mesh, 1) == "hq-2.service"
        mesh.finish()


def test_a_target_that_hangs_costs_its_clients_half_a_second_and_none_of_them_is_lost():
    with mesh_world(11) as mesh:
        two_exits(mesh)
        mesh.network.cut("hq-1", "hq-1.service")
        talks = [mesh.converse(Terms(number, 64, 64), start_s=0.2 * number) for number in range(1, 30)]
        came = mesh.world.now()
        mesh.run_until(lambda: all(talk.heard.is_over for talk in talks), 60.0)
        assert all(talk.heard.is_complete for talk in talks)
        waited = [talk.heard.heard_at - came - 0.2 * number for number, talk in enumerate(talks, 1)]
        assert max(waited) < 1.0
        mesh.finish()


def test_a_target_that_takes_a_second_to_connect_serves_though_there_is_no_other():
    with mesh_world(12) as mesh:
        three_agents(mesh)
        prepare(mesh)
        mesh.network.shape("hq", "service", latency_s=0.6)
        for number in range(1, 4):
            heard, took_s = converse(mesh, number)
            assert heard.is_complete
            assert took_s < (4.0 if number == 1 else 3.0)
        mesh.finish()


def test_an_agent_that_leaves_meanwhile_does_not_send_its_client_elsewhere():
    with mesh_world(10) as mesh:
        two_exits(mesh)
        talk = asked_early(mesh)
        mesh.leave("hq-1")
        over_s(mesh, talk)
        assert talk.heard.is_complete
        mesh.finish()
