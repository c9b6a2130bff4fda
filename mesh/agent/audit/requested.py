"""Writes down what somebody had an agent do by one of the API's doors."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from mesh.agent.audit.behalf import Behalf
from mesh.agent.control.requests import LEASES
from mesh.auditing import AuditFact, Auditing, AuditKind

MAX_CHARACTERS: Final = 300
"""Of a place."""

_ASKING: Final = frozenset({"GET", "HEAD"})


def note_request(
    audit: Auditing, someone: Behalf, method: str, place: str, code: int, *, asker: str = ""
) -> None:
    """Write it down, unless it changes nothing or only goes on with what has been written down already.

    Args:
        audit: where.
        someone: whose request it is.
        method: of HTTP.
        place: its path and query.
        code: what it was answered with.
        asker: for whom it says that it asks, which nobody has seen to.
    """
    if method in _ASKING or is_renewal(method, place):
        return
    facts = {**someone._asdict(), "what": f"{method} {place[:MAX_CHARACTERS]}", "code": code}
    audit.note(AuditKind.REQUEST, facts | ({"caller": asker[:MAX_CHARACTERS]} if asker else {}))


def note_guess(audit: Auditing, someone: Behalf, method: str, place: str, code: HTTPStatus) -> None:
    """Write down that somebody has shown a token that is not good for this; few of them in any time."""
    facts = {**someone._asdict(), "what": f"{method} {place[:MAX_CHARACTERS]}", "code": code.value}
    audit.note(AuditKind.GUESS, facts)


def is_refused(facts: Mapping[str, AuditFact]) -> bool:
    """Whether a request that is to be written down has changed nothing."""
    code = facts.get("code")
    return isinstance(code, int) and code >= HTTPStatus.BAD_REQUEST


def is_renewal(method: str, place: str) -> bool:
    """Whether a command says that it is still there."""
    return method == "PUT" and place.startswith(f"{LEASES}/")
