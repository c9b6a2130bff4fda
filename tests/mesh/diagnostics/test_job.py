"""Jobs, and the figures of what they have found."""

import pytest

from mesh.diagnostics.job import Job
from mesh.diagnostics.refusals import sentence_of
from mesh.diagnostics.results import ProbeState, Result, spread_of
from mesh.diagnostics.tasks import Task, What
from mesh.trust.identity import AgentId

AGENT = AgentId(bytes(16))
TASK = Task(What.PING, AGENT, "hq", 1)
LOST = Task(What.PING, AGENT, "hq", -1, problem="no path")


def test_tasks_begin_as_others_end_and_those_with_a_problem_never_do():
    job = Job([TASK, LOST, TASK, TASK], at_once=2, lease_s=10.0, now=0.0)
    assert job.begin() == [0, 2]
    assert job.begin() == []
    job.found(0, Result(state=ProbeState.DONE))
    job.ended(0)
    assert job.begin() == [3]
    job.ended(2)
    job.ended(3)
    assert job.is_over
    view = job.asked(5.0)
    assert [result.state for result in view.results] == [
        ProbeState.DONE,
        ProbeState.FAILED,
        ProbeState.FAILED,
        ProbeState.FAILED,
    ]
    assert view.results[1].error == "no path"
    assert job.expires_at == 15.0


def test_what_is_told_of_a_task_that_has_ended_comes_too_late():
    job = Job([TASK], at_once=1, lease_s=1.0, now=0.0)
    job.begin()
    job.ended(0)
    job.found(0, Result(state=ProbeState.DONE))
    assert job.asked(0.0).results[0].state is ProbeState.FAILED


def test_percentiles_are_round_trips_that_were_measured():
    spread = spread_of([each / 1000 for each in range(1, 101)])
    assert (spread.min, spread.p50, spread.p90, spread.p99, spread.max) == (1.0, 50.0, 90.0, 99.0, 100.0)
    assert spread.mean == 50.5
    assert spread_of([]) is None


@pytest.mark.parametrize(
    ("code", "said"), [("refused", "target refuses"), ("", "no answer"), ("odd", "refused: odd")]
)
def test_each_code_has_a_sentence(code, said):
    assert said in sentence_of(code)


def test_a_task_names_the_key_that_its_connection_asks_for():
    assert TASK.routing_key == "mesh:echo"
    assert Task(What.PING, AGENT, "hq", 1, key="db").routing_key == "mesh:echo:db"
    assert Task(What.DOWNLOAD, AGENT, "hq", 1, key="db").routing_key == "mesh:bench:db"
    assert Task(What.OPEN, AGENT, "hq", 1, key="db").routing_key == "db"
