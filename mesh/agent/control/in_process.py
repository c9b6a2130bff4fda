"""Asks a WSGI application inside of this process, for those that come by no socket."""

from collections.abc import Callable
from http import HTTPStatus
from io import BytesIO
from typing import Final, TypeAlias
from urllib.parse import unquote_to_bytes
from wsgiref.types import WSGIApplication

import msgspec

from mesh.agent.control.problem import ProblemDocument
from mesh.agent.dashboard.refusals import PROBLEM_TYPE
from mesh.remote.wire import MAX_ANSWERED_BODY_BYTES, MAX_RETRY_AFTER_S, Answered, Asked

CALLER: Final = "mesh.caller"
"""In the environment of a request: who asks, for the log."""

_Headers: TypeAlias = list[tuple[str, str]]


def answer_of(app: WSGIApplication, asked: Asked, caller: str) -> Answered:
    """What ``app`` answers."""
    path, _, query = asked.place.partition("?")
    began: list[tuple[str, _Headers]] = []

    def start_response(
        status: str, headers: _Headers, exc_info: object = None, /
    ) -> Callable[[bytes], object]:
        del exc_info
        began[:] = [(status, headers)]
        return lambda _: None

    environ: dict[str, object] = {
        "REQUEST_METHOD": asked.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "",
        "HTTP_HOST": "localhost",
        "CONTENT_LENGTH": str(len(asked.body)),
        "CONTENT_TYPE": asked.content_type,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(asked.body),
        "wsgi.errors": BytesIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        CALLER: caller,
    }
    if asked.if_match:
        environ["HTTP_IF_MATCH"] = asked.if_match
    body = b"".join(app(environ, start_response))
    status, found = began[0]
    headers = {name.lower(): value for name, value in found}
    if len(body) > MAX_ANSWERED_BODY_BYTES:
        return problem_of(500, "the answer is too large to be carried through the mesh; ask for less of it")
    retry_after = headers.get("retry-after", "0")
    return Answered(
        int(status.partition(" ")[0]),
        headers.get("content-type", ""),
        headers.get("etag", ""),
        min(int(retry_after), MAX_RETRY_AFTER_S) if retry_after.isdecimal() else 0,
        body,
    )


def problem_of(status: int, detail: str) -> Answered:
    """A problem document as an answer."""
    document = ProblemDocument(HTTPStatus(status).phrase, status, detail)
    return Answered(status, PROBLEM_TYPE, body=msgspec.json.encode(document))
