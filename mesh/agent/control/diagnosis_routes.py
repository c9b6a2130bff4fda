"""``/api/v1/pings``, ``traces``, ``tests``, ``benches``: diagnoses, which clients ask for until they end."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Final

import msgspec

from mesh.agent.control.behind import Behind
from mesh.agent.control.problem import ProblemError
from mesh.agent.control.requests import BENCHES, PINGS, TESTS, TRACES
from mesh.agent.control.route import Call, Method, Nothing, Route
from mesh.agent.diagnosis.asking import Plan
from mesh.agent.diagnosis.documents import Diagnosis
from mesh.agent.diagnosis.planning import (
    ForbiddenError,
    UnknownError,
    bench_tasks,
    ping_tasks,
    survey_tasks,
    trace_tasks,
)
from mesh.agent.diagnosis.requests import BenchRequest, PingRequest, TraceRequest

CANNOT_BEGIN: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT})
NO_SUCH: Final = frozenset({HTTPStatus.NOT_FOUND})


class DiagnosisPlace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which diagnosis is meant."""

    id: Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]


def diagnosis_routes(behind: Behind) -> tuple[Route, ...]:
    """What finds out whether agents and services can be reached, and how fast."""

    def begin(plan: Plan, **how: int) -> Diagnosis:
        try:
            return behind.diagnosing.begin(plan, **how)
        except UnknownError as error:
            raise ProblemError(HTTPStatus.NOT_FOUND, str(error)) from None
        except ForbiddenError as error:
            raise ProblemError(HTTPStatus.FORBIDDEN, str(error)) from None

    def ping(call: Call[Nothing, PingRequest]) -> Diagnosis:
        """Begin to ping an agent, or the nearest that offers a key.

        It goes on while somebody asks for it at least once in 15 seconds.
        """
        body = call.body
        return begin(
            lambda routes: ping_tasks(
                routes, body.to, count=body.count, interval_s=body.interval_s, timeout_s=body.timeout_s
            )
        )

    def trace(call: Call[Nothing, TraceRequest]) -> Diagnosis:
        """Begin to ping each agent on the way to one, or to the nearest that offers a key."""
        body = call.body
        return begin(lambda routes: trace_tasks(routes, body.to, count=body.count, timeout_s=body.timeout_s))

    def test(_: Call[Nothing, Nothing]) -> Diagnosis:
        """Begin to ping each agent, and to open each key that this agent may use, at each that offers it."""
        return begin(survey_tasks)

    def bench(call: Call[Nothing, BenchRequest]) -> Diagnosis:
        """Begin to measure what can be carried to and from the nearest agent that offers a key.

        It needs no service: the exit's agent itself gives and takes.
        """
        body = call.body
        return begin(lambda routes: bench_tasks(routes, body.key, body.seconds), at_once=1)

    def look(call: Call[DiagnosisPlace, Nothing]) -> Diagnosis:
        """Say how far a diagnosis is."""
        found = behind.diagnosing.look(call.parameters.id)
        if found is None:
            raise ProblemError(HTTPStatus.NOT_FOUND, GONE)
        return found

    def end(call: Call[DiagnosisPlace, Nothing]) -> None:
        """End a diagnosis, and forget it."""
        if not behind.diagnosing.end(call.parameters.id):
            raise ProblemError(HTTPStatus.NOT_FOUND, GONE)

    beginnings: tuple[tuple[str, Callable[..., Diagnosis]], ...] = (
        (PINGS, ping),
        (TRACES, trace),
        (TESTS, test),
        (BENCHES, bench),
    )
    routes: list[Route] = []
    for path, begins in beginnings:
        one = f"{path}/{{id}}"
        routes += (
            Route(Method.POST, path, begins, HTTPStatus.CREATED, problems=CANNOT_BEGIN, changes=True),
            Route(Method.GET, one, look, problems=NO_SUCH),
            Route(Method.DELETE, one, end, problems=NO_SUCH, changes=True),
        )
    return tuple(routes)


GONE: Final = (
    "there is no such diagnosis: nobody has asked for it for a while, or the agent has been started anew"
)
