"""``/api/v1/reload`` and ``plans``: have the agent be as its file says, and what that would do."""

from http import HTTPStatus
from pathlib import Path
from typing import Final

from mesh.agent.control.behind import Behind
from mesh.agent.control.problem import ProblemError
from mesh.agent.control.requests import PLANS, RELOAD, PlanRequest
from mesh.agent.control.route import Call, Method, Nothing, Route
from mesh.agent.outcome import Outcome, Verdict

REFUSED: Final = frozenset({HTTPStatus.UNPROCESSABLE_ENTITY})


def steering_routes(behind: Behind) -> tuple[Route, ...]:
    """What changes the agent as a whole."""
    steering = behind.steering

    def reload(_: Call[Nothing, Nothing]) -> Outcome:
        """Read the configuration again, and be as it says."""
        return _done(steering.reload())

    def plan(call: Call[Nothing, PlanRequest]) -> Outcome:
        """Say what a reload would do."""
        file = call.body.file
        if file is not None and not Path(file).is_absolute():
            raise ProblemError(
                HTTPStatus.BAD_REQUEST,
                f"file: expected an absolute path, found {file!r}",
                place="body.file",
            )
        return _done(steering.plan(None if file is None else Path(file)))

    return (
        Route(Method.POST, RELOAD, reload, problems=REFUSED, changes=True),
        Route(Method.POST, PLANS, plan, problems=REFUSED, changes=True),
    )


def _done(outcome: Outcome) -> Outcome:
    if outcome.verdict is Verdict.REFUSED:
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, outcome.verdict.value, problems=outcome.problems)
    return outcome
