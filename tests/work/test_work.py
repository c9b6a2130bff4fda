"""No connection and no byte may cause much more work than it does at present: counted, not timed."""

import collections
import contextlib
import gc
import logging
import sys
from unittest import mock

import pytest

from actors.connections.connection_end import ConnectionEnd
from mesh.journal import Journal
from scripts.simulation.conversation import Pace, Terms
from tests.simulation.mesh_world import mesh_world, three_agents
from tests.work import bounds
from tests.work.counting import ALL, Counter, counting_ciphers, counting_seam, held_by_the_product
from tests.work.real_mesh import AGENTS, converse, counting_sockets, real_mesh

MIB = 1 << 20
HOP_LATENCY_S = 50e-6
"""One way: about what a loopback costs."""


@contextlib.contextmanager
def counted_mesh():
    """Branch - relay - hq in a simulated world, warm, and the counter of what they do."""
    counter = Counter(AGENTS)
    with counting_ciphers(counter), counting_seam(counter), mesh_world(1) as mesh:
        mesh.world.trace.listener = counter.hear
        for pair in (("client", "branch"), ("branch", "relay"), ("relay", "hq"), ("hq", "service")):
            mesh.network.shape(*pair, latency_s=HOP_LATENCY_S)
        three_agents(mesh)
        mesh.converse(Terms(number=1, up=64, down=64))
        mesh.run_until_said(20.0)
        mesh.run(3.0)
        yield mesh, counter


def connection_ends():
    return [each for each in gc.get_objects() if isinstance(each, ConnectionEnd)]


def check(section, found):
    shown = bounds.table(section, found)
    sys.stdout.write(f"{shown}\n")  # pytest -rP shows it
    wrong = bounds.complaints(section, found)
    assert not wrong, "\n".join(["more work than before:", *wrong, "all of it:", shown])


def test_a_connection():
    count = 50
    with counted_mesh() as (mesh, counter), counter.window(per=count) as found:
        for number in range(count):
            mesh.converse(Terms(number=10 + number, up=64, down=64))
            mesh.run_until_said(20.0)
            mesh.run(0.02)
        mesh.assert_all_complete()
    check("a connection", found)


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_mebibyte(direction):
    count = 16
    with counted_mesh() as (mesh, counter):
        with counter.window(per=count) as found:
            mesh.converse(Terms(number=10, **{direction: count * MIB}))
            mesh.run_until_said(60.0)
        mesh.assert_all_complete()
    found[ALL, "bytes sealed and opened"] /= MIB  # for each byte carried
    for agent in AGENTS:
        found[agent, "bytes sent"] /= MIB
    check(f"a MiB {direction}", found)


def test_an_idle_second():
    seconds = 20
    with counted_mesh() as (mesh, counter), counter.window(per=seconds) as found:
        mesh.run(seconds)
    check("an idle second", found)


def test_an_open_connection_and_one_that_has_ended(caplog):
    caplog.set_level(logging.WARNING, "mesh.connections")  # pytest keeps what is in the log, too
    count = 200
    # The journal is to keep the last connections that have ended, and no more: here one at each agent.
    short = mock.patch.dict(Journal.__init__.__kwdefaults__, max_events=1)
    with short, mesh_world(1) as mesh:
        three_agents(mesh)

        def converse(first, *, ends):
            for number in range(first, first + count):
                mesh.converse(Terms(number=number, up=64, down=64), Pace(finishes=ends))
            mesh.run(5.0)

        converse(1000, ends=False)  # all tables have grown, and all code has run
        converse(2000, ends=True)
        mesh.run(60.0)
        with held_by_the_product() as of_ended:
            converse(3000, ends=True)
            mesh.run(10.0)  # the open ones are not probed meanwhile
        with held_by_the_product() as of_open:
            converse(4000, ends=False)
        is_over = [conversation.heard.is_complete for conversation in mesh.conversations]
        assert is_over == [False] * count + [True] * 2 * count + [False] * count
    check("an open connection", {(ALL, f"held {what}"): held / count for what, held in of_open.items()})
    check("an ended connection", {(ALL, f"held {what}"): held / count for what, held in of_ended.items()})


def test_an_ended_connection_is_freed_at_once_and_not_by_a_search_for_cycles():
    with mesh_world(1) as mesh:
        three_agents(mesh)
        mesh.converse(Terms(number=1, up=64, down=64))
        mesh.run_until_said(20.0)
        mesh.run(30.0)
        gc.collect()
        before = {id(each) for each in connection_ends()}
        gc.disable()
        try:
            for number in range(10, 20):
                mesh.converse(Terms(number=number, up=64, down=64))
                mesh.run_until_said(20.0)
            mesh.run(30.0)
            ends = [each for each in connection_ends() if id(each) not in before]
        finally:
            gc.enable()
        mesh.assert_all_complete()
    assert [end.stands_by for end in ends] == [True], "all but the one that waits for the next client"


@pytest.mark.system
def test_system_calls_of_a_connection():
    count = 50
    with counting_sockets() as calls, real_mesh() as port:
        for _ in range(5):
            converse(port)
        before = collections.Counter(calls.counts)
        for _ in range(count):
            converse(port)
        by_call = calls.counts - before
    totals = collections.Counter()
    for (agent, _), number in by_call.items():
        totals[agent] += number
    for (agent, call), number in sorted(by_call.items()):
        sys.stdout.write(f"{agent:8} {call:12} {number / count:.2f}\n")
    check("a connection's calls", {(agent, "system calls"): totals[agent] / count for agent in AGENTS})


def test_a_figure_above_its_bound_is_a_complaint_that_says_what_lowers_it(monkeypatch):
    present = {("branch", "timers"): 4.0, ("hq", "turns"): 0.0}
    monkeypatch.setattr(bounds, "PRESENT", {"some work": present})
    assert bounds.complaints("some work", {("branch", "timers"): 4.6, ("hq", "turns"): 0.05}) == []
    assert bounds.complaints("some work", {("branch", "timers"): 4.7, ("hq", "turns"): 0.0}) == [
        f"('branch', 'timers'): 4.70, at most 4.65. {bounds.WHAT['timers']}"
    ]
    assert bounds.complaints("some work", {("branch", "timers"): 1.0, ("relay", "turns"): 1.0}) == [
        "('hq', 'turns'): was not counted",
        "('relay', 'turns'): has no figure in tests/work/bounds.py",
    ]


def test_the_table_is_what_stands_in_the_bounds():
    for section, figures in bounds.PRESENT.items():
        assert all(what in bounds.WHAT for _, what in figures)
        shown = bounds.table(section, figures)
        assert eval(f"{{{shown}}}") == {section: figures}
