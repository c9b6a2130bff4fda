"""Every answer of the API in these tests is held against the document that it serves of itself."""

import functools
import json
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import Any

import falcon.routing
import pytest

from mesh.agent.control.api import ApiApp
from mesh.agent.control.openapi import openapi_document

UNDESCRIBED = (404, 405, 500)
"""Of any path: there is no such thing, and what must not happen, which tests provoke."""

is_checked = find_spec("jsonschema") is not None
"""Whether the environment has what it takes; one that was made long ago has not."""


class Conformance:
    """Checks answers of one application."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self._router = falcon.routing.CompiledRouter()
        for path in document["paths"]:
            self._router.add_route(path.replace("{place}", "{place:path}"), _Path(path))

    def check(self, method: str, path: str, status: int, content_type: str, body: bytes) -> None:
        """Raises AssertionError if the document does not have this answer."""
        found = self._router.find(path)
        operation = {} if found is None else self.document["paths"][found[0].path].get(method.lower(), {})
        answers = operation.get("responses", {})
        what = f"{method} {path}: {status} {content_type} {body[:200]!r}"
        if status in UNDESCRIBED and str(status) not in answers:
            return
        assert str(status) in answers, f"{what}: a status that the document does not have"
        content = answers[str(status)].get("content", {})
        if not content:
            assert not body, f"{what}: expected nothing"
            return
        assert content_type in content, f"{what}: a type that the document does not have"
        self._validate(json.loads(body), content[content_type]["schema"], what)

    def _validate(self, value: object, schema: dict[str, Any], what: str) -> None:
        import jsonschema

        whole = {**schema, "components": self.document["components"]}
        errors = list(jsonschema.Draft202012Validator(whole).iter_errors(value))
        assert not errors, f"{what}: {errors[0].message} at {errors[0].json_path}"


class _Path:
    def __init__(self, path: str) -> None:
        self.path = path

    def on_get(self, req: object, resp: object, **places: str) -> None: ...


@functools.lru_cache(8)
def _conformance(app: ApiApp) -> Conformance:
    return Conformance(openapi_document(app.routes))


def checked(answer: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """The method ``ApiApp.__call__``, whose answers are checked."""

    # Falcon tells WSGI from ASGI by the number of arguments after "self".
    def wrapper(self: ApiApp, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        began: list[Any] = []

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            began[:] = [int(status.split(maxsplit=1)[0]), {name.lower(): value for name, value in headers}]
            return start_response(status, headers, *more)

        parts = list(answer(self, environ, start))
        status, headers = began
        if environ["REQUEST_METHOD"] != "HEAD":
            body = b"".join(parts)
            path = environ["PATH_INFO"]
            _conformance(self).check(
                environ["REQUEST_METHOD"], path, status, headers.get("content-type", ""), body
            )
        return parts

    return wrapper


@pytest.fixture(autouse=is_checked)
def _described_answers(monkeypatch):
    monkeypatch.setattr(ApiApp, "__call__", checked(ApiApp.__call__))
