"""A table of routes: what is checked, what is answered, and the document that tells of it."""

from http import HTTPStatus
from types import SimpleNamespace

import falcon.testing
import msgspec
import pytest

from mesh.agent.control import route as route_module
from mesh.agent.control.api import CONTROL_SOCKET, ApiApp, ByControlSocket, all_routes
from mesh.agent.control.behind import Behind
from mesh.agent.control.openapi import openapi_document
from mesh.agent.control.problem import ProblemError
from mesh.agent.control.requests import OPENAPI
from mesh.agent.control.route import Call, Method, Nothing, Revised, Route
from mesh.agent.dashboard.refusals import PROBLEM_TYPE
from tests.api_conformance import Conformance

jsonschema = pytest.importorskip("jsonschema")


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    limit: int = 10
    tag: tuple[str, ...] = ()


class Wish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    size: int
    parts: tuple[int, ...] = ()


class Made(Revised, frozen=True, kw_only=True):
    name: str
    limit: int
    tag: tuple[str, ...]
    size: int
    caller: str
    expected: str | None


def make(call: Call[Place, Wish]) -> Made:
    """Make something.

    More about it.
    """
    place, wish = call.parameters, call.body
    if wish.size == 13:
        raise ProblemError(HTTPStatus.CONFLICT, "thirteen brings bad luck", place="body.size")
    return Made(
        name=place.name,
        limit=place.limit,
        tag=place.tag,
        size=wish.size,
        caller=call.caller,
        expected=call.if_match,
        revision="2b",
    )


def forget(_: Call[Nothing, Nothing]) -> None:
    """Forget everything."""


def count(_: Call[Nothing, Nothing]) -> tuple[int, ...]:
    """Count."""
    return (1, 2)


THINGS = "/api/v1/things/{name}"
ROUTES = (
    Route(
        Method.POST,
        THINGS,
        make,
        HTTPStatus.CREATED,
        problems=frozenset({HTTPStatus.CONFLICT}),
        changes=True,
        is_guarded=True,
    ),
    Route(Method.GET, "/api/v1/things", count),
    Route(Method.DELETE, "/api/v1/things", forget, changes=True),
)


@pytest.fixture
def app():
    return falcon.testing.TestClient(ApiApp(ROUTES, (ByControlSocket(),)))


def test_a_request_is_handed_on_as_its_types_say_and_the_answer_encoded(app):
    answer = app.simulate_post(
        "/api/v1/things/a?limit=3&tag=x&tag=y", json={"size": 4}, headers={"If-Match": '"1f"'}
    )
    assert answer.status_code == 201
    assert answer.headers["etag"] == '"2b"'
    assert answer.json == {
        "name": "a",
        "limit": 3,
        "tag": ["x", "y"],
        "size": 4,
        "caller": CONTROL_SOCKET,
        "expected": "1f",
        "revision": "2b",
    }
    assert app.simulate_get("/api/v1/things").json == [1, 2]
    assert app.simulate_delete("/api/v1/things").status_code == 204
    assert app.simulate_head("/api/v1/things").status_code == 200
    one = app.simulate_post("/api/v1/things/a?tag=x", json={"size": 4}, headers={"If-Match": "*"}).json
    assert (one["tag"], one["expected"]) == (["x"], None)


@pytest.mark.parametrize(
    ("query", "body", "place", "told"),
    [
        ("limit=x", b'{"size": 1}', "parameters.limit", "Expected `int`"),
        ("other=1", b'{"size": 1}', "parameters", "unknown field `other`"),
        ("name=b", b'{"size": 1}', "parameters.name", "part of the path"),
        ("limit=1&limit=2", b'{"size": 1}', "parameters.limit", "got `array`"),
        ("", b'{"size": "1"}', "body.size", "Expected `int`, got `str`"),
        ("", b'{"size": 1, "parts": [1, null]}', "body.parts[1]", "Expected `int`, got `null`"),
        ("", b"", "body", "missing required field `size`"),
        ("", b'{"size": 1}x', "body", "malformed"),
        ("", b'{"siz\xff": 1}', "body", "utf"),
        ("", b"[" * 5000, "body", "recursion|truncated|Expected `object`"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(app, query, body, place, told):
    answer = app.simulate_post(
        "/api/v1/things/a", query_string=query, body=body, content_type="application/json; charset=utf-8"
    )
    assert (answer.status_code, answer.headers["content-type"]) == (400, PROBLEM_TYPE)
    assert answer.json["place"] == place
    assert any(part.lower() in answer.json["detail"].lower() for part in told.split("|"))


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_a_body_is_json_by_name(app, content_type):
    answer = app.simulate_post("/api/v1/things/a", body=b'{"size": 1}', content_type=content_type)
    assert (answer.status_code, answer.headers["content-type"]) == (415, PROBLEM_TYPE)


@pytest.mark.parametrize("header", ['W/"1f"', "1f", '"a", "b"', '"'])
def test_a_revision_that_is_none_matches_nothing(app, header):
    answer = app.simulate_post("/api/v1/things/a", json={"size": 1}, headers={"If-Match": header})
    assert answer.status_code == 412


def test_a_handlers_problem_has_its_status_and_place(app):
    answer = app.simulate_post("/api/v1/things/a", json={"size": 13})
    assert answer.json == {
        "title": "Conflict",
        "status": 409,
        "detail": "thirteen brings bad luck",
        "place": "body.size",
    }
    refused = app.simulate_put("/api/v1/things")
    assert (refused.status_code, refused.headers["allow"]) == (405, "DELETE, GET, HEAD, OPTIONS")


def test_the_document_tells_of_every_route_and_type(app):
    document = app.simulate_get(OPENAPI).json
    made = openapi_document(ApiApp(ROUTES, (ByControlSocket(),)).routes)
    assert document == msgspec.json.decode(msgspec.json.encode(made))
    operation = document["paths"][THINGS]["post"]
    assert (operation["summary"], operation["description"]) == ("Make something.", "More about it.")
    where = {each["name"]: (each["in"], each["required"]) for each in operation["parameters"]}
    assert where == {
        "name": ("path", True),
        "limit": ("query", False),
        "tag": ("query", False),
        "If-Match": ("header", False),
    }
    assert operation["requestBody"]["required"]
    assert set(operation["responses"]) == {
        "201",
        "400",
        "401",
        "403",
        "409",
        "412",
        "413",
        "415",
        "429",
        "503",
    }
    assert set(document["components"]["schemas"]) == {"Made", "ProblemDocument", "Wish"}


def test_routes_without_types_or_a_description_are_none():
    def undescribed(call: Call[Nothing, Nothing]) -> None: ...

    def untyped(call: int) -> None:
        """Do something."""

    def placeless(call: Call[Nothing, Nothing]) -> None:
        """Do something."""

    for handle in (undescribed, untyped, placeless):
        with pytest.raises(TypeError, match="expected"):
            Route(Method.GET, THINGS, handle).types()


def test_python_without_docstrings_serves_the_api_all_the_same(monkeypatch):
    def told(_: Call[Place, Nothing]) -> None: ...

    monkeypatch.setattr(route_module, "sys", SimpleNamespace(flags=SimpleNamespace(optimize=2)))
    route = Route(Method.GET, THINGS, told)
    assert route.types().answers is type(None)
    assert route.description == ""


def test_what_the_document_does_not_have_is_found():
    conformance = Conformance(openapi_document(ROUTES))
    good = b'{"revision": "1", "name": "", "limit": 1, "tag": [], "size": 1, "caller": "", "expected": null}'
    conformance.check("POST", "/api/v1/things/a", 201, "application/json", good)
    for status, kind, body in (
        (201, "application/json", good.replace(b"1}", b'"1"}').replace(b'"size": 1', b'"size": "1"')),
        (201, "text/plain", good),
        (200, "application/json", good),
        (204, "", b""),
        (409, "application/problem+json", b"{}"),
    ):
        with pytest.raises(AssertionError):
            conformance.check("POST", "/api/v1/things/a", status, kind, body)


def test_the_agents_own_document_is_whole():
    document = openapi_document(all_routes(Behind(None, None, None)))
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"].endswith("."), (method, path)
            assert "503" in operation["responses"]
    ids = [each["operationId"] for of_path in document["paths"].values() for each in of_path.values()]
    assert len(ids) == len(set(ids))
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    for reference in _references(document):
        assert reference.rpartition("/")[2] in document["components"]["schemas"]


def _references(value):
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for each in value.values():
            yield from _references(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _references(each)
