"""Has whoever comes to ``http.address`` from elsewhere show a token, also for reading."""

from collections.abc import Callable, Iterable
from types import MappingProxyType
from typing import Final, TypeAlias
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import falcon
import msgspec

from mesh.agent.control.bearers import Asking, Bearers, Refusal
from mesh.agent.control.problem import ProblemDocument
from mesh.agent.control.requests import PLACES
from mesh.agent.dashboard.guard import METHODS, SECURITY_HEADERS
from mesh.agent.dashboard.health import NOT_READY, READY
from mesh.agent.dashboard.refusals import PROBLEM_TYPE
from mesh.agent.dashboard.stamps import KEPT_WHILE, IsGood
from mesh.config.schema import TokenSection
from mesh.config.token_kinds import READ

HEALTH: Final = frozenset({"/health", "/healthz"})
READINESS: Final = "/ready"
"""These are for load balancers, which know no token; without one readiness is told in a word."""

NO_END: Final = TokenSection(name="nobody", hash=b"")
"""In place of a token where none is needed."""

_WORDS: Final = MappingProxyType({"200": f"{READY}\n".encode(), "503": f"{NOT_READY}\n".encode()})
_OF_BODY: Final = ("content-type", "content-length")

_Headers: TypeAlias = list[tuple[str, str]]


class ReadingGuard:
    """A WSGI callable in front of another: while its tokens guard reading, nobody gets past without one."""

    def __init__(self, behind: WSGIApplication, bearers: Bearers) -> None:
        self._behind = behind
        self._bearers = bearers

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request; see PEP 3333."""
        path, revision = str(environ["PATH_INFO"]), self._bearers.tokens.revision  # before it is judged by it
        if not self._bearers.tokens.guard_reading or path in HEALTH:
            return self._answered(environ, start_response, NO_END, revision)
        method, authorization = str(environ["REQUEST_METHOD"]), str(environ.get("HTTP_AUTHORIZATION", ""))
        if path == READINESS and not authorization:
            return self._in_a_word(environ, start_response)
        client, is_read = str(environ.get("REMOTE_ADDR", "")), method in METHODS
        judged = self._bearers.judged(Asking(method, path, client, authorization, is_read), READ)
        if not isinstance(judged, Refusal):
            return self._answered(environ, start_response, judged, revision)
        body = _refused(judged, start_response, is_of_api=path.startswith(PLACES))
        return [b""] if method == "HEAD" else [body]

    def _answered(
        self, environ: WSGIEnvironment, start_response: StartResponse, shown: TokenSection, revision: int
    ) -> Iterable[bytes]:
        """The answer, which is given again for as long as the token is good, and the tokens are the same."""
        tokens = self._bearers.tokens
        answer = self._behind(environ, start_response)
        if KEPT_WHILE in environ:
            is_good: IsGood = environ[KEPT_WHILE]
            environ[KEPT_WHILE] = lambda: (
                tokens.revision == revision and not tokens.is_over(shown) and is_good()
            )
        return answer

    def _in_a_word(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """The same without the reasons, which name agents and keys."""
        began: list[tuple[str, _Headers]] = []

        def begin(status: str, headers: _Headers, exc_info: object = None, /) -> Callable[[bytes], object]:
            del exc_info
            began[:] = [(status, headers)]
            return lambda _: None

        body = b"".join(self._behind(environ, begin))
        status, headers = began[0]
        word = _WORDS.get(status[:3])
        if word is None:  # another host was asked for
            start_response(status, headers)
            return [body]
        kept = [(name, value) for name, value in headers if name.lower() not in _OF_BODY]
        start_response(status, [*kept, ("Content-Type", "text/plain"), ("Content-Length", str(len(word)))])
        return [word if body else b""]


def _refused(refusal: Refusal, start_response: StartResponse, *, is_of_api: bool) -> bytes:
    if is_of_api:
        document = ProblemDocument(refusal.status.phrase, refusal.status, refusal.why)
        kind, body = PROBLEM_TYPE, msgspec.json.encode(document)
    else:
        kind, body = falcon.MEDIA_JSON, msgspec.json.encode({"error": refusal.why})
    headers = [("Content-Type", kind), ("Content-Length", str(len(body)))]
    start_response(
        f"{refusal.status.value} {refusal.status.phrase}", [*headers, *SECURITY_HEADERS, *refusal.headers]
    )
    return body
