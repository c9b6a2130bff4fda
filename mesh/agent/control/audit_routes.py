"""``/api/v1/audit``: what is written down for good, for whoever may change the agent."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from mesh.agent.audit.entries import Entry
from mesh.agent.audit.reading import BEGIN, END, MAX_PAGE_ENTRIES, TrailPage, cursor_of, newer, older
from mesh.agent.audit.trail_files import CHANGES, TRAILS
from mesh.agent.audit.verifying import NO_HEAD, Checked, checked, noted_heads
from mesh.agent.control.behind import Behind
from mesh.agent.control.problem import ProblemError
from mesh.agent.control.requests import AUDIT, AUDIT_CHECKS
from mesh.agent.control.route import Call, Method, Nothing, Route

REST_S: Final = 0.002
"""After some lines: who checks a whole trail is not to keep the data path waiting."""

_Cursor: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^([0-9]{1,30}-[0-9]{1,15})?$")]


class AuditQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which entries are wanted."""

    trail: Literal["changes", "connections"] = CHANGES
    limit: Annotated[int, msgspec.Meta(ge=0, le=MAX_PAGE_ENTRIES)] = 100
    before: _Cursor = ""
    """From an answer: what is older than that. Without a cursor: the newest."""
    after: _Cursor = ""
    """From an answer: what is newer than that."""


class CheckQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which heads were noted."""

    head: Annotated[tuple[str, ...], msgspec.Meta(max_length=len(TRAILS))] = ()
    """Each ``TRAIL:NUMBER:HASH``; it must be part of its trail."""


class AuditEntries(msgspec.Struct, frozen=True):
    """Some entries, the oldest first; of large ones fewer come in one answer than were asked for."""

    entries: tuple[Entry, ...]
    before: str | None
    """To ask for what is older; ``null`` if nothing is."""
    after: str
    """To ask for what is newer."""


def audit_routes(behind: Behind) -> tuple[Route, ...]:
    """What tells what has been written down."""
    turn = threading.Lock()

    def entries(call: Call[AuditQuery, Nothing]) -> AuditEntries:
        """List entries of the audit log: who changed what, or who was connected to what.

        They name users, tokens and addresses, so reading them takes what changing the agent takes.
        """
        asked, place = call.parameters, _directory(behind)
        if asked.before and asked.after:
            why = "either before or after, not both"
            raise ProblemError(HTTPStatus.BAD_REQUEST, why, place="parameters.after")
        with _told():
            if asked.after:
                return shown(newer(place, asked.trail, cursor_of(asked.after), asked.limit))
            before = cursor_of(asked.before) if asked.before else END
            return shown(older(place, asked.trail, before, asked.limit))

    def checks(call: Call[CheckQuery, Nothing]) -> tuple[Checked, ...]:
        """See whether the trails are whole: none of their entries changed, and none missing in between.

        It takes seconds if there is much; one is checked at a time.
        """
        place = _directory(behind)
        try:
            noted = noted_heads(call.parameters.head)
        except ValueError as error:
            raise ProblemError(HTTPStatus.BAD_REQUEST, str(error), place="parameters.head") from None
        if not turn.acquire(blocking=False):
            raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "the audit log is being checked: ask again")
        try:
            with _told():
                found = [
                    checked(place, trail, noted.get(trail, NO_HEAD), lambda: time.sleep(REST_S))
                    for trail in TRAILS
                ]
        finally:
            turn.release()
        # Where the files are is the business of whoever has the machine.
        return tuple(
            msgspec.structs.replace(each, problem=each.problem.replace(f"{place}/", "")) for each in found
        )

    missing = frozenset({HTTPStatus.NOT_FOUND})
    return (
        Route(Method.GET, AUDIT, entries, problems=missing, changes=True),
        Route(Method.GET, AUDIT_CHECKS, checks, problems=missing, changes=True, waits=True),
    )


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = f"the audit log cannot be read: {(error.strerror or str(error)).lower()}"
        raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, why) from None


def shown(page: TrailPage) -> AuditEntries:
    """A page as it is answered."""
    return AuditEntries(page.entries, None if page.before == BEGIN else str(page.before), str(page.after))


def _directory(behind: Behind) -> Path:
    """Where the files are."""
    if behind.audit_dir is None:
        raise ProblemError(
            HTTPStatus.NOT_FOUND, "this agent has no agent.data_dir, so it writes nothing down"
        )
    return behind.audit_dir
