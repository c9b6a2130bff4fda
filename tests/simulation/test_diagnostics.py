"""Pings, traces, tests and benches through three agents, all in one simulated world."""

import msgspec
import pytest

from actors.connections.inside_end import InsideEnd
from actors.connections.offers import offer_of
from actors.diagnostics.desk import LEASE_S, MAX_JOBS
from actors.diagnostics.probe import Probe
from actors.messages import agent as agent_messages
from actors.messages import desk as messages
from mesh.addresses import TcpAddress
from mesh.config.schema import EndpointSection
from mesh.diagnostics.results import ProbeState
from mesh.diagnostics.tasks import Task, What
from tests.simulation.mesh_world import KEY, SERVICE_PORT, mesh_world, three_agents


def desk_of(mesh, name="branch"):
    return mesh.world.ask(mesh.plans[name].root, agent_messages.GetRefs()).desk


def task(mesh, name, what=What.PING, key="", **more):
    return Task(what, mesh.id_of(name), name, hop_count=0, key=key, **more)


def start(mesh, *tasks, at="branch", at_once=4):
    snapshot = mesh.snapshot(at)
    offers = tuple(offer_of(snapshot, each.agent_id) for each in tasks)
    return mesh.world.ask(desk_of(mesh, at), messages.StartJob(tasks, offers, at_once))


def view(mesh, job, at="branch"):
    return mesh.world.ask(desk_of(mesh, at), messages.AskJob(job))


def results(mesh, job, limit_s=30.0, at="branch"):
    """Ask as a client does until all has been found."""
    deadline = mesh.world.now() + limit_s
    while not (seen := view(mesh, job, at)).is_over:
        assert mesh.world.now() < deadline, seen
        mesh.run(0.1)
    return seen.results


def test_each_agent_of_the_mesh_answers_pings_in_its_round_trip():
    with mesh_world(1) as mesh:
        mesh.network.shape("branch", "relay", latency_s=0.010)
        mesh.network.shape("relay", "hq", latency_s=0.030)
        three_agents(mesh)
        names = ("branch", "relay", "hq")
        job = start(mesh, *(task(mesh, name, count=5, interval_s=0.2) for name in names))
        here, relay, hq = results(mesh, job)
        assert [each.state for each in (here, relay, hq)] == [ProbeState.DONE] * 3
        assert [(each.sent, each.answered, each.late) for each in (here, relay, hq)] == [(5, 5, 0)] * 3
        assert max(here.round_trips_s) < 0.005
        assert 0.020 <= min(relay.round_trips_s) <= max(relay.round_trips_s) < 0.030
        assert 0.080 <= min(hq.round_trips_s) <= max(hq.round_trips_s) < 0.090
        assert 0.080 <= hq.open_s < 0.2
        mesh.finish()


def test_a_key_is_pinged_at_its_exit_by_those_that_may_use_it():
    with mesh_world(2) as mesh:
        allowed = EndpointSection(
            key="for-relay", target=TcpAddress("service", SERVICE_PORT), allow=("relay",)
        )
        mesh.plan("branch", peers=["relay"])
        mesh.plan("relay")
        mesh.plan("hq", peers=["relay"], endpoint_sections=[allowed])
        mesh.network.shape("relay", "hq", bytes_per_s=1e5)
        mesh.start()
        mesh.converge()
        for at, state, code in (
            ("branch", ProbeState.FAILED, "not-permitted"),
            ("relay", ProbeState.DONE, ""),
        ):
            for what in (What.PING, What.UPLOAD):
                job = start(mesh, task(mesh, "hq", what, key="for-relay", seconds=0.1), at=at)
                (found,) = results(mesh, job, at=at)
                assert (found.state, found.code) == (state, code)
        job = start(mesh, task(mesh, "hq", key="no-such-key"), task(mesh, "hq", What.UPLOAD, seconds=1.0))
        unknown, keyless = results(mesh, job)
        assert (unknown.code, keyless.code) == ("unknown-key", "not-permitted")
        mesh.finish()


@pytest.mark.parametrize("what", [What.UPLOAD, What.DOWNLOAD])
def test_a_bench_measures_what_the_path_carries(what):
    with mesh_world(3) as mesh:
        mesh.network.shape("relay", "hq", latency_s=0.005, bytes_per_s=2e5)
        three_agents(mesh)
        job = start(mesh, task(mesh, "hq", what, key=KEY, seconds=3.0))
        (found,) = results(mesh, job)
        assert found.state is ProbeState.DONE, found
        assert 1e5 < found.byte_count / found.carried_s < 2e5
        mesh.finish()


def test_the_opening_of_a_service_says_whether_its_target_accepts():
    with mesh_world(4) as mesh:
        three_agents(mesh)
        (found,) = results(mesh, start(mesh, task(mesh, "hq", What.OPEN, key=KEY)))
        assert found.state is ProbeState.DONE
        mesh.services["service"].stop(block=False)
        mesh.run(1.0)
        (found,) = results(mesh, start(mesh, task(mesh, "hq", What.OPEN, key=KEY)))
        assert (found.state, found.code) == (ProbeState.FAILED, "refused")
        mesh.finish()


def test_what_is_cut_off_for_a_while_answers_late_and_is_no_end_of_the_ping():
    with mesh_world(5) as mesh:
        three_agents(mesh)
        job = start(mesh, task(mesh, "hq", count=20, interval_s=0.5, timeout_s=1.0))
        for _ in range(30):
            mesh.run(0.1)
            view(mesh, job)
        mesh.network.cut("relay", "hq")
        for _ in range(30):
            mesh.run(0.1)
            view(mesh, job)
        mesh.network.heal("relay", "hq")
        (found,) = results(mesh, job)
        assert found.state is ProbeState.DONE
        assert found.sent == 20
        assert found.late >= 2
        assert found.answered + found.late == 20
        mesh.finish()


def test_an_exit_that_dies_ends_its_pings_with_a_reason():
    with mesh_world(6) as mesh:
        three_agents(mesh)
        job = start(mesh, task(mesh, "hq", count=0, interval_s=0.5))
        mesh.run(2.0)
        assert view(mesh, job).results[0].answered >= 3
        mesh.restart("hq")
        (found,) = results(mesh, job, limit_s=60.0)
        assert found.state is ProbeState.FAILED
        assert "connection" in found.error
        assert found.answered >= 3
        mesh.finish()


def test_an_agent_without_an_answer_is_given_up_in_time():
    with mesh_world(7) as mesh:
        three_agents(mesh)
        mesh.network.cut("relay", "hq")
        (found,) = results(mesh, start(mesh, task(mesh, "hq")), limit_s=60.0)
        assert found.state is ProbeState.FAILED
        assert found.error
        mesh.network.heal("relay", "hq")
        mesh.finish()


def test_a_job_that_nobody_asks_for_ends_at_both_ends():
    with mesh_world(8) as mesh:
        mesh.network.shape("relay", "hq", bytes_per_s=1e5)
        three_agents(mesh)
        job = start(mesh, task(mesh, "hq", count=0), task(mesh, "hq", What.DOWNLOAD, key=KEY, seconds=10.0))
        mesh.run(LEASE_S - 1.0)
        assert view(mesh, job) is not None
        assert mesh.actors_on("branch", Probe)
        mesh.run(LEASE_S + 1.0)
        assert view(mesh, job) is None
        assert not mesh.actors_on("branch", Probe)
        mesh.run(1.0)
        assert not mesh.actors_on("hq", InsideEnd)
        mesh.finish()


def test_a_job_that_is_ended_leaves_nothing():
    with mesh_world(9) as mesh:
        three_agents(mesh)
        job = start(mesh, task(mesh, "hq", count=0))
        mesh.run(1.0)
        assert mesh.world.ask(desk_of(mesh), messages.EndJob(job)) is True
        mesh.run(1.0)
        assert not mesh.actors_on("branch", Probe)
        assert not mesh.actors_on("hq", InsideEnd)
        assert mesh.world.ask(desk_of(mesh), messages.EndJob(job)) is False
        mesh.finish()


def test_there_are_only_so_many_jobs_and_echoes():
    with mesh_world(10) as mesh:
        three_agents(mesh)
        endless = task(mesh, "hq", count=0)
        jobs = [start(mesh, *[endless] * 3) for _ in range(MAX_JOBS)]
        assert isinstance(start(mesh, endless), messages.JobRefused)
        mesh.run(2.0)
        found = [each for job in jobs for each in view(mesh, job).results]
        assert sum(each.state is ProbeState.RUNNING for each in found) == 16
        assert {each.code for each in found if each.state is ProbeState.FAILED} == {"at-capacity"}
        assert len(mesh.actors_on("hq", InsideEnd)) == 16
        mesh.run(LEASE_S + 2.0)
        mesh.finish()


def test_no_more_tasks_are_under_way_than_may_be():
    with mesh_world(11) as mesh:
        three_agents(mesh)
        job = start(mesh, *[task(mesh, "hq")] * 30, at_once=3)
        most = 0
        while not view(mesh, job).is_over:
            most = max(most, len(mesh.actors_on("branch", Probe)))
            mesh.run(0.001)
        assert most == 3
        assert all(each.state is ProbeState.DONE for each in view(mesh, job).results)
        mesh.run(LEASE_S + 1.0)
        mesh.finish()


@pytest.mark.parametrize("leaving", ["branch", "hq"])
def test_a_ping_keeps_no_agent_from_leaving(leaving):
    with mesh_world(12) as mesh:
        three_agents(mesh)
        job = start(mesh, task(mesh, "hq", count=0))
        mesh.run(1.0)
        began = mesh.world.now()
        mesh.leave(leaving, drain_timeout_s=20.0)
        if leaving == "hq":
            (found,) = results(mesh, job)
            assert found.state is ProbeState.FAILED
        mesh.run_until(lambda: mesh.plans[leaving].left, 30.0)
        assert mesh.plans[leaving].left[0] - began < 5.0


def test_an_agent_that_leaves_without_its_desk_ends_pings_and_begins_none_when_it_is_back():
    with mesh_world(12) as mesh:
        three_agents(mesh)
        job = start(mesh, task(mesh, "hq", count=0))
        mesh.run(1.0)
        began = mesh.world.now()
        desk_of(mesh, "hq").stop(block=False)
        mesh.leave("hq", drain_timeout_s=20.0)
        mesh.run(0.2)
        assert desk_of(mesh, "hq").is_alive()
        assert start(mesh, task(mesh, "relay"), at="hq") == messages.JobRefused("the agent is leaving")
        assert results(mesh, job)[0].state is ProbeState.FAILED
        mesh.run_until(lambda: mesh.plans["hq"].left, 30.0)
        assert mesh.plans["hq"].left[0] - began < 5.0


def test_a_task_without_an_agent_fails_alone():
    with mesh_world(13) as mesh:
        three_agents(mesh)
        lost = msgspec.structs.replace(task(mesh, "hq"), problem="no path leads there at present")
        job = mesh.world.ask(
            desk_of(mesh),
            messages.StartJob(
                (lost, task(mesh, "relay")), (None, offer_of(mesh.snapshot("branch"), mesh.id_of("relay"))), 2
            ),
        )
        first, second = results(mesh, job)
        assert (first.state, first.error) == (ProbeState.FAILED, "no path leads there at present")
        assert second.state is ProbeState.DONE
        mesh.finish()


def test_an_exit_serves_one_bench_for_each_and_two_in_all():
    with mesh_world(14) as mesh:
        mesh.plan("relay")
        names = ("one", "two", "three")
        for name in names:
            mesh.plan(name, peers=["relay"])
        mesh.plan("hq", peers=["relay"], endpoints={KEY: TcpAddress("service", SERVICE_PORT)})
        mesh.network.shape("relay", "hq", bytes_per_s=1e6)
        mesh.start()
        mesh.converge()
        jobs = {}
        for name in names:
            bench = task(mesh, "hq", What.DOWNLOAD, key=KEY, seconds=0.5)
            jobs[name] = start(mesh, bench, bench, at=name)
        views = {}
        while not all(views.get(name) and views[name].is_over for name in names):
            mesh.run(1.0)
            views = {name: view(mesh, job, at=name) for name, job in jobs.items()}
        found = {name: seen.results for name, seen in views.items()}
        done = [each for both in found.values() for each in both if each.state is ProbeState.DONE]
        refused = {each.code for both in found.values() for each in both if each.state is ProbeState.FAILED}
        assert len(done) == 2
        assert refused == {"at-capacity"}
        assert all(sum(each.state is ProbeState.DONE for each in both) <= 1 for both in found.values())
        mesh.run(LEASE_S + 1.0)
        mesh.finish()
