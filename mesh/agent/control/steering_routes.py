"""``/api/v1/reload`` and ``plans``: have the agent be as its file says, and what that would do."""

from http import HTTPStatus
from pathlib import Path
from typing import Final

import msgspec

from mesh.agent.control.behind import Behind
from mesh.agent.control.machine_paths import forbid_paths
from mesh.agent.control.problem import ProblemError
from mesh.agent.control.requests import CONTROL_SOCKET, PLANS, RELOAD, ForwardWish, PlanPlace, PlanRequest
from mesh.agent.control.route import Call, Method, Nothing, Route
from mesh.agent.outcome import Outcome, Verdict
from mesh.agent.saved_services import read_services
from mesh.config import ConfigError
from mesh.config.extra import Extra

REFUSED: Final = frozenset({HTTPStatus.UNPROCESSABLE_ENTITY})
CANNOT_BE: Final = frozenset({HTTPStatus.CONFLICT})


def steering_routes(behind: Behind) -> tuple[Route, ...]:
    """What changes the agent as a whole."""
    steering = behind.steering

    def reload(call: Call[Nothing, Nothing]) -> Outcome:
        """Read the configuration again, and be as it says."""
        return _done(steering.expecting(call.if_match).reload())

    def plan(call: Call[PlanPlace, PlanRequest]) -> Outcome:
        """Have other services saved, or say what that or another configuration would do.

        With dry_run nothing is done. Without a body it is said what a reload would do. Endpoints and
        listeners are saved; a whole configuration is carried out by its file and a reload.
        """
        wish, dry_run = call.body, call.parameters.dry_run
        told = steering.expecting(call.if_match)
        given = [name for name in wish.__struct_fields__ if getattr(wish, name) is not None]
        if len(given) > 1:
            raise _wrong(given[0], f"expected one of file, forward and config, found {' and '.join(given)}")
        if wish.forward is not None:
            saved = _read(wish.forward)
            known = {each.service for each in steering.desired().services}
            forbid_paths((each for each in saved if each not in known), call.caller, "body.forward")
            return _done(told.replace_saved(saved, dry_run=dry_run))
        if not dry_run:
            why = "only with dry_run is a plan of a whole configuration; to carry it out, reload its file"
            raise _wrong(given[0] if given else "forward", why)
        if wish.config is not None:
            return _done(told.plan_text(wish.config), "body.config")
        if wish.file is not None and call.caller != CONTROL_SOCKET:  # its errors tell what is in a file
            why = "only whoever uses the control socket of this agent may have it read another file"
            raise ProblemError(HTTPStatus.FORBIDDEN, why, place="body.file")
        if wish.file is not None and ("\0" in wish.file or not Path(wish.file).is_absolute()):
            raise _wrong("file", f"expected an absolute path, found {wish.file!r}")
        return _done(told.plan(None if wish.file is None else Path(wish.file)))

    return (
        Route(Method.POST, RELOAD, reload, problems=REFUSED, changes=True, is_guarded=True),
        Route(Method.POST, PLANS, plan, problems=REFUSED | CANNOT_BE, changes=True, is_guarded=True),
    )


def _read(wish: ForwardWish) -> tuple[Extra, ...]:
    try:
        return read_services(msgspec.to_builtins(wish))
    except ConfigError as error:
        told = tuple(f"{each.path}: found {each.found}; expected {each.expected}" for each in error.problems)
        raise ProblemError(
            HTTPStatus.BAD_REQUEST, "forward: what it says is wrong", place="body.forward", problems=told
        ) from None


def _wrong(field: str, why: str) -> ProblemError:
    return ProblemError(HTTPStatus.BAD_REQUEST, f"{field}: {why}", place=f"body.{field}")


def _done(outcome: Outcome, place: str = "") -> Outcome:
    if outcome.verdict is Verdict.REFUSED:
        why, problems = outcome.verdict.value, outcome.problems
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, why, place=place, problems=problems)
    return outcome
