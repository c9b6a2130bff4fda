"""``/api/v1/events``: the last that happened, as a list that is asked for again and again."""

import secrets
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

import msgspec

from mesh.agent.control.behind import Behind
from mesh.agent.control.happenings import ToldEvent, ToldEvents
from mesh.agent.control.problem import ProblemError
from mesh.agent.control.requests import EVENTS
from mesh.agent.control.route import Call, Method, Nothing, Route
from mesh.connection.endings import ConnectionRecord
from mesh.connection.recorder import facts_of_record, line_of
from mesh.escaping import escaped
from mesh.journal import MAX_EVENTS, Event, EventKind, Note


class EventQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which events are wanted."""

    after: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{8}-[0-9]{1,18})?$")] = ""
    """The cursor of the answer before: what has happened since; without it, all that is kept."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_EVENTS)] = 100
    last: Annotated[int, msgspec.Meta(ge=0, le=MAX_EVENTS)] | None = None
    """Without a cursor: at most so many, the newest."""
    kind: tuple[EventKind, ...] = ()
    """Of these kinds; without one, of all."""


def event_routes(behind: Behind) -> tuple[Route, ...]:
    """What tells what has happened."""
    run, journal = secrets.token_hex(4), behind.journal

    def events(call: Call[EventQuery, Nothing]) -> ToldEvents:
        """Tell what has happened since the last time.

        The answer comes at once, with no event if there was none; nothing is held open. Ask each second or
        so with the cursor of the answer before.
        """
        asked = call.parameters
        kinds = frozenset(asked.kind) or frozenset(EventKind)
        known_run, _, text = asked.after.partition("-")
        if asked.after and asked.last is not None:
            raise ProblemError(
                HTTPStatus.BAD_REQUEST, "either after or last, not both", place="parameters.last"
            )
        after = int(text) if known_run == run else 0
        if asked.last is not None:
            after = journal.before_last(asked.last, kinds)
        found = journal.after(after, asked.limit, kinds)
        is_another_run = bool(asked.after) and known_run != run
        return ToldEvents(
            tuple(map(_told, found.events)),
            f"{run}-{found.last}",
            is_another_run or (bool(asked.after) and found.are_lost),
        )

    return (Route(Method.GET, EVENTS, events),)


def _told(event: Event) -> ToldEvent:
    what, time = event.what, datetime.fromtimestamp(event.unix_s, UTC)
    if isinstance(what, ConnectionRecord):
        facts = facts_of_record(what)
        return ToldEvent(event.number, time, event.kind, "info", escaped(line_of(what) % facts), facts)
    if isinstance(what, Note):
        return ToldEvent(event.number, time, event.kind, what.level, what.text, dict(what.facts))
    raise TypeError(f"an event of {type(what)}")
