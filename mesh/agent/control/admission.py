"""Who may do what by ``http.address``: everybody may read, and the bearers of tokens may change things."""

import math
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

import falcon

from mesh.agent.control.problem import ProblemError
from mesh.agent.control.resource import Resource
from mesh.agent.control.tokens import FAILURES_PER_S, Tokens
from mesh.agent.dashboard.app import DOCUMENT_BURST_BYTES, DOCUMENT_BYTES_PER_S
from mesh.agent.logs import logger
from mesh.escaping import escaped
from mesh.token_bucket import TokenBucket

READER: Final = "http.address"
"""Who calls without a token, for the log."""

_SCHEME: Final = "bearer"

_log: Final = logger("http")


class ByHttpAddress:
    """Lets whoever changes something show a token, and logs what its bearer did.

    There are no cookies here, and a token is in no page of another site: what a browser sends by itself
    changes nothing.
    """

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: object, params: dict[str, str]
    ) -> None:
        """Refuse with 401, 403 or 429 who may not."""
        req.context["caller"] = READER
        if isinstance(resource, Resource) and req.method in resource.changing:
            req.context["caller"] = req.context["token"] = self._bearer(req, resp)

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        """Log a change."""
        bearer = req.context.get("token")
        if bearer is not None:
            path = escaped(req.path)
            _log.info("%s %s by the token of %s: %s", req.method, path, bearer, resp.status_code)

    def _bearer(self, req: falcon.Request, resp: falcon.Response) -> str:
        scheme, _, token = (req.get_header("Authorization") or "").strip().partition(" ")
        if self._tokens.is_empty:
            raise ProblemError(
                HTTPStatus.FORBIDDEN,
                "this agent is changed by its control socket only: http.tokens in its configuration names "
                "none that may do it here; make one with mesh token new",
            )
        if scheme.lower() != _SCHEME or not token:
            resp.set_header("WWW-Authenticate", "Bearer")
            raise ProblemError(HTTPStatus.UNAUTHORIZED, "a change needs a token: Authorization: Bearer TOKEN")
        bearer = self._tokens.bearer(token.strip())
        if bearer is not None:
            return bearer
        if not self._tokens.may_fail():
            resp.set_header("Retry-After", str(math.ceil(1 / FAILURES_PER_S)))
            raise ProblemError(HTTPStatus.TOO_MANY_REQUESTS, "too many wrong tokens; wait")
        _log.warning("%s %s with a token that is not good, from %s", req.method, req.path, req.remote_addr)
        resp.set_header("WWW-Authenticate", 'Bearer error="invalid_token"')
        raise ProblemError(HTTPStatus.UNAUTHORIZED, "this token is not good: http.tokens does not have it")


class Throttle:
    """Has clients wait who read more than is good for the data path, all together."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._bytes = TokenBucket(DOCUMENT_BYTES_PER_S, DOCUMENT_BURST_BYTES)

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Refuse with 503 for as long as too much has been read."""
        with self._lock:
            wait_s = self._bytes.wait_s(self._clock())
        if wait_s:
            resp.set_header("Retry-After", str(math.ceil(wait_s)))
            raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "too much was asked for; ask less often")

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        """Count the answer."""
        with self._lock:
            self._bytes.spend(self._clock(), len(resp.data or b""))
