"""``/api/v1/``: all of its routes, and the application that answers for them."""

import threading
from collections.abc import Iterable
from dataclasses import replace
from itertools import groupby
from typing import Any, Final
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import falcon
import msgspec

from mesh.agent.audit.behalf import Behalf, act_for, behalf
from mesh.agent.audit.requested import note_request
from mesh.agent.control.access_routes import access_routes
from mesh.agent.control.adapter_routes import adapter_routes
from mesh.agent.control.audit_routes import audit_routes
from mesh.agent.control.authority_routes import authority_routes
from mesh.agent.control.behind import Behind
from mesh.agent.control.calling import Calling, NotCalling
from mesh.agent.control.connection_routes import connection_routes
from mesh.agent.control.diagnosis_routes import diagnosis_routes
from mesh.agent.control.drain_routes import drain_routes
from mesh.agent.control.event_routes import event_routes
from mesh.agent.control.in_process import CALLER
from mesh.agent.control.invitation_routes import invitation_routes
from mesh.agent.control.mesh_routes import mesh_routes
from mesh.agent.control.mesh_test_routes import mesh_test_routes
from mesh.agent.control.mesh_view import MeshViews
from mesh.agent.control.openapi import openapi_document
from mesh.agent.control.own_routes import own_routes
from mesh.agent.control.problem import handle_problems
from mesh.agent.control.remote_resource import RemoteResource
from mesh.agent.control.requests import CONTROL_SOCKET, OPENAPI, PLACES, REMOTE
from mesh.agent.control.resource import Guarded, Resource
from mesh.agent.control.revocation_routes import revocation_routes
from mesh.agent.control.route import Call, Method, Nothing, Route
from mesh.agent.control.service_routes import service_routes
from mesh.agent.control.steering_routes import steering_routes
from mesh.agent.dashboard.app import unexpected
from mesh.auditing import NOT_AUDITING, Auditing


def all_routes(behind: Behind) -> tuple[Route, ...]:
    """Everything that the API has, but its own description."""
    views = MeshViews(behind.pairings)
    routes = (
        *adapter_routes(behind),
        *mesh_routes(behind, views),
        *mesh_test_routes(behind),
        *own_routes(behind, views),
        *access_routes(behind),
        *authority_routes(behind),
        *audit_routes(behind),
        *steering_routes(behind),
        *drain_routes(behind),
        *service_routes(behind),
        *invitation_routes(behind),
        *event_routes(behind),
        *connection_routes(behind),
        *diagnosis_routes(behind),
        *revocation_routes(behind),
    )
    asking = Method.GET  # some of these are for few only, and yet change nothing
    return tuple(
        each.then(behind.changed) if each.changes and each.method is not asking else each for each in routes
    )


class ControlApp:
    """The control socket as a WSGI callable: the API here, and everything that is only read.

    Args:
        behind: what the API's routes ask and change.
        reading: what there is beside the API.
    """

    def __init__(self, behind: Behind, reading: WSGIApplication) -> None:
        self.routes: Final = all_routes(behind)
        self._front = Front(ApiApp(self.routes, (ByControlSocket(behind.audit),), behind.calling), reading)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request; see PEP 3333."""
        return self._front(environ, start_response)


class Front:
    """Gives requests for the API to the API, and others to what there is beside it."""

    def __init__(self, api: WSGIApplication, reading: WSGIApplication) -> None:
        self._api = api
        self._reading = reading

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request; see PEP 3333."""
        is_of_api = str(environ["PATH_INFO"]).startswith(PLACES)
        return (self._api if is_of_api else self._reading)(environ, start_response)


class ApiApp:
    """The API as a WSGI callable; what answers is made with the first request.

    An agent has three of these, and most agents are asked by one of them at most.

    Args:
        routes: what it has; a route that describes them is added.
        middleware: says who calls (``caller`` in the request's context) and whether they may.
        calling: asks other agents.
    """

    def __init__(
        self, routes: Iterable[Route], middleware: Iterable[object], calling: Calling | None = None
    ) -> None:
        self.routes: Final = _with_description(tuple(routes))
        self._middleware = tuple(middleware)
        self._calling = calling or NotCalling()
        self._lock = threading.Lock()
        self._made: list[falcon.App[falcon.Request, falcon.Response]] = []

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request; see PEP 3333."""
        with self._lock:
            if not self._made:
                self._made.append(self._make())
        return self._made[0](environ, start_response)

    def _make(self) -> "falcon.App[falcon.Request, falcon.Response]":
        app: falcon.App[falcon.Request, falcon.Response] = falcon.App(
            middleware=list(self._middleware)  # type: ignore[arg-type]  # any of Falcon's three kinds
        )
        app.add_error_handler(Exception, unexpected)
        handle_problems(app)
        for path, its_own in groupby(sorted(self.routes, key=_path), _path):
            app.add_route(path, Resource(its_own))
        app.add_route(REMOTE.replace("{place}", "{place:path}"), RemoteResource(self._calling))
        return app


class MeshApp:
    """What agents get that may manage this one: what the control socket has, but no way on to other agents.

    Args:
        behind: what the API's routes ask and change.
        reading: what there is beside the API.
    """

    def __init__(self, behind: Behind, reading: WSGIApplication) -> None:
        # Whoever asks here has a right of their own, and is not to use that of this agent.
        routes = all_routes(replace(behind, calling=NotCalling()))
        self._front = Front(ApiApp(routes, (ThroughMesh(),)), reading)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request; see PEP 3333."""
        return self._front(environ, start_response)


class ThroughMesh:
    """Who may not come has not come so far."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Say who asks."""
        req.context["caller"] = req.env[CALLER]


class ByControlSocket:
    """Whoever comes by it may do everything, and it is written down."""

    def __init__(self, audit: Auditing = NOT_AUDITING) -> None:
        self._audit = audit

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Say who asks."""
        req.context["caller"] = CONTROL_SOCKET
        act_for(Behalf(CONTROL_SOCKET, req.remote_addr))

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        """Write a change down."""
        if isinstance(resource, Guarded) and req.method in resource.changing:
            note_request(self._audit, behalf(), req.method, req.relative_uri, resp.status_code)


def _path(route: Route) -> str:
    return route.path


def _with_description(routes: tuple[Route, ...]) -> tuple[Route, ...]:
    """``routes`` and the one that describes them all."""
    documents: list[msgspec.Raw] = []

    def openapi(_: Call[Nothing, Nothing]) -> dict[str, Any]:
        """Describe the API, as OpenAPI 3.1."""
        if not documents:  # made when somebody wants it: that takes some milliseconds
            documents.append(msgspec.Raw(msgspec.json.encode(openapi_document(described))))
        return documents[0]  # type: ignore[return-value]  # it is encoded already

    described = (*routes, Route(Method.GET, OPENAPI, openapi))
    return described
