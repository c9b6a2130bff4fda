"""Clocks that somebody has set back, and certificates that end while in use: in the simulated world."""

import pytest

from actors.messages import route_table as route_messages
from actors.runtime.virtual.world import UNIX_START_S
from mesh.addresses import TcpAddress
from mesh.trust.revocations import Revocation, sign_list
from scripts.simulation.conversation import Pace, Terms
from tests.security.simulated import SimulatedMember
from tests.simulation.mesh_world import KEY, SERVICE_PORT, mesh_world, three_agents

NOW = int(UNIX_START_S)
DAY_S = 86_400
SLOWLY = Pace(byte_count=2000, pause_s=0.05)


def of_old(mesh):
    """Let certificates be valid long before the world begins, for those whose clock is behind."""
    certificate = mesh._certificate
    mesh._certificate = lambda agent, **says: certificate(agent, **({"not_before": 1_000} | says))


def counts(mesh, name="relay"):
    return mesh.ask(name, "route_table", route_messages.GetCounts())


def dials(mesh, host, peer, *, behind_s=0.0, **how):
    """A member whose own clock is so far behind: whether it is let in."""
    dispatcher = mesh.world.dispatcher(host, -behind_s)
    SimulatedMember.start(dispatcher, peer=peer, authority=mesh.identity("authority"), **how)
    (made,) = mesh.actors_on(host, SimulatedMember)
    mesh.run(3.0)
    return made, made.wire.is_up and not made.is_over


def serves(mesh):
    mesh.converse(Terms(len(mesh.conversations) + 1, 1_000, 1_000))
    mesh.run_until_said(120.0)
    mesh.assert_all_complete()


def test_who_sets_its_own_clock_back_is_judged_by_that_of_others():
    with mesh_world(seed=21) as mesh:
        of_old(mesh)
        three_agents(mesh)
        ended = NOW - 3 * DAY_S  # one of two days that was issued four days ago
        made, is_in = dials(mesh, "mallory", "relay", behind_s=3 * DAY_S, now=ended)
        assert not is_in
        assert made.is_over
        assert mesh.plans["relay"].meters.links_refused == 1
        assert len(mesh.log.of("relay", "has been expired since")) == 1
        serves(mesh)


@pytest.mark.parametrize("days", [0.5, 400])
def test_a_clock_that_was_set_back_lets_no_revoked_agent_in_again(days):
    """Of the agent that is attacked: somebody answers for the time server that it asks."""
    with mesh_world(seed=22) as mesh:
        of_old(mesh)
        three_agents(mesh)
        made, is_in = dials(mesh, "mallory", "relay")
        assert is_in
        entry = Revocation(made.credentials.id, NOW, name="mallory", until=NOW + DAY_S)
        wire = sign_list(mesh.identity("authority"), (NOW + 5) * 1000, [entry])
        mesh.ask("hq", "route_table", route_messages.TakeRevocations((wire,)))
        mesh.run(1.0)
        assert made.is_over
        mesh.clock_skews["relay"] = -days * DAY_S
        mesh.restart("relay")
        mesh.run(30.0)
        identity = made.credentials.identity
        refused = mesh.plans["relay"].meters.links_refused
        _, is_in = dials(mesh, "again", "relay", identity=identity, now=int(NOW - days * DAY_S))
        assert not is_in
        assert mesh.plans["relay"].meters.links_refused == refused + 1
        assert len(mesh.log.of("relay", "not trusted: the agent 'mallory'")) == 1


def test_an_agent_whose_clock_is_behind_holds_a_list_back_and_takes_it_once_that_is_right():
    """One of a time to come might bury all others. Agents with a right clock judge by it meanwhile."""
    with mesh_world(seed=23) as mesh:
        of_old(mesh)
        three_agents(mesh)
        (dispatcher,) = {id(each.dispatcher): each.dispatcher for each in mesh.actors_on("branch")}.values()
        dispatcher.clock_skew_s = -2.0 * DAY_S
        mesh.revoke("hq", at="relay")
        mesh.run(1.0)
        assert counts(mesh, "relay").agents_revoked == 1
        assert counts(mesh, "branch").agents_revoked == 0
        assert mesh.log.of("branch", "more than a day ahead of this agent's clock")
        assert mesh.peers("relay").keys() == {"branch"}  # so hq is not reached all the same
        dispatcher.clock_skew_s = 0.0
        mesh.run(20.0)
        assert counts(mesh, "branch").agents_revoked == 1


@pytest.mark.parametrize("who", ["branch", "hq"])
def test_a_certificate_that_ends_in_a_transfer_ends_that_and_no_other(who):
    with mesh_world(seed=24) as mesh:
        mesh.plan("other", peers=["relay"], listeners={"stays": 6000})
        mesh.plan("far", peers=["relay"], endpoints={"stays": TcpAddress("service", SERVICE_PORT)})
        ends_s = 30
        plans = {
            "branch": {"peers": ["relay"], "listeners": {KEY: 5432}},
            "hq": {"peers": ["relay"], "endpoints": {KEY: TcpAddress("service", SERVICE_PORT)}},
        }
        mesh.plan("relay")
        for name, plan in plans.items():
            mesh.plan(name, **plan, **({"valid_s": ends_s} if name == who else {}))
        mesh.serve("service")
        mesh.start()
        mesh.converge()
        ending = mesh.converse(Terms(1, 4_000_000, 4_000_000), SLOWLY)
        staying = mesh.converse(Terms(2, 1_500_000, 1_500_000), SLOWLY, at="other", port=6000, host="another")
        mesh.run(ends_s - mesh.world.now() - 1.0)
        assert not ending.heard.is_over
        mesh.run(2.0)
        other_end, at_it = ("hq", mesh.records[1]) if who == "branch" else ("branch", ending.heard)
        assert at_it.is_over
        assert len(mesh.log.of(other_end, f"the certificate of {who} ")) == 1
        assert mesh.plans[other_end].meters.connections_reset == 1
        assert not staying.heard.is_over
        mesh.run_until(lambda: staying.heard.is_over, 60.0)
        assert staying.heard.is_over
