# ruff: noqa: ARG001 - Falcon passes everything to everybody
"""Errors as problem documents (RFC 9457), whatever the client accepts: one it cannot read helps nobody."""

import http
from typing import Any

import falcon
import msgspec

from mesh.agent.control.steering import SteeringError
from mesh.agent.dashboard.refusals import PROBLEM_TYPE
from mesh.agent.dashboard.status import StatusUnavailable
from mesh.agent.outcome import NotPermittedError, OutdatedError, RefusedError


class ProblemDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is wrong. Its ``type`` is ``about:blank``: the status says what kind of problem it is."""

    title: str
    status: int
    detail: str
    """A sentence for people."""
    place: str = ""
    """What of the request is wrong, as ``body.hold_s`` or ``parameters.limit``."""
    problems: tuple[str, ...] = ()
    """More of what is wrong, a line each."""


class ProblemError(Exception):
    """A request that is refused with a status of one's own.

    Args:
        status: of the answer.
        detail: why, for people.
        place: see :class:`ProblemDocument`.
        problems: likewise.
    """

    def __init__(
        self, status: http.HTTPStatus, detail: str, *, place: str = "", problems: tuple[str, ...] = ()
    ) -> None:
        super().__init__(detail)
        self.document = ProblemDocument(status.phrase, status.value, detail, place, problems)


def handle_problems(app: "falcon.App[falcon.Request, falcon.Response]") -> None:
    """Have ``app`` answer with problem documents, and know the errors of what lies behind it."""
    app.set_error_serializer(_as_problem)
    app.add_error_handler(ProblemError, _told)
    app.add_error_handler(SteeringError, _busy)
    app.add_error_handler(StatusUnavailable, _busy)
    app.add_error_handler(RefusedError, _refused)
    app.add_error_handler(OutdatedError, _outdated)


def _told(req: falcon.Request, resp: falcon.Response, error: ProblemError, params: dict[str, Any]) -> None:
    resp.status = error.document.status
    _set(resp, error.document)


def _as_problem(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError) -> None:
    phrase = http.HTTPStatus(error.status_code).phrase
    detail = error.description or error.title or phrase
    _set(resp, ProblemDocument(phrase, error.status_code, detail))


def _set(resp: falcon.Response, document: ProblemDocument) -> None:
    resp.content_type = PROBLEM_TYPE
    resp.data = msgspec.json.encode(document)


def _busy(req: falcon.Request, resp: falcon.Response, error: Exception, params: dict[str, Any]) -> None:
    raise falcon.HTTPServiceUnavailable(description=str(error), retry_after=1)


def _refused(req: falcon.Request, resp: falcon.Response, error: RefusedError, params: dict[str, Any]) -> None:
    if isinstance(error, NotPermittedError):
        raise falcon.HTTPForbidden(description=str(error))
    raise falcon.HTTPConflict(description=str(error))


def _outdated(
    req: falcon.Request, resp: falcon.Response, error: OutdatedError, params: dict[str, Any]
) -> None:
    raise falcon.HTTPPreconditionFailed(description=str(error))
