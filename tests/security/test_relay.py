"""A member with the right to relay, on the path between others."""

import itertools
import random
import time

import pytest

from mesh.connection.session_handshake import FULL_OPEN
from mesh.connection.short_open import SHORT_OPEN
from mesh.link.frames import FrameType
from scripts.lab.meshes import Mesh
from scripts.lab.waiting import wait_until
from scripts.simulation.conversation import Terms
from tests.lab_meshes import MESHES
from tests.security.chains import KEY, SAYING, Chain, Held
from tests.security.go_between import GoBetween
from tests.simulation.hostile_transit import MISCHIEF, HostileLink
from tests.simulation.mesh_world import mesh_world, three_agents

GOES_ON_S = 3.0
"""By then a path that makes no progress is found, one way or both, and what was lost on it is sent again."""
NEW_OPENS_S = 2.0
MEASURED_S = 0.5
"""Until what was said first has been acknowledged: a connection that has measured nothing takes longer."""
SLACK_S = 2.0
"""For a machine that is busy elsewhere."""

EVERY_SECOND = "data of every second connection"
SINKS = {
    "data": lambda frame: frame.type != FrameType.DATA,
    "everything of connections": lambda frame: False,
    "openings": lambda frame: frame.type not in (FrameType.OPEN, FrameType.ACCEPT),
    "what the exit sends": lambda frame: not frame.from_exit,
    "what the ingress sends": lambda frame: frame.from_exit,
    EVERY_SECOND: lambda frame: frame.type != FrameType.DATA or frame.connection % 2 == 0,
}


@pytest.fixture(scope="module")
def long_way(tmp_path_factory):
    """Branch - relay - relay1 - hq; both ends accept links, so there is room for a shorter way."""
    chain = Chain(Mesh(tmp_path_factory.mktemp("long")), relays=2)
    chain.branch.accept()
    chain.hq.accept()
    try:
        yield chain.start()
    finally:
        chain.close()


@pytest.fixture
def short_cut(request, long_way):
    request.node.stash.setdefault(MESHES, []).append(long_way.mesh)
    with GoBetween(long_way.branch, long_way.hq, long_way.authority) as relay:
        relay.wait_until_it_is_the_way(KEY)
        yield relay
    wait_until(
        lambda: not any("short-cut" in route["path_display"] for route in long_way.branch.routes(KEY)),
        "the short cut is gone",
    )


@pytest.mark.parametrize("kind", SINKS)
def test_a_relay_that_drops_what_it_is_given_and_answers_pings_is_gone_round(long_way, short_cut, kind):
    within_s = GOES_ON_S + SLACK_S
    with Held(long_way.port, within_s) as held, Held(long_way.port, within_s) as another:
        time.sleep(MEASURED_S)
        short_cut.passes = SINKS[kind]
        assert held.says() < within_s
        if kind == EVERY_SECOND:  # one of the two, whichever
            assert another.says() < within_s
        took = long_way.newcomers(3, NEW_OPENS_S + SLACK_S)
        assert short_cut.kept, "it was not the way"
        assert None not in took
        assert sorted(took)[1] < NEW_OPENS_S, took


def test_a_relay_finds_neither_what_is_said_nor_for_which_key(long_way, short_cut):
    with Held(long_way.port) as held:
        held.says()
    seen = b"|".join(frame.body for frame in short_cut.seen)
    assert {frame.type for frame in short_cut.seen} >= {FrameType.OPEN, FrameType.ACCEPT, FrameType.DATA}
    assert SAYING not in seen
    openings = {
        len(frame.body)
        for frame in short_cut.seen
        if frame.type in (FrameType.OPEN, FrameType.ACCEPT, FrameType.REJECT)
    }
    assert len(openings) == 1


REPLAYED = 6
"""How many OPENs come again, the first of those that were recorded first."""


def test_an_open_that_was_recorded_opens_nothing_when_it_comes_again(long_way, short_cut):
    branch, hq = long_way.branch, long_way.hq

    def recorded():
        return [frame for frame in short_cut.seen if frame.type == FrameType.OPEN]

    def replay():
        """How many connections the OPENs that were recorded by now make the exit serve."""
        hq.wait_until_quiet()
        before = hq.stats()
        for number, frame in zip(range(REPLAYED), itertools.cycle(recorded()), strict=False):
            short_cut.links[hq.identity.id].send(frame)
            ignored = before["opens_ignored_total"] + number
            wait_until(lambda ignored=ignored: hq.stats()["opens_ignored_total"] > ignored, "it is ignored")
        return hq.stats()["opens_answered_total"] - before["opens_answered_total"]

    assert long_way.answers() is not None
    assert replay() == 0
    for agent in (branch, hq):
        agent.kill()
        agent.start()
        short_cut.link(agent)
        short_cut.wait_until_it_is_the_way(KEY)
        for _ in range(2):  # the second under the pair session that comes of the first
            assert long_way.answers() is not None
        assert replay() == 0
    assert {frame.number for frame in recorded()} == {FULL_OPEN, SHORT_OPEN}


@pytest.mark.parametrize("seed", range(4))
def test_whatever_a_relay_does_to_frames_no_byte_is_forged_and_it_is_counted(seed):
    draw = random.Random(seed)
    HostileLink.plan(seed, MISCHIEF, 0.3)
    with mesh_world(seed, {"relay": HostileLink}) as mesh:
        three_agents(mesh)
        for number in range(4):
            mesh.converse(Terms(number, draw.randrange(100_000, 400_000), draw.randrange(400_000)))
        mesh.run(20.0)
        mesh.assert_nothing_wrong()
        counted = sum(mesh.plans[name].meters.frames_forged for name in ("branch", "hq"))
        HostileLink.chance = 0.0
        mesh.run_until_said(200.0)
        mesh.finish(limit_s=120.0)
        assert HostileLink.done
        assert counted
