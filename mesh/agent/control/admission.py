"""Who may change what by ``http.address``, and how much may be read there at one time."""

import math
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

import falcon

from mesh.agent.audit.behalf import Behalf, act_for, behalf
from mesh.agent.audit.requested import note_request
from mesh.agent.control.bearers import READER, Asking, Bearers, Refusal, shown
from mesh.agent.control.problem import ProblemError
from mesh.agent.control.resource import Guarded, Resource
from mesh.agent.dashboard.app import DOCUMENT_BURST_BYTES, DOCUMENT_BYTES_PER_S
from mesh.agent.logs import logger
from mesh.auditing import NOT_AUDITING, Auditing
from mesh.config.token_kinds import CHANGE
from mesh.token_bucket import TokenBucket

MAX_CHANGES: Final = 4
"""Under way at one time. The main thread does one after the other, some for seconds; each that waits holds a
thread of the server, and others are to be able to read, and to ask whether the agent is ready."""

WORK_MS_PER_S: Final = 50.0
WORK_BURST_MS: Final = 250.0
"""Of the processor, for what requests take beyond ``FREE_WORK_MS`` each."""

MAX_READERS: Final = 2
"""Requests that are worked on at one time."""

TURN_S: Final = 0.5
"""How long others wait for their turn."""

FREE_WORK_MS: Final = 2.0
"""Of a request: as many as come at the pace of :mod:`mesh.agent.dashboard.channels` are served."""

_log: Final = logger("http")


class ByHttpAddress:
    """Lets whoever changes something show a token, and logs what its bearer did.

    There are no cookies here, and a token is in no page of another site: what a browser sends by itself
    changes nothing.
    """

    def __init__(self, bearers: Bearers, audit: Auditing = NOT_AUDITING) -> None:
        self._bearers = bearers
        self._audit = audit
        self._changes = threading.BoundedSemaphore(MAX_CHANGES)

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: object, params: dict[str, str]
    ) -> None:
        """Refuse with 401, 403 or 429 who may not, and with 503 one change too many."""
        req.context["caller"] = READER
        if isinstance(resource, Guarded) and req.method in resource.changing:
            bearer = self._bearer(req, resp)
            if not self._changes.acquire(blocking=False):
                resp.set_header("Retry-After", "1")
                why = f"{MAX_CHANGES} changes are under way: wait for one to end"
                raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, why)
            req.context["token"] = bearer
            req.context["caller"] = f"the token of {bearer}"
            act_for(Behalf(READER, f"the token of {bearer}"))

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        """Log a change."""
        bearer = req.context.get("token")
        if bearer is not None:
            self._changes.release()
            _log.info("%s %s by the token of %s: %s", req.method, shown(req.path), bearer, resp.status_code)
            note_request(self._audit, behalf(), req.method, req.relative_uri, resp.status_code)

    def _bearer(self, req: falcon.Request, resp: falcon.Response) -> str:
        tokens = self._bearers.tokens
        if tokens.is_empty:
            raise ProblemError(
                HTTPStatus.FORBIDDEN,
                "this agent is changed, and others are asked, by its control socket only: http.tokens in its "
                "configuration names none that may do it here; make one with mesh token new",
            )
        authorization = req.get_header("Authorization") or ""
        asking = Asking(req.method, req.path, req.remote_addr, authorization, by_password=False)
        judged = self._bearers.judged(asking, CHANGE)
        if not isinstance(judged, Refusal):
            return judged.name
        for name, value in judged.headers:
            resp.append_header(name, value)
        raise ProblemError(judged.status, judged.why)


class Throttle:
    """Has clients wait who read more than is good for the data path, all together.

    An answer may take a millisecond to make, or twenty, and the data path has its turn after each thread that
    works. So few work at a time: they would not be faster together.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        work_clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self._clock = clock
        self._work_clock = work_clock
        self._lock = threading.Lock()
        self._bytes = TokenBucket(DOCUMENT_BYTES_PER_S, DOCUMENT_BURST_BYTES)
        self._work = TokenBucket(WORK_MS_PER_S, WORK_BURST_MS)
        self._readers = threading.BoundedSemaphore(MAX_READERS)

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: object, params: dict[str, str]
    ) -> None:
        """Refuse with 503 for as long as too much has been read."""
        if not isinstance(resource, Resource) or req.method in resource.changing | resource.waiting:
            return
        with self._lock:
            now = self._clock()
            wait_s = max(self._bytes.wait_s(now), self._work.wait_s(now))
        if wait_s or not self._readers.acquire(timeout=TURN_S):
            resp.set_header("Retry-After", str(math.ceil(wait_s or TURN_S)))
            raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "too much was asked for; ask less often")
        req.context["work_began"] = self._work_clock()

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        """Count the answer, and the time that it took to make."""
        began = req.context.get("work_began")
        if began is None:
            return
        self._readers.release()
        worked_ms = 1000 * (self._work_clock() - began)
        with self._lock:
            now = self._clock()
            self._bytes.spend(now, len(resp.data or b""))
            self._work.spend(now, max(0.0, worked_ms - FREE_WORK_MS))
