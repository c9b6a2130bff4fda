"""``/api/v1/agents``, ``services``, ``links``, ``routes`` and ``certificates``: what is known of the mesh."""

from http import HTTPStatus
from typing import Final

import msgspec

from mesh.agent.control.behind import Behind
from mesh.agent.control.mesh_rows import AgentRow, CertificateRow, LinkRow, RouteRow, ServiceRow
from mesh.agent.control.mesh_view import MeshView, MeshViews
from mesh.agent.control.page_rows import Page, Window, page_of
from mesh.agent.control.problem import ProblemError
from mesh.agent.control.requests import AGENTS, CERTIFICATES, LINKS, ROUTES, SERVICES
from mesh.agent.control.route import Call, Method, Nothing, Route

NO_SUCH: Final = frozenset({HTTPStatus.NOT_FOUND})


class AgentPlace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which agent is meant."""

    id: str
    """Whole, in lower case."""


def mesh_routes(behind: Behind, views: MeshViews) -> tuple[Route, ...]:
    """What tells of the mesh."""

    def now() -> tuple[MeshView, float]:
        answer = behind.status()
        return views.of(answer.value), answer.age_s

    def agents(call: Call[Window, Nothing]) -> Page[AgentRow]:
        """List every agent that this one knows."""
        view, age_s = now()
        return page_of(view.agents, call.parameters, age_s)

    def agent(call: Call[AgentPlace, Nothing]) -> AgentRow:
        """Show one agent."""
        found = now()[0].agent(call.parameters.id)
        if found is None:
            raise ProblemError(HTTPStatus.NOT_FOUND, "no such agent is known here", place="parameters.id")
        return found

    def services(call: Call[Window, Nothing]) -> Page[ServiceRow]:
        """List every key of the mesh: who offers it, who listens for it, and why not."""
        view, age_s = now()
        return page_of(view.services, call.parameters, age_s)

    def links(call: Call[Window, Nothing]) -> Page[LinkRow]:
        """List every link between two agents."""
        view, age_s = now()
        return page_of(view.links, call.parameters, age_s)

    def routes(call: Call[Window, Nothing]) -> Page[RouteRow]:
        """List which listener reaches which endpoint, of each listener the nearest."""
        view, age_s = now()
        return page_of(view.routes, call.parameters, age_s)

    def certificates(call: Call[Window, Nothing]) -> Page[CertificateRow]:
        """List the certificates of all agents that are known, this one's first."""
        view, age_s = now()
        return page_of(view.certificates, call.parameters, age_s)

    return (
        Route(Method.GET, AGENTS, agents, stamp=behind.stamp),
        Route(Method.GET, f"{AGENTS}/{{id}}", agent, problems=NO_SUCH, stamp=behind.stamp),
        Route(Method.GET, SERVICES, services, stamp=behind.stamp),
        Route(Method.GET, LINKS, links, stamp=behind.stamp),
        Route(Method.GET, ROUTES, routes, stamp=behind.stamp),
        Route(Method.GET, CERTIFICATES, certificates, stamp=behind.stamp),
    )
