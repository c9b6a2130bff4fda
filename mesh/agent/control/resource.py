"""Answers for any route: checks requests and encodes answers by the route's types."""

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Final

import falcon
import msgspec

from mesh.agent.control.problem import ProblemError
from mesh.agent.control.route import Call, Method, Revised, Route
from mesh.agent.dashboard.stamps import stamped

MAX_BODY_BYTES: Final = 64 * 1024

_PLACE: Final = re.compile(r"(?P<what>.*) - at `(?:key in )?\$(?P<place>.*)`", re.DOTALL)
"""How msgspec says where something is wrong."""

_STRONG_TAG: Final = re.compile(r'"(?P<revision>[\x21\x23-\x7e]*)"')
"""RFC 9110 section 8.8.3: one that is weak matches nothing."""


class Guarded:
    """Something with a path, of whose methods not everybody may use each.

    Args:
        changing: those that change anything, ask another agent, or tell what not everybody is to know.
    """

    def __init__(self, changing: Iterable[str]) -> None:
        self.changing: Final = frozenset(changing)


class Resource(Guarded):
    """What a path has: one route for each of its methods, told to Falcon as ``on_get`` and so on."""

    def __init__(self, routes: Iterable[Route]) -> None:
        routes = tuple(routes)
        changing = [route.method.value.upper() for route in routes if route.changes]
        super().__init__((*changing, "HEAD") if Method.GET.value.upper() in changing else changing)
        self.waiting: Final = frozenset(route.method.value.upper() for route in routes if route.waits)
        """The methods that may take seconds, of which they work little."""
        for route in routes:
            responder = _Responder(route)
            setattr(self, f"on_{route.method.value}", responder)
            if route.method is Method.GET:
                self.on_head = responder


class _Responder:
    """Answers requests for one route."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._types = route.types()

    def __call__(self, req: falcon.Request, resp: falcon.Response, **places: str) -> None:
        call = Call(
            self._parameters(req, places),
            self._body(req),
            str(req.context["caller"]),
            _revision_in(req) if self._route.is_guarded else None,
        )
        stamp, handle = self._route.stamp, self._route.handle
        answer = handle(call) if stamp is None else stamped(req.env, lambda: handle(call), stamp)
        if answer is None:
            resp.status = falcon.HTTP_204
            return
        resp.status = self._route.status
        resp.content_type = falcon.MEDIA_JSON
        resp.data = msgspec.json.encode(answer)
        if isinstance(answer, Revised):
            resp.etag = answer.revision

    def _parameters(self, req: falcon.Request, places: Mapping[str, str]) -> msgspec.Struct:
        types = self._types
        if twice := req.params.keys() & places.keys():
            name = min(twice)
            raise _wrong("the query", f"{name} is part of the path", f"parameters.{name}")
        given: dict[str, object] = {**req.params, **places}
        for name, value in given.items():
            if types.is_list(name) and isinstance(value, str):
                given[name] = [value]
        try:
            return msgspec.convert(given, types.parameters, strict=False)
        except msgspec.ValidationError as error:
            raise _wrong("the query", *_place_in(error, "parameters")) from None

    def _body(self, req: falcon.Request) -> msgspec.Struct:
        data = req.bounded_stream.read(MAX_BODY_BYTES + 1)
        if len(data) > MAX_BODY_BYTES:
            raise ProblemError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has at most {MAX_BODY_BYTES} bytes"
            )
        if data and not _is_json(req.content_type):
            # Also keeps out other sites' pages, which cannot name this type without being asked first.
            raise ProblemError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                f"expected a body of Content-Type {falcon.MEDIA_JSON}, found {req.content_type or 'none'}",
            )
        try:
            return msgspec.json.decode(data or b"{}", type=self._types.body)
        except msgspec.DecodeError as error:
            raise _wrong("the body", *_place_in(error, "body")) from None
        except UnicodeDecodeError as error:
            raise _wrong("the body", str(error), "body") from None


def _is_json(content_type: str | None) -> bool:
    return (content_type or "").partition(";")[0].strip().lower() == falcon.MEDIA_JSON


def _wrong(what: str, why: str, place: str) -> ProblemError:
    return ProblemError(HTTPStatus.BAD_REQUEST, f"{what}: {why}", place=place)


def _place_in(error: msgspec.DecodeError, root: str) -> tuple[str, str]:
    """What is wrong, and where."""
    found = _PLACE.fullmatch(str(error))
    if found is None:
        return str(error), root
    place = f"{root}{found['place']}"
    return f"{place}: {found['what']}", place


def _revision_in(req: falcon.Request) -> str | None:
    """The revision that ``If-Match`` names; any if it is absent or ``*``."""
    header = req.get_header("If-Match")
    if header is None or header.strip() == "*":
        return None
    match = _STRONG_TAG.fullmatch(header.strip())
    if match is None:
        raise ProblemError(
            HTTPStatus.PRECONDITION_FAILED,
            'expected If-Match with the ETag of the revision that is known, as in "1f", or *',
        )
    return match["revision"]
