"""docs/API.md names every resource of the API with its methods, and nothing that is not there."""

import re
from http import HTTPStatus
from pathlib import Path

from mesh.agent.control.api import ControlApp
from mesh.agent.control.behind import Behind
from mesh.agent.control.page_rows import MAX_ROWS, Window
from mesh.agent.control.requests import AGENTS, OPENAPI, PREFIX
from mesh.agent.control.resource import MAX_BODY_BYTES
from mesh.agent.control.route import problems_of

DOC = (Path(__file__).parent.parent / "docs" / "API.md").read_text()
ROUTES = ControlApp(Behind(None, None, None), None).routes
OF_ANOTHER = f"{AGENTS}/{{id}}/..."
BESIDE = {"/health", "/ready", "/metrics", "/api/dashboard"}


def methods_of(path):
    return {route.method.value.upper() for route in ROUTES if route.path == path}


def resources():
    """The paths of each row of the table, and the methods that it says they have together."""
    for paths, methods in re.findall(r"^\| (`/api/v1/.*?) \| ([A-Z,; ]+) \|", DOC, re.MULTILINE):
        named = re.findall(r"`(/[^`]*)`", paths)
        if named[-1] == "/{id}":
            named = [*named[:-1], *(f"{each}/{{id}}" for each in named[:-1])]
        yield named, set(re.findall("[A-Z]+", methods))


def test_each_resource_is_named_with_its_methods():
    told = {}
    for paths, methods in resources():
        assert set().union(*map(methods_of, paths)) == methods, paths
        told |= dict.fromkeys(paths)
    assert sorted(told) == sorted({route.path for route in ROUTES if route.path.startswith(PREFIX)})


def test_each_path_that_is_named_is_there():
    known = {route.path for route in ROUTES} | BESIDE | {OPENAPI, OF_ANOTHER}
    patterns = [re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)) for path in known]
    for named in re.findall(
        r"(?<![\w.])(/(?:api|routes|forward|agents|health|ready|metrics)[\w/{}.-]*)", DOC
    ):
        assert any(re.fullmatch(pattern, named) for pattern in patterns), named
    for path in known:
        assert path in DOC or path.endswith("/{id}"), path


def test_every_status_of_the_api_is_explained():
    statuses = set().union(*map(problems_of, ROUTES)) | {HTTPStatus.METHOD_NOT_ALLOWED}
    rows = re.findall(r"^\| ((?:\d{3}(?:, )?)+) \|", DOC, re.MULTILINE)
    assert {int(each) for row in rows for each in row.split(", ")} == {each.value for each in statuses}


def test_the_numbers_are_those_of_the_code():
    assert f"at most {MAX_ROWS:,}, {Window().limit} if absent" in DOC
    assert f"{MAX_BODY_BYTES // 1024} KiB" in DOC
