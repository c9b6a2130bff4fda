"""Links, hosts and actors that fail under open connections: bytes go on or the connection is reset."""

import errno
import random

import msgspec
import pytest

from actors.connections.connection_end import ConnectionEnd
from actors.connections.endpoint import Endpoint
from actors.connections.listener import Listener
from actors.links.peer_link import PeerLink
from actors.messages import agent as agent_messages
from actors.root.setup import EndpointSetup
from mesh.addresses import TcpAddress
from scripts.simulation.conversation import Manner, Pace, Terms
from scripts.simulation.invariants import stands_by
from tests.simulation.mesh_world import KEY, LISTEN_PORT, SERVICE_PORT, MeshWorld, mesh_world, three_agents

MIB = 1024 * 1024


def diamond(mesh: MeshWorld, **settings) -> None:
    """Two relays between branch and hq."""
    mesh.plan("branch", peers=["left", "right"], listeners={KEY: LISTEN_PORT}, **settings)
    mesh.plan("left", **settings)
    mesh.plan("right", **settings)
    mesh.plan("hq", peers=["left", "right"], endpoints={KEY: TcpAddress("service", SERVICE_PORT)}, **settings)
    for one, other in (("branch", "left"), ("branch", "right"), ("left", "hq"), ("right", "hq")):
        mesh.network.shape(one, other, bytes_per_s=4e6, latency_s=0.005)
    mesh.serve("service")
    mesh.start()
    mesh.converge()


def transit_of(mesh: MeshWorld) -> str:
    """The relay that connections from branch to hq cross at present."""
    hop = mesh.snapshot("branch").next_hops[mesh.id_of("hq")]
    return "left" if hop == mesh.id_of("left") else "right"


def talks(mesh: MeshWorld, draw: random.Random, count: int = 6, size: int = 2 * MIB) -> None:
    for number in range(count):
        terms = Terms(number, draw.randrange(size), draw.randrange(size), Manner(draw.randrange(2)))
        pace = Pace(byte_count=draw.choice([0, 5000]), pause_s=0.02)
        mesh.converse(terms, pace, start_s=draw.random())


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("fault", ["crash", "restart", "cut", "reset", "pause"])
def test_connections_outlive_the_transit_agent_that_carries_them(seed, fault):
    draw = random.Random(f"{seed} {fault}")
    with mesh_world(seed) as mesh:
        diamond(mesh)
        talks(mesh, draw)
        mesh.run(0.2 + draw.random())
        transit = transit_of(mesh)
        match fault:
            case "crash":
                mesh.crash(transit)
            case "restart":
                mesh.restart(transit)
            case "pause":
                mesh.world.pause(transit)
            case _:
                mesh.network.cut("branch", transit, reset=fault == "reset")
        mesh.run_until_said(120.0)
        mesh.run(2.0)
        mesh.assert_all_complete()
        if fault == "pause":
            mesh.world.resume(transit)
        mesh.network.heal("branch", transit)
        if fault == "crash":
            mesh.start(transit)
        mesh.run(30.0)
        mesh.finish()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("away_s", [0.5, 5.0, 12.0])
@pytest.mark.parametrize("reset", [False, True])
def test_a_link_that_comes_back_in_time_costs_nothing(seed, away_s, reset):
    draw = random.Random(f"{seed} {away_s} {reset}")
    with mesh_world(seed) as mesh:
        mesh.network.shape("relay", "hq", bytes_per_s=3e6)
        three_agents(mesh)
        talks(mesh, draw)
        mesh.run(0.2 + draw.random())
        where = draw.choice([("branch", "relay"), ("relay", "hq")])
        mesh.network.cut(*where, reset=reset)
        mesh.run(away_s)
        mesh.network.heal(*where)
        mesh.run_until_said(120.0)
        mesh.run(2.0)
        mesh.assert_nothing_wrong()
        for talk in mesh.conversations:
            # A client that came while there was no path was refused, or reset once open_timeout was over.
            assert talk.heard.is_complete or not opened(mesh, talk), (talk.terms, talk.heard)
        mesh.run(20.0)
        mesh.finish()


def opened(mesh, talk) -> bool:
    return talk.terms.number in mesh.records


@pytest.mark.parametrize("seed", range(4))
def test_a_link_that_stays_away_resets_its_connections_at_both_ends(seed):
    draw = random.Random(seed)
    with mesh_world(seed) as mesh:
        mesh.network.shape("relay", "hq", bytes_per_s=1e6)
        three_agents(mesh)
        talks(mesh, draw)
        idle = mesh.converse(Terms(99, 2000, 1000), Pace(byte_count=1500, pause_s=200.0))
        mesh.run(1.2)
        mesh.network.cut("relay", "hq")
        mesh.run_until_said(60.0)
        assert idle.heard.error == errno.ECONNRESET
        mesh.run(10.0)
        for record in mesh.records.values():
            assert record.is_over
        mesh.assert_nothing_left(20.0)
        mesh.network.heal("relay", "hq")
        mesh.run(40.0)
        mesh.finish()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("who", ["branch", "hq", "relay", "service", "client"])
@pytest.mark.parametrize("back_after_s", [0.0, 2.0])
def test_whoever_dies_only_takes_its_own_connections_along(seed, who, back_after_s):
    draw = random.Random(f"{seed} {who} {back_after_s}")
    with mesh_world(seed) as mesh:
        mesh.network.shape("relay", "hq", bytes_per_s=3e6)
        three_agents(mesh)
        talks(mesh, draw)
        mesh.run(0.2 + draw.random())
        if who in mesh.plans:
            mesh.crash(who)
        else:
            mesh.world.crash(who)
        mesh.run(back_after_s)
        if who in mesh.plans:
            mesh.start(who)
        elif who == "service":
            mesh.records.clear()
            mesh.silent.clear()
            mesh.serve("service")
        if who != "client":
            mesh.run_until_said(120.0)
        mesh.run(20.0)
        mesh.assert_nothing_wrong()
        if who == "relay":
            mesh.run(10.0)
            for talk in mesh.conversations:
                assert talk.heard.is_complete or not opened(mesh, talk), (talk.terms, talk.heard)
        after = mesh.converse(Terms(1000, 10_000, 10_000))
        mesh.run_until(lambda: after.heard.is_over, 30.0)
        assert after.heard.is_complete, after.heard
        if who == "client":
            for number in {talk.terms.number for talk in mesh.conversations if not talk.heard.is_over}:
                service = mesh.records.pop(number, None)
                assert service is None or service.is_over, service
            mesh.conversations[:] = [talk for talk in mesh.conversations if talk.heard.is_over]
        mesh.finish()


@pytest.mark.parametrize("core", ["route_table", "connection_table", "directory"])
@pytest.mark.parametrize("who", ["branch", "relay", "hq"])
def test_a_core_actor_that_crashes_starts_the_agent_anew(core, who):
    with mesh_world(1) as mesh:
        mesh.network.shape("relay", "hq", bytes_per_s=3e6)
        three_agents(mesh)
        talks(mesh, random.Random(1))
        mesh.run(0.5)
        before = mesh.snapshot("branch").records[mesh.id_of(who)].instance
        refs = mesh.world.ask(mesh.plans[who].root, agent_messages.GetRefs())
        getattr(refs, core).tell("no such message")
        mesh.run_until_said(120.0)
        mesh.run(20.0)
        assert len(mesh.log.crashes) == 1
        mesh.log.crashes.clear()
        assert mesh.snapshot("branch").records[mesh.id_of(who)].instance != before
        after = mesh.converse(Terms(1000, 10_000, 10_000))
        mesh.run_until(lambda: after.heard.is_over, 30.0)
        assert after.heard.is_complete, after.heard
        mesh.finish()


@pytest.mark.parametrize(
    "victim",
    ["Endpoint", "Listener", "Acceptor", "Dialer", "PeerLink", "IngressConnection", "ExitConnection"],
)
def test_an_actor_that_crashes_is_replaced_and_disturbs_no_other(victim):
    with mesh_world(1) as mesh:
        mesh.network.shape("relay", "hq", bytes_per_s=3e6)
        three_agents(mesh)
        talks(mesh, random.Random(1))
        mesh.run(1.0)
        found = next(
            actor
            for name in ("branch", "hq", "relay")
            for actor in mesh.actors_on(name)
            if type(actor).__name__ == victim
        )
        found.actor_ref.tell("no such message")
        mesh.run_until_said(60.0)
        mesh.run(10.0)
        assert len(mesh.log.crashes) == 1
        mesh.log.crashes.clear()
        hurt = [talk for talk in mesh.conversations if not talk.heard.is_complete]
        allowed = 1 if "Connection" in victim else 0
        assert len(hurt) <= allowed, [(t.terms, t.heard) for t in hurt]
        after = mesh.converse(Terms(1000, 10_000, 10_000))
        mesh.run_until(lambda: after.heard.is_over, 30.0)
        assert after.heard.is_complete, after.heard
        mesh.finish()


def test_a_listener_that_crashes_keeps_count_of_its_clients():
    with mesh_world(1) as mesh:
        three_agents(mesh)
        mesh.plan("branch", peers=["relay"], listeners={KEY: LISTEN_PORT}, max_connections=5)
        mesh.restart("branch")
        mesh.converge()
        patient = Pace(byte_count=30, pause_s=20.0)  # two pieces: it stays for 20 s
        stays = [mesh.converse(Terms(n, 20, 20), patient) for n in range(3)]
        leaves = mesh.converse(Terms(3, 20, 20), Pace(byte_count=30, pause_s=2.0))
        mesh.run(1.0)
        for _ in range(2):  # the second one counts on what the first left
            (listener,) = mesh.actors_on("branch", Listener)
            listener.actor_ref.tell("no such message")
            mesh.run(3.0)
        assert len(mesh.log.crashes) == 2
        mesh.log.crashes.clear()
        assert leaves.heard.is_complete
        more = [mesh.converse(Terms(10 + n, 20, 20), patient) for n in range(4)]
        mesh.run(1.0)
        assert not any(talk.heard.is_over for talk in stays)
        assert sum(talk.heard.error == errno.ECONNRESET for talk in more) == 2
        assert sum(not talk.heard.is_over for talk in more) == 2
        mesh.run_until_said(60.0)
        again = [mesh.converse(Terms(100 + n, 20, 20)) for n in range(5)]
        mesh.run_until_said(20.0)
        assert all(talk.heard.is_complete for talk in again)
        mesh.finish()


def test_an_endpoint_that_crashes_keeps_count_of_its_connections():
    with mesh_world(1) as mesh:
        three_agents(mesh)
        plan = mesh.plans["hq"]
        endpoint = EndpointSetup(KEY, TcpAddress("service", SERVICE_PORT), max_connections=3)
        plan.setup = msgspec.structs.replace(plan.setup, endpoints=(endpoint,))
        mesh.restart("hq")
        mesh.converge()
        patient = Pace(byte_count=30, pause_s=20.0)  # two pieces: it stays for 20 s
        stays = [mesh.converse(Terms(n, 20, 20), patient) for n in range(2)]
        leaves = mesh.converse(Terms(2, 20, 20), Pace(byte_count=30, pause_s=2.0))
        mesh.run(1.0)
        for _ in range(2):  # the second one counts on what the first left
            (crashing,) = mesh.actors_on("hq", Endpoint)
            crashing.actor_ref.tell("no such message")
            mesh.run(3.0)
        assert len(mesh.log.crashes) == 2
        mesh.log.crashes.clear()
        assert leaves.heard.is_complete
        more = [mesh.converse(Terms(10 + n, 20, 20), patient) for n in range(3)]
        mesh.run(1.0)
        assert not any(talk.heard.is_over for talk in stays)
        assert sum(talk.heard.error == errno.ECONNRESET for talk in more) == 2
        assert sum(not talk.heard.is_over for talk in more) == 1
        mesh.run_until_said(60.0)
        mesh.finish()


@pytest.mark.parametrize("seed", range(20))
def test_two_that_dial_each_other_end_up_with_one_link(seed):
    draw = random.Random(seed)
    with mesh_world(seed) as mesh:
        mesh.network.shape("branch", "hq", latency_s=draw.choice([0.0, 0.001, 0.2]))
        mesh.plan("branch", peers=["hq"], listeners={KEY: LISTEN_PORT})
        mesh.plan("hq", peers=["branch"], endpoints={KEY: TcpAddress("service", SERVICE_PORT)})
        mesh.serve("service")
        mesh.start("branch")
        mesh.run(draw.choice([0.0, 0.0, draw.random()]))
        mesh.start("hq")
        mesh.converge()
        mesh.run(10.0)
        for name in ("branch", "hq"):
            assert len(mesh.actors_on(name, PeerLink)) == 1
            assert len(mesh.peers(name)) == 1
        assert mesh.peers("branch")["hq"].is_dialer != mesh.peers("hq")["branch"].is_dialer
        links = [mesh.actors_on(name, PeerLink)[0] for name in ("branch", "hq")]
        mesh.converse(Terms(1, 100_000, 100_000))
        mesh.run_until_said(20.0)
        mesh.run(60.0)
        assert links == [mesh.actors_on(name, PeerLink)[0] for name in ("branch", "hq")]
        mesh.assert_all_complete()
        mesh.finish()
        # Either end comes back, and again there is one link.
        mesh.restart(draw.choice(["branch", "hq"]))
        mesh.run(20.0)
        mesh.converge()
        for name in ("branch", "hq"):
            assert len(mesh.actors_on(name, PeerLink)) == 1


@pytest.mark.parametrize("seed", range(4))
def test_a_restarted_peer_is_not_locked_out_by_its_own_dead_link(seed):
    with mesh_world(seed) as mesh:
        three_agents(mesh)
        mesh.network.cut("branch", "relay")  # the reset of the crash gets lost
        mesh.crash("branch")
        mesh.network.heal("branch", "relay")
        mesh.start("branch")
        mesh.converge(10.0)
        assert set(mesh.peers("relay")) == {"branch", "hq"}
        mesh.converse(Terms(1, 1000, 1000))
        mesh.run_until_said(10.0)
        mesh.assert_all_complete()
        mesh.finish()


def test_a_duplicate_identity_is_refused_and_reported_by_both():
    with mesh_world(1) as mesh:
        three_agents(mesh)
        mesh.plan("impostor", peers=["relay"], identity_of="branch", accepts=False)
        mesh.converse(Terms(1, 2_000_000, 20_000), Pace(byte_count=10_000, pause_s=0.1))
        mesh.start("impostor")
        mesh.run(30.0)
        own = mesh.actors_on("relay", PeerLink)
        assert len([link for link in own if link._link.name]) == 2
        (told,) = mesh.log.of("relay", "duplicate identity")  # once, however often the copy dials
        assert "branch" in told
        (told,) = mesh.log.of("branch", "duplicate identity")
        assert "relay" in told
        assert mesh.log.of("impostor", "duplicate identity")
        assert not mesh.log.of("hq", "duplicate identity")
        mesh.crash("impostor")
        mesh.run_until_said(60.0)
        mesh.assert_all_complete()
        mesh.run(60.0)
        mesh.finish()


def test_copies_of_an_identity_at_two_relays_find_out_about_each_other():
    with mesh_world(1) as mesh:
        three_agents(mesh)
        mesh.plan("far", peers=["relay"])
        mesh.plan("impostor", peers=["far"], identity_of="branch", accepts=False)
        mesh.start("far")
        mesh.converge()
        mesh.start("impostor")
        told = "another running agent has this agent's identity key"
        mesh.run(5.0)
        for name in ("branch", "impostor"):
            assert mesh.log.of(name, told), mesh.log.lines
        mesh.crash("impostor")
        mesh.run(60.0)
        mesh.finish()


@pytest.mark.parametrize("who", ["branch", "relay", "hq"])
def test_leaving_lets_connections_finish_and_takes_the_agent_off_the_map(who):
    with mesh_world(1) as mesh:
        mesh.network.shape("relay", "hq", bytes_per_s=1e6)
        three_agents(mesh)
        mesh.converse(Terms(1, 1_500_000, 1_500_000))
        mesh.run(0.5)
        mesh.leave(who)
        mesh.run(0.2)
        late = mesh.converse(Terms(2, 10, 10))
        mesh.run_until_said(30.0)
        mesh.run(5.0)
        assert mesh.plans[who].left, "it has not left"
        assert mesh.plans[who].left[0] < 14.0
        assert not mesh.world.dispatcher(who).actors
        assert mesh.world.open_sockets(who) == 0
        if who != "relay":
            assert mesh.conversations[0].heard.is_complete
            assert not late.heard.is_complete
        else:
            mesh.assert_nothing_wrong()
        for name in mesh.running:
            assert mesh.id_of(who) not in mesh.snapshot(name).next_hops
        mesh.run(40.0)
        mesh.assert_nothing_wrong()
        mesh.assert_nothing_left()


def test_leaving_with_a_connection_that_does_not_finish_resets_it_after_the_drain_timeout():
    with mesh_world(1) as mesh:
        three_agents(mesh)
        idle = mesh.converse(Terms(1, 2000, 1000), Pace(byte_count=1500, pause_s=500.0))
        mesh.run(1.0)
        mesh.leave("hq", 5.0)
        mesh.run_until_said(8.0)
        assert idle.heard.error == errno.ECONNRESET
        mesh.run(3.0)
        assert mesh.plans["hq"].left
        mesh.finish()


@pytest.mark.parametrize("seed", range(4))
def test_a_relay_that_leaves_costs_no_connection_where_there_is_another_way(seed):
    draw = random.Random(seed)
    with mesh_world(seed) as mesh:
        diamond(mesh)
        talks(mesh, draw)
        mesh.run(0.7)
        transit = transit_of(mesh)
        mesh.leave(transit)
        mesh.run(1.0)
        assert transit_of(mesh) != transit
        mesh.run_until_said(60.0)
        mesh.run(2.0)
        mesh.assert_all_complete()
        assert mesh.plans[transit].left
        mesh.finish()


@pytest.mark.parametrize("seed", range(20))
def test_bytes_survive_any_sequence_of_faults_or_the_connection_is_reset(seed):
    draw = random.Random(f"chaos {seed}")
    with mesh_world(seed) as mesh:
        diamond(mesh, reroute_timeout_s=8.0)
        hosts = ["branch", "left", "right", "hq"]
        pairs = [("branch", "left"), ("branch", "right"), ("left", "hq"), ("right", "hq")]
        number = 0
        for _ in range(12):
            for _ in range(draw.randrange(4)):
                terms = Terms(number, draw.randrange(MIB), draw.randrange(MIB), Manner(draw.randrange(2)))
                mesh.converse(
                    terms, Pace(byte_count=draw.choice([0, 20_000]), pause_s=0.05), start_s=draw.random()
                )
                number += 1
            mesh.run(draw.random() * 2)
            match draw.randrange(6):
                case 0:
                    mesh.network.cut(*draw.choice(pairs), reset=draw.random() < 0.5, one_way=False)
                case 1:
                    mesh.network.cut(*draw.choice(pairs), one_way=True)
                case 2 | 3:
                    for pair in pairs:
                        mesh.network.heal(*pair)
                case 4:
                    mesh.restart(draw.choice(hosts))
                case 5:
                    host = draw.choice(hosts)
                    mesh.world.pause(host)
                    mesh.run(draw.random() * 5)
                    mesh.world.resume(host)
            mesh.run(draw.random() * 4)
        for pair in pairs:
            mesh.network.heal(*pair)
        mesh.run_until_said(200.0)
        mesh.run(60.0)
        for name in hosts:
            left = [end for end in mesh.actors_on(name, ConnectionEnd) if not stands_by(end)]
            assert not left, (seed, name, left)
        mesh.finish()
