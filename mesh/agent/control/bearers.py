"""Judges what a request shows of tokens: whose it is and what it is good for, or why it is refused."""

import base64
import binascii
import math
import threading
from http import HTTPStatus
from typing import Final, NamedTuple

from actors.meters import Meters
from mesh.agent.audit.behalf import Behalf
from mesh.agent.audit.requested import note_guess
from mesh.agent.control.tokens import FAILURES_PER_S, Tokens
from mesh.agent.logs import logger
from mesh.auditing import NOT_AUDITING, Auditing
from mesh.config.schema import TokenSection
from mesh.config.token_kinds import CHANGE, READ, moment_text
from mesh.escaping import escaped
from mesh.sampling import sampled

READER: Final = "http.address"
"""Who calls without a token, for the log."""

MAX_SHOWN_CHARACTERS: Final = 80
"""Of a path, in the log."""

_NEEDED: Final = "a token is needed, of http.tokens in the agent's configuration: Authorization: Bearer TOKEN"

_REALM: Final = "mesh agent: any name, and a token as the password"

_BEARER: Final = "bearer"
_BASIC: Final = "basic"

_log: Final = logger("http")


class Asking(NamedTuple):
    """What of a request is judged."""

    method: str
    path: str
    client: str
    """Its address."""
    authorization: str
    """The header; empty if there is none."""
    by_password: bool
    """Whether the token may come as a password (Basic), which a browser asks for and then sends by itself."""


class Refusal(NamedTuple):
    """Why a request is not answered."""

    status: HTTPStatus
    why: str
    headers: tuple[tuple[str, str], ...] = ()


class Bearers:
    """Those who come to ``http.address``; any thread may ask.

    Args:
        tokens: those that are good.
        audit: where it is written down who has shown another.
        meters: count those.
    """

    def __init__(self, tokens: Tokens, audit: Auditing = NOT_AUDITING, meters: Meters | None = None) -> None:
        self.tokens = tokens
        self._audit = audit
        self._meters = meters or Meters()
        self._lock = threading.Lock()

    def judged(self, asking: Asking, scope: str) -> TokenSection | Refusal:
        """The token that the request may be answered for, which has at least this scope."""
        given = _token_in(asking)
        if not given:
            return _refused(asking, _NEEDED)
        found = self.tokens.found(given)
        if found is not None and not self.tokens.is_over(found):
            if scope == CHANGE and found.scope != CHANGE:
                return self._wrong_scope(asking, found)
            return found
        self._count()
        if not self.tokens.may_fail():
            wait = (("Retry-After", str(math.ceil(1 / FAILURES_PER_S))),)
            return Refusal(HTTPStatus.TOO_MANY_REQUESTS, "too many wrong tokens; wait", wait)
        if found is None:
            self._tell(asking, "a token that is not good")
            why = "this token is not good: http.tokens does not have it"
        else:
            since = moment_text(found.expires_unix_s)
            self._tell(asking, f"the token of {found.name}, which has expired")
            why = f"this token has expired at {since}: make another with mesh token new"
        return _refused(asking, why, error="invalid_token")

    def _count(self) -> None:
        with self._lock:
            self._meters.tokens_refused += 1

    def _wrong_scope(self, asking: Asking, found: TokenSection) -> Refusal:
        self._count()
        if self.tokens.may_fail():
            what = f"the token of {found.name}, which is for reading"
            self._tell(asking, what, HTTPStatus.FORBIDDEN)
        header = f'Bearer error="insufficient_scope", scope="{CHANGE}"'
        why = f"this token is for reading: its scope in http.tokens is {READ}, and this takes {CHANGE}"
        return Refusal(HTTPStatus.FORBIDDEN, why, (("WWW-Authenticate", header),))

    def _tell(self, asking: Asking, what: str, code: HTTPStatus = HTTPStatus.UNAUTHORIZED) -> None:
        who, place = asking.client, shown(asking.path)
        _log.warning("%s %s with %s, from %s", asking.method, place, what, who, extra=sampled(who))
        note_guess(self._audit, Behalf(READER, f"{who}, with {what}"), asking.method, asking.path, code)


def _token_in(asking: Asking) -> str:
    """The token that a request shows; empty if there is none."""
    scheme, _, value = asking.authorization.strip().partition(" ")
    value = value.strip()
    if scheme.lower() == _BEARER:
        return value
    if scheme.lower() != _BASIC or not asking.by_password:
        return ""
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[2]
    except (binascii.Error, ValueError):
        return ""


def _refused(asking: Asking, why: str, *, error: str = "") -> Refusal:
    header = f'Bearer error="{error}"' if error else "Bearer"
    headers = [("WWW-Authenticate", header)]
    if asking.by_password:
        headers.append(("WWW-Authenticate", f'Basic realm="{_REALM}"'))
    return Refusal(HTTPStatus.UNAUTHORIZED, why, tuple(headers))


def shown(path: str) -> str:
    """A path, for the log."""
    return escaped(path if len(path) <= MAX_SHOWN_CHARACTERS else f"{path[:MAX_SHOWN_CHARACTERS]}...")
