"""The OpenAPI document (version 3.1), made from the routes and their types.

Source: OpenAPI Specification 3.1.1, https://spec.openapis.org/oas/v3.1.1.html.
"""

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from types import NoneType
from typing import Any, Final, TypeAlias, get_origin

import falcon
import msgspec

from mesh.agent.control.problem import ProblemDocument
from mesh.agent.control.requests import REMOTE
from mesh.agent.control.route import ANYWHERE, Method, Revised, Route, RouteTypes, problems_of
from mesh.agent.dashboard.refusals import PROBLEM_TYPE

OPENAPI: Final = "3.1.0"

TITLE: Final = "mesh agent"
API_VERSION: Final = "1"

_TEMPLATE: Final = "#/components/schemas/{name}"

Json: TypeAlias = dict[str, Any]


def openapi_document(routes: Sequence[Route]) -> Json:
    """Everything that ``routes`` take and answer, for a JSON encoder."""
    types = {id(route): route.types() for route in routes}
    wanted: list[object] = [ProblemDocument]
    for each in types.values():
        wanted += [each.parameters, each.body, each.answers]
    schemas, components = msgspec.json.schema_components(wanted, ref_template=_TEMPLATE)
    found = iter(schemas)
    problem = next(found)
    paths: dict[str, Json] = {}
    for route in routes:
        parameters, body, answer = next(found), next(found), next(found)
        operation = _operation(route, types[id(route)], body, answer, problem)
        if listed := list(_parameters(route, types[id(route)], components[_name_of(parameters)])):
            operation["parameters"] = listed
        paths.setdefault(route.path, {})[route.method.value] = operation
    paths[REMOTE] = _remote(problem)
    used = {each.parameters.__name__ for each in types.values()}  # each is told with its operation
    return {
        "openapi": OPENAPI,
        "info": {"title": TITLE, "version": API_VERSION},
        "paths": paths,
        "components": {
            "schemas": {name: schema for name, schema in components.items() if name not in used},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _remote(problem: Json) -> Json:
    """Any place of another agent, which describes itself."""
    item: Json = {}
    parameters = [
        _text_in_path("id", "the name of the agent, its ID, or the first 8 digits of that"),
        _text_in_path("place", "what follows /api/v1/ at that agent, slashes included; or dashboard"),
    ]
    known = {"description": "what the other agent answers", "content": {falcon.MEDIA_JSON: {"schema": {}}}}
    told = {"description": "a problem, here or there", "content": {PROBLEM_TYPE: {"schema": problem}}}
    responses: Json = {"200": known, "201": known, "204": {"description": "done"}}
    responses |= {str(status.value): told for status in sorted(ANYWHERE)}
    for method in Method:
        item[method.value] = {
            "operationId": f"{method.value}_agents_id_place",
            "summary": "Ask another agent, which this one may manage, through the mesh.",
            "parameters": parameters,
            "responses": responses,
            "security": [{"token": []}],
        }
    return item


def _text_in_path(name: str, description: str) -> Json:
    schema = {"type": "string", "minLength": 1}
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


def _operation(route: Route, types: RouteTypes, body: Json, answer: Json, problem: Json) -> Json:
    operation: Json = {
        "operationId": operation_id(route),
        "summary": route.summary,
        "responses": _responses(route, types, answer, problem),
    }
    if route.description:
        operation["description"] = route.description
    if types.has_body:
        content = {falcon.MEDIA_JSON: {"schema": body}}
        operation["requestBody"] = {"required": types.needs_body, "content": content}
    if route.changes:
        operation["security"] = [{"token": []}]
    return operation


def _responses(route: Route, types: RouteTypes, answer: Json, problem: Json) -> Json:
    if types.answers is NoneType:
        responses: Json = {str(HTTPStatus.NO_CONTENT.value): {"description": "done"}}
    else:
        good: Json = {
            "description": route.status.phrase,
            "content": {falcon.MEDIA_JSON: {"schema": answer}},
        }
        kind = get_origin(types.answers) or types.answers
        if isinstance(kind, type) and issubclass(kind, Revised):
            described = "the revision, for If-Match"
            good["headers"] = {"ETag": {"description": described, "schema": {"type": "string"}}}
        responses = {str(route.status.value): good}
    for status in sorted(problems_of(route)):
        responses[str(status.value)] = {
            "description": status.phrase,
            "content": {PROBLEM_TYPE: {"schema": problem}},
        }
    return responses


def _parameters(route: Route, types: RouteTypes, schema: Json) -> Iterable[Json]:
    for name, described in schema["properties"].items():
        in_path = name in types.places
        yield {
            "name": name,
            "in": "path" if in_path else "query",
            "required": in_path or name in schema["required"],
            "schema": described,
        }
    if route.is_guarded:
        yield {
            "name": "If-Match",
            "in": "header",
            "required": False,
            "description": "the ETag of the revision that the change is for, in quotation marks, or *",
            "schema": {"type": "string"},
        }


def operation_id(route: Route) -> str:
    """A name that no other route has: the method and the words of the path after its version."""
    words = route.path.replace("{", "").replace("}", "").replace(".", "_").split("/")
    return "_".join((route.method.value, *(word for word in words if word and word not in _PREFIX)))


_PREFIX: Final = frozenset({"api", "v1"})


def _name_of(schema: Json) -> str:
    return str(schema["$ref"]).rpartition("/")[2]
