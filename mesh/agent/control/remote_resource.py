"""``/api/v1/agents/{id}/...``: what other agents say and do, asked through the mesh.

A request is taken apart here and put together anew: of its headers two go along, and an answer brings three
back. Nothing that another agent answers is shown but JSON, so no page of its making comes from this address.
"""

import re
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

import falcon
import msgspec

from mesh.agent.control.calling import Calling
from mesh.agent.control.problem import ProblemError
from mesh.agent.control.requests import AGENTS, BESIDE, DASHBOARD, PREFIX
from mesh.agent.control.resource import Guarded
from mesh.agent.dashboard.refusals import PROBLEM_TYPE
from mesh.remote.wire import MAX_ASKED_BODY_BYTES, MAX_ASKER_CHARACTERS, Asked

METHODS: Final = ("GET", "POST", "PUT", "DELETE")

MOST_SEGMENTS: Final = 2
"""Of a place that begins with ``agents``: with more it would be yet another agent's."""

_SEGMENT: Final = re.compile(r"(?!\.{1,2}\Z)[^/]+")

_SHOWN: Final = frozenset({falcon.MEDIA_JSON, PROBLEM_TYPE})


class RemoteResource(Guarded):
    """Any place of another agent's API."""

    def __init__(self, calling: Calling) -> None:
        # Reading, too: it makes use of this agent's right to manage.
        super().__init__((*METHODS, "HEAD"))
        self._calling = calling

    def on_get(self, req: falcon.Request, resp: falcon.Response, **places: str) -> None:
        """Ask it there, and hand the answer on."""
        agent = places["id"]
        asked = _asked(req, places["place"])
        answered = self._calling.call(agent, asked)
        kind = answered.content_type.partition(";")[0].strip().lower()
        if answered.body and kind not in _SHOWN:
            why = f"{agent} answers with {kind or 'something'} in the place of {falcon.MEDIA_JSON}"
            raise ProblemError(HTTPStatus.BAD_GATEWAY, why)
        resp.status = answered.status
        if answered.body:
            resp.content_type = kind
            resp.data = answered.body
        if answered.etag:
            resp.set_header("ETag", answered.etag)
        if answered.retry_after_s:
            resp.set_header("Retry-After", str(answered.retry_after_s))

    on_head = on_post = on_put = on_delete = on_get


def _asked(req: falcon.Request, place: str) -> Asked:
    """The request as another agent gets it."""
    segments = place.split("/")
    if not all(map(_SEGMENT.fullmatch, segments)) or (
        segments[0] == AGENTS.removeprefix(PREFIX) and len(segments) > MOST_SEGMENTS
    ):
        raise ProblemError(HTTPStatus.NOT_FOUND, "there is no such place at any agent")
    body = req.bounded_stream.read(MAX_ASKED_BODY_BYTES + 1)
    if len(body) > MAX_ASKED_BODY_BYTES:
        why = f"a body has at most {MAX_ASKED_BODY_BYTES} bytes"
        raise ProblemError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, why)
    path = DASHBOARD if place == DASHBOARD.removeprefix(BESIDE) else PREFIX + quote(place, safe="/")
    asked = Asked(
        "GET" if req.method == "HEAD" else req.method,
        f"{path}?{quote(req.query_string, safe=_OF_QUERIES)}" if req.query_string else path,
        req.content_type or "",
        req.get_header("If-Match") or "",
        str(req.context["caller"])[:MAX_ASKER_CHARACTERS],
        body,
    )
    try:
        return msgspec.convert(msgspec.to_builtins(asked, builtin_types=(bytes,)), Asked)
    except msgspec.ValidationError as error:
        raise ProblemError(HTTPStatus.BAD_REQUEST, f"the request cannot be carried: {error}") from None


_OF_QUERIES: Final = "!$%&'()*+,-./:;=?@_~"
"""What stands in a query as it is (RFC 3986)."""
