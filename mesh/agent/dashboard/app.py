# ruff: noqa: ARG001 - Falcon passes everything to everybody
"""The WSGI application: routes, errors as JSON, and the page."""

import logging
import math
import mimetypes
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from importlib import resources
from typing import Any, Final, Generic, TypeVar
from wsgiref.types import StartResponse, WSGIEnvironment

import falcon
import msgspec

from actors.meters import Meters
from mesh.agent.dashboard.document import DocumentEncoder
from mesh.agent.dashboard.exposition import CONTENT_TYPE
from mesh.agent.dashboard.guard import HostGuard, ReadOnly
from mesh.agent.dashboard.health import HealthResource, ReadyResource
from mesh.agent.dashboard.measured_alarms import MeasuredAlarms
from mesh.agent.dashboard.metrics import MetricsRenderer
from mesh.agent.dashboard.single_flight import DEADLINE_S, FRESH_S, KEEP_S, Answer, SingleFlight
from mesh.agent.dashboard.stamps import Stamp, stamped
from mesh.agent.dashboard.status import DashboardSnapshot, StatusSource, StatusUnavailable
from mesh.token_bucket import TokenBucket

ASK_TIMEOUT_S: Final = 0.5
"""How long the actors may take; the rest of the deadline is for pairing and encoding."""

DOCUMENT_BYTES_PER_S: Final = 8 * 1024 * 1024
DOCUMENT_BURST_BYTES: Final = 4 * DOCUMENT_BYTES_PER_S
"""Of the document, to all clients together. One of 10,000 keys has some megabytes, and copying it to whoever
asks without pause took the data path's time."""

MAX_OFFSET: Final = 2**31
"""Rows that a client may skip: more than there can be."""

T = TypeVar("T")

PAGE_FILES: Final = (
    ("/", "index.html", "text/html; charset=utf-8"),
    ("/dashboard.js", "dashboard.js", "text/javascript; charset=utf-8"),
    ("/dashboard.css", "dashboard.css", "text/css; charset=utf-8"),
    ("/icon.svg", "icon.svg", "image/svg+xml"),
)

_log = logging.getLogger("mesh.http")


class DashboardApp:
    """The dashboard as a WSGI callable.

    Args:
        source: asks the actors; one of its calls runs at a time, whatever the clients do.
        version: of this program, shown to clients.
        allowed_hosts: names that clients may ask for besides addresses and ``localhost``.
        deadline_s: after this many seconds without an answer of ``source`` a client gets the last one.
        keep_s: how old that may be; after it a client gets 503.
        fresh_s: how old an answer may be to be given without asking again.
        meters: count who is turned away.
    """

    def __init__(
        self,
        source: StatusSource,
        *,
        version: str,
        allowed_hosts: Sequence[str] = (),
        deadline_s: float = DEADLINE_S,
        keep_s: float = KEEP_S,
        fresh_s: float = FRESH_S,
        meters: Meters | None = None,
    ) -> None:
        ask_timeout_s = min(ASK_TIMEOUT_S, deadline_s)
        encoder = DocumentEncoder(version)
        self.pairings: Final = encoder.pairings
        """Who reaches whom by one answer of the actors."""

        def ask() -> DashboardSnapshot:
            return source.dashboard_snapshot(ask_timeout_s)

        made = _Encoded(encoder)

        def ask_and_encode() -> dict[str, msgspec.Raw]:
            return made.of(self._status.fresh())

        self._status = SingleFlight(
            "dashboard-status", ask, deadline_s=deadline_s, keep_s=keep_s, fresh_s=fresh_s
        )
        self._document = SingleFlight(
            "dashboard-document", ask_and_encode, deadline_s=deadline_s, keep_s=keep_s, fresh_s=0.0
        )
        self.guard: Final = HostGuard(allowed_hosts, meters)
        """For all that is served beside this."""
        mimetypes.init(())  # else Falcon reads the system's tables, although no route goes by them
        self._wsgi: falcon.App[falcon.Request, falcon.Response] = falcon.App(
            middleware=[ReadOnly(), self.guard]
        )
        self._wsgi.set_error_serializer(_serialize_error)
        self._wsgi.add_error_handler(Exception, unexpected)
        self._wsgi.add_error_handler(StatusUnavailable, _unavailable)
        health = HealthResource()
        self._wsgi.add_route("/health", health)
        self._wsgi.add_route("/healthz", health)
        self._wsgi.add_route("/ready", ReadyResource(self._status))
        self._wsgi.add_route("/metrics", _MetricsResource(self._status, version))

        def further(offset: int) -> Answer[dict[str, msgspec.Raw]]:
            answer = self._status.latest()
            return Answer(encoder.encode(answer.value, offset), answer.age_s, answer.unix_s)

        self._wsgi.add_route("/api/dashboard", _DocumentResource(self._document, further, self._status.stamp))
        static = resources.files("mesh.agent.dashboard") / "static"
        for path, name, content_type in PAGE_FILES:
            self._wsgi.add_route(path, _FileResource((static / name).read_bytes(), content_type))

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request; see PEP 3333."""
        return self._wsgi(environ, start_response)

    def latest(self) -> Answer[DashboardSnapshot]:
        """What the actors say now, or said last if they are busy; asked once for all who want to know.

        Raises:
            StatusUnavailable: there is no answer that is not too old.
        """
        return self._status.latest()

    def stamp(self) -> Stamp:
        """What the next answer of :meth:`latest` is made of."""
        return self._status.stamp()

    def outdate(self) -> None:
        """Something has been changed: who asks from now on hears of what is then."""
        self._status.outdate()
        self._document.outdate()

    def allow_hosts(self, names: Sequence[str]) -> None:
        """Let clients ask for these names from now on, besides addresses and ``localhost``."""
        self.guard.allow(names)

    def close(self) -> None:
        """Let go of the source: requests that follow get 503."""
        self._document.close()
        self._status.close()


class _Encoded:
    """The document made of an answer of the actors, as long as they are not asked anew; for one thread."""

    def __init__(self, encoder: DocumentEncoder) -> None:
        self._encoder = encoder
        self._last: tuple[DashboardSnapshot, dict[str, msgspec.Raw]] | None = None

    def of(self, snapshot: DashboardSnapshot) -> dict[str, msgspec.Raw]:
        if self._last is None or self._last[0] is not snapshot:
            self._last = snapshot, self._encoder.encode(snapshot)
        return self._last[1]


class _Body(Generic[T]):
    """The body made of an answer, kept for as long as the answer stays the same."""

    def __init__(self, make: Callable[[Answer[T]], bytes]) -> None:
        self._make = make
        self._last: tuple[Answer[T], bytes] | None = None

    def of(self, answer: Answer[T]) -> bytes:
        last = self._last  # read once: several threads come here
        if last is None or last[0].value is not answer.value or last[0].age_s != answer.age_s:
            self._last = last = (answer, self._make(answer))
        return last[1]


class _DocumentResource:
    """The document that most ask for, which all who ask share, and those with what it has no room for."""

    def __init__(
        self,
        first: SingleFlight[dict[str, msgspec.Raw]],
        further: Callable[[int], Answer[dict[str, msgspec.Raw]]],
        stamp: Callable[[], Stamp],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._first = first
        self._further = further
        self._stamp = stamp
        self._body = _Body(_encoded)
        self._clock = clock
        self._bytes = TokenBucket(DOCUMENT_BYTES_PER_S, DOCUMENT_BURST_BYTES)
        self._lock = threading.Lock()

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        offset = req.get_param_as_int("offset", min_value=0, max_value=MAX_OFFSET, default=0)
        with self._lock:
            wait_s = self._bytes.wait_s(self._clock())
        if wait_s:
            raise falcon.HTTPServiceUnavailable(
                description="the document is large and was asked for too often; ask less often",
                retry_after=math.ceil(wait_s),
            )
        if offset:
            resp.data = _encoded(self._further(offset))
        else:
            resp.data = self._body.of(stamped(req.env, self._first.latest, self._stamp))
        with self._lock:
            self._bytes.spend(self._clock(), len(resp.data))

    on_head = on_get


def _encoded(answer: Answer[dict[str, msgspec.Raw]]) -> bytes:
    as_of = datetime.fromtimestamp(answer.unix_s, UTC)
    return msgspec.json.encode({**answer.value, "as_of": as_of, "age_s": round(answer.age_s, 3)})


class _MetricsResource:
    def __init__(self, status: SingleFlight[DashboardSnapshot], version: str) -> None:
        self._status = status
        renderer, measured = MetricsRenderer(version), MeasuredAlarms(time.monotonic)
        self._body: _Body[DashboardSnapshot] = _Body(
            lambda answer: renderer.render(answer.value, answer.age_s, measured.of(answer.value.alarms))
        )

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.data = self._body.of(stamped(req.env, self._status.latest, self._status.stamp))
        resp.content_type = CONTENT_TYPE

    on_head = on_get


class _FileResource:
    def __init__(self, content: bytes, content_type: str) -> None:
        self._content = content
        self._content_type = content_type

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.content_type = self._content_type
        resp.data = self._content

    on_head = on_get


def _serialize_error(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError) -> None:
    """JSON whatever the client accepts: an error that cannot be read helps nobody."""
    resp.content_type = falcon.MEDIA_JSON
    resp.data = msgspec.json.encode({"error": error.description or error.title or str(error.status)})


def _unavailable(
    req: falcon.Request, resp: falcon.Response, error: StatusUnavailable, params: dict[str, Any]
) -> None:
    raise falcon.HTTPServiceUnavailable(description=f"status unavailable: {error}", retry_after=1)


def unexpected(req: falcon.Request, resp: falcon.Response, error: Exception, params: dict[str, Any]) -> None:
    """The log gets the details; the client gets none."""
    _log.error("%s %s failed", req.method, req.path, exc_info=error)
    raise falcon.HTTPInternalServerError(description="internal error; the log has the details")
