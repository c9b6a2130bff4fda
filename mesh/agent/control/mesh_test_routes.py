"""``/api/mesh-test``: which agents answer, for existing dashboards; over the survey of v1."""

import threading
import time
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

import msgspec

from mesh.agent.control.behind import Behind
from mesh.agent.control.problem import ProblemError
from mesh.agent.control.requests import MESH_TEST
from mesh.agent.control.route import Call, Method, Nothing, Route
from mesh.agent.dashboard.single_flight import SingleFlight
from mesh.agent.diagnosis.documents import Diagnosis, Found, Verdict
from mesh.agent.diagnosis.planning import survey_tasks
from mesh.diagnostics.results import ProbeState
from mesh.diagnostics.tasks import What
from mesh.trust.identity import display_id, short_id

LONGEST_S: Final = 10.0
"""For a test; what is not known then counts as out of reach."""

LOOK_S: Final = 0.1
KEPT_S: Final = 10.0
"""For so long everybody gets the result of one test: anybody may ask for it."""

MAX_WAITING: Final = 2
"""Requests at one time: each waits for a thread's whole while, and anybody may ask."""


class MeshTestResult(msgspec.Struct, frozen=True):
    """Whether an agent answers."""

    agent_id: str
    short_id: str
    display_name: str
    is_local: bool
    reachable: bool
    response_time_ms: float | None
    error: str


class MeshTest(msgspec.Struct, frozen=True):
    """Which agents answer."""

    local_agent: str
    """Short ID."""
    test_time: str
    duration_ms: float
    total_count: int
    reachable_count: int
    results: tuple[MeshTestResult, ...]


def mesh_test_routes(behind: Behind) -> tuple[Route, ...]:
    """What tests the mesh, for everybody at once."""
    shared = SingleFlight(
        "mesh-test",
        lambda: _tested(behind),
        deadline_s=LONGEST_S + 2.0,
        keep_s=2 * KEPT_S,
        fresh_s=KEPT_S,
    )
    places = threading.BoundedSemaphore(MAX_WAITING)

    def mesh_test(_: Call[Nothing, Nothing]) -> MeshTest:
        """Ping every agent, for existing dashboards; one result serves everybody for some seconds."""
        if not places.acquire(blocking=False):
            raise ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE, "a test is under way, and others wait for it: ask again soon"
            )
        try:
            return shared.latest().value
        finally:
            places.release()

    return (
        Route(Method.GET, MESH_TEST, mesh_test, waits=True),
        Route(Method.POST, MESH_TEST, mesh_test, waits=True),
    )


def _tested(behind: Behind) -> MeshTest:
    snapshot, began, began_at = behind.status().value, time.monotonic(), datetime.now(UTC)
    found = _surveyed(behind, began + LONGEST_S).found
    own = MeshTestResult(
        display_id(snapshot.agent_id), short_id(snapshot.agent_id), snapshot.name, True, True, 0.0, ""
    )
    results = (
        own,
        *(_result(each) for each in found if each.what is What.PING and each.agent_id != own.agent_id),
    )
    return MeshTest(
        local_agent=own.short_id,
        test_time=began_at.isoformat(),
        duration_ms=round((time.monotonic() - began) * 1000, 1),
        total_count=len(results),
        reachable_count=sum(each.reachable for each in results),
        results=results,
    )


def _surveyed(behind: Behind, deadline: float) -> Diagnosis:
    diagnosis = behind.diagnosing.begin(survey_tasks)
    number = int(diagnosis.id)
    try:
        while diagnosis.verdict is Verdict.RUNNING and time.monotonic() < deadline:
            time.sleep(LOOK_S)
            diagnosis = behind.diagnosing.look(number) or diagnosis
    finally:
        behind.diagnosing.end(number)
    return diagnosis


def _result(found: Found) -> MeshTestResult:
    is_reachable = found.state is ProbeState.DONE
    return MeshTestResult(
        agent_id=found.agent_id,
        short_id=found.short_id,
        display_name=found.agent,
        is_local=False,
        reachable=is_reachable,
        response_time_ms=found.latest_ms[-1] if found.latest_ms else None,
        error="" if is_reachable else found.error or "no answer yet",
    )
