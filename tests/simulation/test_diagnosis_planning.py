"""From what people ask for, and the routes of a mesh, to what is to be found out."""

import msgspec
import pytest

from mesh.agent.diagnosis.documents import Verdict, diagnosis_of
from mesh.agent.diagnosis.planning import (
    OUT_OF_REACH,
    ForbiddenError,
    UnknownError,
    bench_tasks,
    meant_by,
    ping_tasks,
    survey_tasks,
    trace_tasks,
)
from mesh.diagnostics.job import Job
from mesh.diagnostics.tasks import What
from mesh.trust.identity import NO_AGENT, display_id, short_id
from tests.simulation.mesh_world import KEY, mesh_world, three_agents


@pytest.fixture
def mesh():
    with mesh_world(21) as mesh:
        three_agents(mesh)
        yield mesh


def test_an_agent_is_meant_by_its_name_its_id_and_the_start_of_that_and_a_key_by_itself(mesh):
    routes, hq = mesh.snapshot("branch"), mesh.id_of("hq")
    for text in ("hq", display_id(hq), short_id(hq)):
        assert meant_by(routes, text) == (hq, "")
    assert meant_by(routes, KEY) == (hq, KEY)
    with pytest.raises(UnknownError, match="is 'relay' meant"):
        meant_by(routes, "relai")
    with pytest.raises(UnknownError, match="is an agent"):
        bench_tasks(routes, "hq", 1.0)


def test_a_key_that_one_may_not_use_is_not_tried():
    with mesh_world(22) as mesh:
        three_agents(mesh)
        routes = mesh.snapshot("branch")
        mine = routes.records[routes.own_id]
        certificate = msgspec.structs.replace(mine.certificate, may_use=("other",))
        records = dict(routes.records)
        records[routes.own_id] = msgspec.structs.replace(mine, certificate=certificate)
        narrow = msgspec.structs.replace(routes, records=records)
        with pytest.raises(ForbiddenError, match="does not permit"):
            ping_tasks(narrow, KEY, count=1, interval_s=1.0, timeout_s=1.0)
        assert all(task.what is What.PING for task in survey_tasks(narrow))


def test_a_trace_is_of_each_agent_on_the_way(mesh):
    tasks = trace_tasks(mesh.snapshot("branch"), KEY, count=3, timeout_s=1.0)
    assert [(task.agent_name, task.hop_count, task.key) for task in tasks] == [
        ("relay", 1, ""),
        ("hq", 2, KEY),
    ]
    (own,) = trace_tasks(mesh.snapshot("branch"), "branch", count=1, timeout_s=1.0)
    assert own.hop_count == 0


def test_a_trace_of_one_that_is_gone_ends_where_its_last_link_was(mesh):
    mesh.crash("hq")
    mesh.run(10.0)
    routes = mesh.snapshot("branch")
    first, lost = trace_tasks(routes, "hq", count=1, timeout_s=1.0)
    assert (first.agent_name, first.problem) == ("relay", "")
    assert (lost.agent_name, lost.hop_count) == ("hq", OUT_OF_REACH)
    assert lost.problem.startswith("relay ")
    assert lost.problem.endswith("has no link to it any more")


def test_a_survey_has_each_agent_and_each_key_once_and_says_of_what_is_out_of_reach_why(mesh):
    routes, hq, relay = mesh.snapshot("branch"), mesh.id_of("hq"), mesh.id_of("relay")
    assert [(task.what, task.agent_id, task.key) for task in survey_tasks(routes)] == [
        (What.PING, hq, ""),
        (What.PING, relay, ""),
        (What.OPEN, hq, KEY),
    ]
    mesh.crash("hq")
    mesh.run(10.0)
    tasks = survey_tasks(mesh.snapshot("branch"))
    assert [(task.agent_id, bool(task.problem)) for task in tasks] == [
        (hq, True),
        (relay, False),
        (NO_AGENT, True),
    ]
    assert "offered by hq" in tasks[2].problem
    job = Job(tasks, at_once=1, lease_s=1.0, now=0.0)
    job.begin()
    job.ended(1)
    diagnosis = diagnosis_of(7, job.asked(0.0))
    assert (diagnosis.id, diagnosis.verdict, diagnosis.failed) == ("7", Verdict.UNREACHABLE, 3)
    assert diagnosis.found[2].agent_id == ""
