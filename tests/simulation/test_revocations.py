"""An authority revokes agents of a simulated mesh: who hears of it, how soon, and what it ends."""

import random

import pytest

from actors.messages import route_table as route_messages
from actors.runtime.virtual.world import UNIX_START_S
from mesh.trust.revocations import Revocation, sign_list
from scripts.simulation.conversation import Pace, Terms
from tests.simulation.mesh_world import KEY, diamond, mesh_world, three_agents

LONG = Terms(1, 4_000_000, 4_000_000)
SLOWLY = Pace(byte_count=2000, pause_s=0.05)


def knows_no(mesh, name):
    """Whether no other agent that runs knows anything of this one, or is linked to it."""
    gone = mesh.id_of(name)
    return all(
        mesh.routes(other) is not None
        and gone not in mesh.routes(other).records
        and gone not in mesh.routes(other).next_hops
        and not any(link._link.name == name for link in links(mesh, other))
        for other in mesh.running
        if other != name
    )


def links(mesh, name):
    return [each for each in mesh.actors_on(name) if type(each).__name__ == "PeerLink" and each._is_reported]


def counts(mesh, name):
    return mesh.ask(name, "route_table", route_messages.GetCounts())


def test_one_of_many_agents_is_out_within_a_second():
    draw = random.Random(7)
    with mesh_world(seed=7) as mesh:
        names = [f"a{number}" for number in range(40)]
        for number, name in enumerate(names):
            peers = {names[number // 2], draw.choice(names[:number])} if number else set()
            mesh.plan(name, peers=sorted(peers))
            for peer in peers:
                mesh.network.shape(name, peer, latency_s=draw.uniform(0.005, 0.05))
        mesh.start()
        mesh.converge(60.0)
        mesh.revoke("a3", at="a39")
        took_s = mesh.run_until(lambda: knows_no(mesh, "a3"), 5.0)
        assert took_s < 1.0
        mesh.run(10.0)
        assert knows_no(mesh, "a3")
        assert all(counts(mesh, name).agents_revoked == 1 for name in names)


@pytest.mark.parametrize("who", ["branch", "hq"])
def test_what_is_open_with_the_revoked_ends_at_both_ends_at_once(who):
    with mesh_world(seed=1) as mesh:
        three_agents(mesh)
        talk = mesh.converse(LONG, SLOWLY)
        mesh.run(1.0)
        assert not talk.heard.is_over
        mesh.revoke(who, at="relay")
        mesh.run(1.0)
        assert talk.heard.is_over
        assert mesh.records[1].is_over
        assert mesh.log.of(who, "this agent was revoked on")
        assert mesh.snapshot("relay").candidates.keys() == (set() if who == "hq" else {KEY})
        mesh.run(20.0)
        assert knows_no(mesh, who)


def test_connections_that_cross_the_revoked_take_another_way():
    with mesh_world(seed=2) as mesh:
        diamond(mesh)
        talk = mesh.converse(LONG, SLOWLY)
        mesh.run(1.0)
        mesh.revoke("left", at="hq")
        mesh.run(1.0)
        assert knows_no(mesh, "left")
        assert not talk.heard.is_over
        mesh.run_until_said(200.0)
        mesh.assert_all_complete()


def test_who_was_away_hears_of_it_with_its_first_link_and_before_any_record():
    with mesh_world(seed=3) as mesh:
        three_agents(mesh)
        mesh.crash("branch")
        mesh.run(10.0)
        mesh.revoke("hq", at="relay")
        mesh.run(1.0)
        mesh.start("branch")
        mesh.run(5.0)
        assert mesh.peers("branch").keys() == {"relay"}
        assert knows_no(mesh, "hq")
        assert counts(mesh, "branch").revocation_lists_taken_total == 1
        mesh.restart("relay")  # which has it on its disk
        mesh.run(10.0)
        assert knows_no(mesh, "hq")


def test_who_was_away_when_it_was_revoked_is_told_so_by_the_first_agent_that_it_dials():
    with mesh_world(seed=8) as mesh:
        three_agents(mesh)
        mesh.crash("branch")
        mesh.run(2.0)
        mesh.revoke("branch", at="hq")
        mesh.run(1.0)
        mesh.start("branch")
        mesh.run(10.0)
        assert mesh.log.of("branch", "this agent was revoked on")
        refusals = mesh.log.of("branch", "link refused by relay")
        assert refusals
        assert "was revoked on" in refusals[0]
        assert counts(mesh, "branch").revocation_lists_taken_total == 1
        assert knows_no(mesh, "branch")
        mesh.revoke(at="hq")  # it was a mistake
        mesh.run(120.0)
        assert mesh.peers("branch").keys() == {"relay"}
        assert counts(mesh, "branch").agents_revoked == 0


def test_who_was_away_and_dials_nobody_is_told_so_by_whoever_dials_it():
    with mesh_world(seed=9) as mesh:
        three_agents(mesh)
        mesh.crash("relay")
        mesh.run(2.0)
        mesh.revoke("relay", at="hq")
        mesh.run(1.0)
        mesh.start("relay")
        mesh.run(90.0)
        assert mesh.log.of("relay", "this agent was revoked on")
        assert "hq" not in {link._link.name for link in links(mesh, "relay")}
        assert mesh.snapshot("hq").candidates.keys() == {KEY}


def test_the_revoked_is_let_in_nowhere_whatever_way_it_takes():
    with mesh_world(seed=4) as mesh:
        mesh.plan("left", peers=["right"])
        mesh.plan("right")
        mesh.plan("thief", peers=["left"])
        mesh.start()
        mesh.converge()
        mesh.revoke("thief", at="left")
        mesh.run(1.0)
        mesh.crash("thief")
        mesh.plan("thief", peers=["right"], may_relay=False)  # another certificate, another way
        mesh.start("thief")
        mesh.run(20.0)
        assert mesh.peers("thief") == {}
        assert knows_no(mesh, "thief")
        assert mesh.peers("left").keys() | mesh.peers("right").keys() == {"left", "right"}


def test_who_is_revoked_no_more_is_back():
    with mesh_world(seed=5) as mesh:
        three_agents(mesh)
        mesh.revoke("hq", at="branch")
        mesh.run(2.0)
        assert knows_no(mesh, "hq")
        mesh.revoke(at="relay")
        mesh.run(60.0)
        assert KEY in mesh.snapshot("branch").candidates
        mesh.converse(Terms(2, 1000, 1000))
        mesh.run_until_said(20.0)
        mesh.assert_all_complete()
        assert mesh.log.of("branch", "is revoked no more")
        assert counts(mesh, "hq").agents_revoked == 0


def test_many_lists_in_a_row_all_come_to_the_same_and_cost_no_link():
    with mesh_world(seed=6) as mesh:
        three_agents(mesh)
        before = [link.actor_urn for name in mesh.plans for link in links(mesh, name)]
        for number in range(60):
            unix_s = UNIX_START_S + mesh.world.now()
            entries = [Revocation(bytes([n]) * 16, int(unix_s)) for n in range(1, number + 2)]
            wire = sign_list(mesh.identity("authority"), int(unix_s * 1000), entries)
            at = ("branch", "relay", "hq")[number % 3]
            mesh.ask(at, "route_table", route_messages.TakeRevocations((wire,)))
            mesh.run(0.05)
        mesh.run(5.0)
        assert [counts(mesh, name).agents_revoked for name in mesh.plans] == [60, 60, 60]
        assert [link.actor_urn for name in mesh.plans for link in links(mesh, name)] == before
