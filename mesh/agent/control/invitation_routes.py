"""``/api/v1/invitations``: let a new agent in, or not after all."""

import time
from contextlib import suppress
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Final, TypeAlias

import msgspec

from mesh.agent.control.behind import Behind
from mesh.agent.control.page_rows import Page, Window, page_of
from mesh.agent.control.problem import ProblemError
from mesh.agent.control.requests import CONTROL_SOCKET, INVITATIONS
from mesh.agent.control.revocation_routes import around_of
from mesh.agent.control.route import Call, Method, Nothing, Route
from mesh.agent.enrolment.invitations import TooManyInvitations
from mesh.agent.enrolment.inviting import Invited, NotWithdrawnError, Shown, Standing, Wanted
from mesh.agent.enrolment.issued import NotIssuedError
from mesh.agent.files import AgentFileError
from mesh.agent.findings import time_of
from mesh.agent.revocation_changes import NotSignedError, Wish
from mesh.trust.identity import display_id
from mesh.trust.issuing import Group, Passing, Pattern

CANNOT_BE: Final = frozenset({HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY})

NOT_THERE: Final = frozenset({HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND})

MIN_VALID_S: Final = 60

Name: TypeAlias = Annotated[
    str,
    msgspec.Meta(pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\Z", min_length=1, max_length=63),
]
"""Fit for a directory, a host name and a configuration."""
Address: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=262)]


class InviteRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who is to be let in, and what it may do."""

    name: Name
    register: tuple[Pattern, ...] = ()
    use: tuple[Pattern, ...] = ()
    relay: bool = False
    manage: bool = False
    groups: tuple[Group, ...] = ()
    valid_s: Annotated[int, msgspec.Meta(ge=MIN_VALID_S)] | None = None
    """How long its certificate is to be valid; as long as the issuer may grant if absent."""
    addresses: Annotated[tuple[Address, ...], msgspec.Meta(max_length=4)] = ()
    """Agents that it is to dial; this agent's own and those that it dials if absent."""


class InvitationPlace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which invitation."""

    id: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]


class InvitationRow(msgspec.Struct, frozen=True):
    """An invitation that has not expired. Its token is told to whoever has made it, and to nobody else."""

    id: str
    """Of the key in the token, as of an agent."""
    name: str
    """Of the agent that is to join."""
    expires: datetime
    standing: Standing
    used_by: str
    """The ID of the agent that has joined; empty if none has."""


def invitation_routes(behind: Behind) -> tuple[Route, ...]:
    """What lets agents in."""

    def invite(call: Call[Nothing, InviteRequest]) -> Invited:
        """Invite an agent: make a token by which it joins, once, within an hour.

        The token is a secret, and is shown this once. Only the control socket gives one away.
        """
        if call.caller != CONTROL_SOCKET:  # the right to manage an agent is not the right to make others
            why = "only whoever uses the control socket of an issuer lets agents in"
            raise ProblemError(HTTPStatus.FORBIDDEN, why)
        wish, routes = call.body, behind.status().value.routes
        for agent_id, name in routes.names.items():
            if name == wish.name:
                why = f"the mesh has an agent {wish.name} already, with the ID {display_id(agent_id)}"
                raise ProblemError(HTTPStatus.CONFLICT, why, place="body.name")
        granted = Passing(
            register=wish.register, use=wish.use, relay=wish.relay, manage=wish.manage, groups=wish.groups
        )
        wanted = Wanted(name=wish.name, granted=granted, valid_s=wish.valid_s, addresses=wish.addresses)
        try:
            return behind.inviting.invite(wanted)
        except (NotIssuedError, AgentFileError) as error:
            raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from None
        except TooManyInvitations as error:
            raise ProblemError(HTTPStatus.CONFLICT, str(error)) from None

    def invitations(call: Call[Window, Nothing]) -> Page[InvitationRow]:
        """List the invitations of this issuer that have not expired, used ones included."""
        try:
            found = behind.inviting.all()
        except AgentFileError as error:
            raise ProblemError(HTTPStatus.CONFLICT, str(error)) from None
        return page_of(tuple(map(_row, found)), call.parameters, 0.0)

    def withdraw(call: Call[InvitationPlace, Nothing]) -> None:
        """Let nobody join by an invitation any more, and have all agents close their links to who has it."""
        try:
            withdrawn = behind.inviting.withdraw(call.parameters.id)
        except (NotWithdrawnError, NotIssuedError) as error:
            raise ProblemError(HTTPStatus.NOT_FOUND, str(error), place="parameters.id") from None
        except AgentFileError as error:
            raise ProblemError(HTTPStatus.CONFLICT, str(error)) from None
        for_s = max(1, withdrawn.expires - int(time.time()) + 1)
        with suppress(NotSignedError):  # no list can be signed now: what counts is that nobody joins by it
            around = around_of(behind.status().value)
            behind.revoke(Wish((withdrawn.id,), f"invitation of {withdrawn.name}, withdrawn", for_s), around)

    return (
        Route(Method.GET, INVITATIONS, invitations, problems=frozenset({HTTPStatus.CONFLICT})),
        Route(Method.POST, INVITATIONS, invite, problems=CANNOT_BE, changes=True),
        Route(Method.DELETE, f"{INVITATIONS}/{{id}}", withdraw, problems=NOT_THERE, changes=True),
    )


def _row(shown: Shown) -> InvitationRow:
    one = shown.invitation
    return InvitationRow(one.id, one.name, time_of(one.expires), shown.standing, one.used_by)
