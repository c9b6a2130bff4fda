# ruff: noqa: ARG001 - Falcon passes everything to everybody
"""``/api/v1/``: what the control socket takes and answers. Errors are problem documents (RFC 9457)."""

import http
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, TypeVar
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import falcon
import msgspec

from mesh.agent.control.requests import (
    ENDPOINTS,
    LEASES,
    LISTENERS,
    PLANS,
    PREFIX,
    RELOAD,
    PlanRequest,
    RenewRequest,
    ServiceRequest,
)
from mesh.agent.control.steering import Steering, SteeringError
from mesh.agent.dashboard.app import unexpected
from mesh.agent.outcome import Outcome, RefusedError, Verdict
from mesh.agent.saved_services import read_service
from mesh.config import ConfigError
from mesh.config.problems import Problem

T = TypeVar("T")

MAX_BODY_BYTES: Final = 64 * 1024

PROBLEM_TYPE: Final = "application/problem+json"


class ControlApp:
    """The control socket as a WSGI callable: ``/api/v1/`` here, and everything that is only read.

    Args:
        steering: carries changes out.
        reading: the application that ``http.address`` serves.
    """

    def __init__(self, steering: Steering, reading: WSGIApplication) -> None:
        self._reading = reading
        self._own: falcon.App[falcon.Request, falcon.Response] = falcon.App()
        self._own.set_error_serializer(_as_problem)
        self._own.add_error_handler(Exception, unexpected)
        self._own.add_error_handler(SteeringError, _busy)
        self._own.add_error_handler(RefusedError, _refused)
        self._own.add_route(RELOAD, _ReloadResource(steering))
        self._own.add_route(PLANS, _PlansResource(steering))
        self._own.add_route(LISTENERS, _ServicesResource(steering, "listeners"))
        self._own.add_route(ENDPOINTS, _ServicesResource(steering, "endpoints"))
        self._own.add_route(f"{LEASES}/{{lease}}", _LeaseResource(steering))

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request; see PEP 3333."""
        app = self._own if str(environ["PATH_INFO"]).startswith(PREFIX) else self._reading
        return app(environ, start_response)


class _ReloadResource:
    def __init__(self, steering: Steering) -> None:
        self._steering = steering

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        _answer(resp, self._steering.reload())


class _PlansResource:
    def __init__(self, steering: Steering) -> None:
        self._steering = steering

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        file = _body(req, PlanRequest).file
        if file is not None and not Path(file).is_absolute():
            raise falcon.HTTPBadRequest(description=f"file: expected an absolute path, found {file!r}")
        _answer(resp, self._steering.plan(None if file is None else Path(file)))


class _ServicesResource:
    """Services of one kind beside the file: ``kind`` is the list of ``forward:`` that it has them in."""

    def __init__(self, steering: Steering, kind: str) -> None:
        self._steering = steering
        self._kind = kind

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        wish = _body(req, ServiceRequest)
        try:
            service = read_service(self._kind, wish.service)
        except ConfigError as error:
            raise falcon.HTTPBadRequest(description="; ".join(map(_told, error.problems))) from None
        held = self._steering.save(service) if wish.save else self._steering.hold(service, wish.hold_s)
        resp.status = falcon.HTTP_201
        resp.data = msgspec.json.encode(held)

    def on_delete(self, req: falcon.Request, resp: falcon.Response) -> None:
        key = req.get_param("key", required=True)
        self._steering.remove(self._kind, key, req.get_param("address"))
        resp.status = falcon.HTTP_204


class _LeaseResource:
    def __init__(self, steering: Steering) -> None:
        self._steering = steering

    def on_put(self, req: falcon.Request, resp: falcon.Response, lease: str) -> None:
        self._answer(resp, self._steering.renew(lease, _body(req, RenewRequest).hold_s))

    def on_delete(self, req: falcon.Request, resp: falcon.Response, lease: str) -> None:
        self._answer(resp, self._steering.release(lease))

    @staticmethod
    def _answer(resp: falcon.Response, was_held: bool) -> None:
        if not was_held:
            raise falcon.HTTPNotFound(description="there is no such lease, or it has ended")
        resp.status = falcon.HTTP_204


def _answer(resp: falcon.Response, outcome: Outcome) -> None:
    if outcome.verdict is Verdict.REFUSED:
        resp.status = falcon.HTTP_422
        resp.content_type = PROBLEM_TYPE
        resp.data = _problem(http.HTTPStatus.UNPROCESSABLE_ENTITY, outcome.verdict.value, outcome.problems)
    else:
        resp.data = msgspec.json.encode(outcome)


def _body(req: falcon.Request, kind: type[T]) -> T:
    data = req.bounded_stream.read(MAX_BODY_BYTES + 1)
    if len(data) > MAX_BODY_BYTES:
        raise falcon.HTTPContentTooLarge(description=f"a body has at most {MAX_BODY_BYTES} bytes")
    try:
        return msgspec.json.decode(data or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise falcon.HTTPBadRequest(description=f"the body: {error}") from None


def _told(problem: Problem) -> str:
    """A problem of an entry that came alone: its key, without the file that there is not."""
    hint = f" ({problem.hint})" if problem.hint else ""
    return f"{problem.path.rpartition('.')[2]}: found {problem.found}; expected {problem.expected}{hint}"


def _problem(status: http.HTTPStatus, detail: str, problems: tuple[str, ...] = ()) -> bytes:
    document = {"title": status.phrase, "status": status.value, "detail": detail, "problems": problems}
    return msgspec.json.encode(document)


def _as_problem(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError) -> None:
    resp.content_type = PROBLEM_TYPE
    status = http.HTTPStatus(error.status_code)
    resp.data = _problem(status, error.description or error.title or status.phrase)


def _busy(req: falcon.Request, resp: falcon.Response, error: SteeringError, params: dict[str, Any]) -> None:
    raise falcon.HTTPServiceUnavailable(description=str(error), retry_after=1)


def _refused(req: falcon.Request, resp: falcon.Response, error: RefusedError, params: dict[str, Any]) -> None:
    raise falcon.HTTPConflict(description=str(error))
