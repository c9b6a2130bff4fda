"""An agent that is started again and again under clients leaves nothing in the tables of the others."""

import random
from collections import Counter, deque

import pytest

from scripts.simulation.conversation import Terms
from tests.simulation.mesh_world import mesh_world, three_agents

RESTARTS = 40
FORGOTTEN_S = 400.0
"""Records of those who are gone expire within 300 s, their connections within 90 s."""

OWN = ("mesh.", "actors.")
WORLD = "actors.runtime.virtual."
"""What stands for the kernel here is not the agent's."""

BOUNDED = {"SharedSecrets._secrets", "FormerInstances._used", "Straying._former"}
"""They keep what they are told up to a number; then the oldest goes, or all of it."""


def tables(mesh, name):
    """Sizes of all containers that an agent's actors hold, by type and attribute."""
    sizes = Counter()
    seen = set()
    waiting = mesh.actors_on(name)
    while waiting:
        holder = waiting.pop()
        if id(holder) in seen:
            continue
        seen.add(id(holder))
        for attribute, value in attributes(holder):
            if isinstance(value, dict | list | set | deque):
                table = f"{type(holder).__name__}.{attribute}"
                sizes[table] += 0 if table in BOUNDED else len(value)
            elif type(value).__module__.startswith(OWN) and not type(value).__module__.startswith(WORLD):
                waiting.append(value)
    return sizes


def attributes(holder):
    slots = [slot for kind in type(holder).__mro__ for slot in getattr(kind, "__slots__", ())]
    for attribute in [*slots, *getattr(holder, "__dict__", ())]:
        if hasattr(holder, attribute):
            yield attribute, getattr(holder, attribute)


def come_to_rest(mesh, number):
    talk = mesh.converse(Terms(number, 100_000, 100_000))
    mesh.run_until_said(5.0)
    assert talk.heard.is_complete
    mesh.run(FORGOTTEN_S)


@pytest.mark.interpreted
@pytest.mark.parametrize("who", ["branch", "relay", "hq"])
def test_an_agent_in_a_crash_loop_leaves_no_trace_at_its_peers(who):
    draw = random.Random(who)
    with mesh_world(1) as mesh:
        three_agents(mesh)
        come_to_rest(mesh, 0)
        others = [name for name in mesh.plans if name != who]
        before = {name: tables(mesh, name) for name in others}
        for restart in range(RESTARTS):
            for client in range(4):
                terms = Terms(100 * restart + client + 1, draw.randrange(300_000), draw.randrange(300_000))
                mesh.converse(terms, start_s=draw.random())
            mesh.run(draw.uniform(0.0, 1.5))
            mesh.crash(who)
            mesh.run(draw.choice([0.0, draw.random()]))
            mesh.start(who)
        mesh.run_until_said(120.0)
        mesh.finish()
        come_to_rest(mesh, 1_000_000)
        assert sum(talk.heard.is_complete for talk in mesh.conversations) > RESTARTS // 3
        for name in others:
            assert {"ReplayWindows._windows", "RecordStore._live", "PeerDirectory._peers"} <= set(
                before[name]
            )
            after = tables(mesh, name)
            assert after == before[name], (name, after - before[name], before[name] - after)
