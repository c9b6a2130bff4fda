"""``GET /api/v1/access``: who may use, offer, relay and manage what, and why or why not."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from http import HTTPStatus
from itertools import islice
from typing import Annotated, Final, NamedTuple, TypeAlias

import msgspec

from mesh.agent.access_words import managing, offering, relaying, sentence_of, unoffered
from mesh.agent.control.access_rows import AccessRow, GateRow
from mesh.agent.control.behind import Behind
from mesh.agent.control.page_rows import MAX_OFFSET, MAX_ROWS, Page
from mesh.agent.control.problem import ProblemError
from mesh.agent.control.requests import ACCESS
from mesh.agent.control.route import Call, Method, Nothing, Route
from mesh.agent.dashboard.status import MemberView
from mesh.agent.layers import Desired
from mesh.config.schema import EndpointSection, ListenerSection
from mesh.connection.reserved import is_reserved
from mesh.routing.access import Access, AccessJudge, May, OwnLists, Question
from mesh.trust.identity import display_id
from mesh.trust.naming import called

MAX_EXITS: Final = 16
"""Of each key that are looked at."""


class AccessPlace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked: all that an agent may do, or who may use a key, or both."""

    agent: str = ""
    """Its name or ID."""
    key: str = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_ROWS)] = 100
    offset: Annotated[int, msgspec.Meta(ge=0, le=MAX_OFFSET)] = 0


class _Plain(NamedTuple):
    """Something that a certificate alone decides."""

    right: str
    agent: MemberView
    key: str | None
    judge: Callable[[], tuple[bool, str]]


_Asked: TypeAlias = Question | _Plain


def access_routes(behind: Behind) -> tuple[Route, ...]:
    """What tells who may do what."""

    def access(call: Call[AccessPlace, Nothing]) -> Page[AccessRow]:
        """Say what an agent may do, or who may use a key, and why or why not, before anything is tried.

        It follows from certificates, records and the configuration of the agent that answers. Whom an
        endpoint of another agent lets in by its ``allow:`` only that agent knows.
        """
        wanted = call.parameters
        if not wanted.agent and not wanted.key:
            raise ProblemError(HTTPStatus.BAD_REQUEST, "expected an agent or a key", place="parameters.agent")
        if is_reserved(wanted.key):
            why = "what an agent serves by itself takes no right to a key, but mesh:control that to manage"
            raise ProblemError(HTTPStatus.BAD_REQUEST, f"{why}: ask without a key", place="parameters.key")
        answer = behind.status()
        snapshot = answer.value
        records = snapshot.routes.records
        own = own_lists(behind.steering.desired())
        judge = AccessJudge(
            snapshot.agent_id, records, snapshot.routes.paths_from_each, own, snapshot.now_unix_s
        )
        members = sorted(
            (records[each] for each in snapshot.routes.names), key=lambda each: (each.name, each.agent_id)
        )
        if wanted.agent:
            meant = called(((each.agent_id, each.name) for each in members), wanted.agent)
            if not meant:
                why = f"no agent that is known here has the name or ID {wanted.agent}; mesh agents lists them"
                raise ProblemError(HTTPStatus.NOT_FOUND, why, place="parameters.agent")
            members = [records[agent_id] for agent_id in meant]
        asked = [each for member in members for each in _asked_of(member, wanted.key, judge)]
        end = wanted.offset + wanted.limit
        rows = tuple(_answered(asked[wanted.offset : end], judge))
        next_offset = end if end < len(asked) else None
        return Page(rows, len(asked), next_offset, round(answer.age_s, 3))

    return (
        Route(
            Method.GET,
            ACCESS,
            access,
            problems=frozenset({HTTPStatus.NOT_FOUND}),
        ),
    )


def own_lists(desired: Desired) -> OwnLists:
    """What the agent's own endpoints and listeners say."""
    endpoints: dict[str, EndpointSection] = {}
    listeners: dict[str, list[ListenerSection]] = {}
    for placed in desired.services:
        service = placed.service
        if isinstance(service, EndpointSection):
            endpoints[service.key] = service
        else:
            listeners.setdefault(service.key, []).append(service)
    return OwnLists(
        offered=frozenset(endpoints),
        allowed={key: frozenset(each.allow) for key, each in endpoints.items()},
        believed={
            key: frozenset(agent for each in of_key for agent in each.agents)
            for key, of_key in listeners.items()
            if all(each.agents for each in of_key)
        },
    )


def _asked_of(member: MemberView, key: str, judge: AccessJudge) -> Iterator[_Asked]:
    """All that is to be answered of one agent: of one key, if it is given."""
    if not key:
        yield _Plain("relay", member, None, partial(relaying, member))
        yield _Plain("manage", member, None, partial(managing, member))
        for each in judge.keys:
            if member.agent_id in judge.exits_of(each):
                yield _Plain("offer", member, each, partial(offering, member, each))
    for each in (key,) if key else judge.keys:
        exits = judge.exits_of(each)
        if not exits:
            yield _Plain("use", member, each, partial(unoffered, member, each))
        yield from (Question(member.agent_id, each, exit_id) for exit_id in islice(exits, MAX_EXITS))


def _answered(asked: Sequence[_Asked], judge: AccessJudge) -> Iterator[AccessRow]:
    judged = judge.judge([each for each in asked if isinstance(each, Question)])
    for each in asked:
        yield _row(next(judged)) if isinstance(each, Question) else _plain_row(each)


def _row(access: Access) -> AccessRow:
    return AccessRow(
        right="use",
        may=access.may.value,
        agent_id=display_id(access.ingress.agent_id),
        agent=access.ingress.name,
        key=access.key,
        exit_id=display_id(access.exit.agent_id),
        exit=access.exit.name,
        gates=tuple(GateRow(each.gate.value, each.is_open, each.by) for each in access.findings),
        path=tuple(each.name for each in access.path),
        sentence=sentence_of(access),
    )


def _plain_row(asked: _Plain) -> AccessRow:
    is_so, sentence = asked.judge()
    return AccessRow(
        right=asked.right,
        may=(May.YES if is_so else May.NO).value,
        agent_id=display_id(asked.agent.agent_id),
        agent=asked.agent.name,
        key=asked.key,
        exit_id=None,
        exit=None,
        gates=(),
        path=(),
        sentence=sentence,
    )
