"""Pair sessions in a mesh whose agents come and go: connections open under them, and nobody notices."""

import pytest

from actors.connections.connection_table import ConnectionTable
from mesh.connection.pair_sessions import EXIT_GRACE_S, PAIR_AGE_S, PairLimits
from mesh.connection.session_handshake import FULL_OPEN
from mesh.connection.short_open import SHORT_OPEN
from mesh.link.frames import FrameType
from scripts.simulation.conversation import Terms
from tests.simulation.hostile_transit import RecordingLink
from tests.simulation.mesh_world import mesh_world, three_agents


class Mesh:
    """Three agents, and what the one between sees of how connections open."""

    def __init__(self, world, **settings):
        self.world = world
        RecordingLink.recorded.clear()
        three_agents(world, **settings)
        self.talks = 0

    def forms(self):
        """Of the OPENs since the last call."""
        seen = [frame.number for frame in RecordingLink.recorded if frame.type == FrameType.OPEN]
        RecordingLink.recorded.clear()
        return seen

    def converse(self, count=1):
        for _ in range(count):
            self.talks += 1
            talk = self.world.converse(Terms(self.talks, 1000, 1000))
            self.world.run_until(lambda: talk.heard.is_over, 20.0)  # noqa: B023
            assert talk.heard.is_complete

    def pairs(self, who):
        (table,) = self.world.actors_on(who, ConnectionTable)
        return table._pairs.pairs

    def kept(self):
        """How many secrets the ingress and the exit have."""
        return len(self.pairs("branch").of_ingress._present), len(self.pairs("hq").of_exit._by_name)


@pytest.fixture
def mesh():
    with mesh_world(1, {"relay": RecordingLink}) as world:
        yield Mesh(world)
        world.finish()


@pytest.fixture
def few():
    """One whose pair sessions serve for four connections."""
    with mesh_world(1, {"relay": RecordingLink}) as world:
        yield Mesh(world, pair_limits=PairLimits(connections=4))
        world.finish()


def test_all_but_the_first_connection_open_under_a_pair_session(mesh):
    mesh.converse(4)
    assert mesh.forms() == [FULL_OPEN, SHORT_OPEN, SHORT_OPEN, SHORT_OPEN]
    assert mesh.kept() == (1, 1)


def test_the_next_is_there_before_the_present_one_is_used_up(few):
    few.converse(10)
    assert few.forms() == [FULL_OPEN, *[SHORT_OPEN] * 3] * 2 + [FULL_OPEN, SHORT_OPEN]
    assert few.kept() == (1, 2)


def test_secrets_are_forgotten_in_their_time_though_nothing_happens(mesh):
    mesh.converse(2)
    mesh.world.run(PAIR_AGE_S - 1.0)
    assert mesh.kept() == (1, 1)
    mesh.world.run(2.0)
    assert mesh.kept() == (0, 1)
    mesh.world.run(EXIT_GRACE_S)
    assert mesh.kept() == (0, 0)
    mesh.forms()
    mesh.converse(2)
    assert mesh.forms() == [FULL_OPEN, SHORT_OPEN]


def test_one_that_grows_old_is_followed_by_the_next(mesh):
    mesh.converse()
    mesh.world.run(0.8 * PAIR_AGE_S)
    mesh.converse(2)
    assert mesh.forms() == [FULL_OPEN, FULL_OPEN, SHORT_OPEN]
    mesh.world.run(0.5 * PAIR_AGE_S)
    assert mesh.kept() == (1, 1)
    mesh.converse()
    assert mesh.forms() == [SHORT_OPEN]


def test_an_exit_that_has_lost_it_says_so_and_the_client_does_not_notice(mesh):
    mesh.converse(2)
    mesh.forms()
    mesh.pairs("hq").forget(mesh.world.plans["branch"].setup.identity.id)
    mesh.converse(3)
    assert mesh.forms() == [SHORT_OPEN, FULL_OPEN, SHORT_OPEN, SHORT_OPEN]
    assert mesh.world.plans["hq"].meters.opens_unknown_pair == 1
    assert mesh.kept() == (1, 1)


class SilencingLink(RecordingLink):
    """Lets no UNKNOWN through, and turns the order of OPENs round."""

    def _pass_on(self, destination, frames):
        frames.sort(key=lambda frame: frame.type == FrameType.OPEN and frame.number != SHORT_OPEN)
        super()._pass_on(destination, [frame for frame in frames if frame.type != FrameType.UNKNOWN])


def test_where_that_is_lost_a_full_open_goes_beside_the_short_one_and_the_next_agree_anew():
    with mesh_world(1, {"relay": SilencingLink}) as world:
        mesh = Mesh(world)
        mesh.converse(2)
        mesh.pairs("hq").forget(mesh.world.plans["branch"].setup.identity.id)
        mesh.forms()
        mesh.converse(3)
        assert mesh.forms() == [SHORT_OPEN, SHORT_OPEN, SHORT_OPEN, FULL_OPEN, FULL_OPEN, SHORT_OPEN]
        world.finish()


@pytest.mark.parametrize("who", ["branch", "hq"])
def test_after_a_restart_of_either_the_next_connection_agrees_anew(mesh, who):
    mesh.converse(2)
    mesh.world.restart(who)
    mesh.world.converge()
    mesh.forms()
    mesh.converse(2)
    assert mesh.forms() == [FULL_OPEN, SHORT_OPEN]
    assert mesh.kept() == (1, 1)


@pytest.mark.parametrize("who", ["branch", "hq"])
def test_secrets_with_an_agent_that_is_revoked_are_forgotten_at_once(who):
    with mesh_world(1) as world:
        mesh = Mesh(world)
        mesh.converse(2)
        assert mesh.kept() == (1, 1)
        world.revoke(who, at="relay")
        world.run(1.0)
        at_ingress, at_exit = mesh.kept()
        assert (at_exit if who == "branch" else at_ingress) == 0
