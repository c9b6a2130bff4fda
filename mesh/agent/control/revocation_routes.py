"""``/api/v1/revocations``: who was revoked, and passing signed lists on."""

import base64
import binascii
from http import HTTPStatus

from mesh.agent.control.behind import Behind
from mesh.agent.control.page_rows import Page, Window, page_of
from mesh.agent.control.problem import ProblemError
from mesh.agent.control.requests import REVOCATION_LISTS, REVOCATIONS, ListsRequest, RevokeRequest
from mesh.agent.control.revocation_rows import ChangeRow, IssuerChange, ListRow, RevocationRow, Taken
from mesh.agent.control.route import Call, Method, Nothing, Route
from mesh.agent.dashboard.states import CONNECTED
from mesh.agent.dashboard.status import DashboardSnapshot
from mesh.agent.findings import time_of
from mesh.agent.issuer_list import Around
from mesh.agent.revocation_changes import NotSignedError, Wish
from mesh.trust.identity import display_id, encode_public_key
from mesh.trust.revocations import Revoked, SignedList, head_of


def revocation_routes(behind: Behind) -> tuple[Route, ...]:
    """What tells of revocations."""

    def revocations(call: Call[Window, Nothing]) -> Page[RevocationRow]:
        """List the agents that were revoked."""
        answer = behind.status()
        return page_of(tuple(map(_row, answer.value.revocations)), call.parameters, answer.age_s)

    def revoke(call: Call[Nothing, RevokeRequest]) -> IssuerChange:
        """Revoke agents that this agent has let in or renewed as an issuer, or let them in again.

        It signs its list with its own key, and tells the mesh. Whom an authority has certified only that
        authority revokes, by a list that is signed with its key and passed on to ``lists``.
        """
        wish = call.body
        wanted = Wish(wish.agents, wish.reason, wish.for_s, undo=wish.undo, dry_run=wish.dry_run)
        try:
            found = behind.revoke(wanted, around_of(behind.status().value))
        except NotSignedError as error:
            raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from None
        rows = tuple(ChangeRow(display_id(each.agent_id), each.name, each.became) for each in found.changes)
        return IssuerChange(head_of(found.wire).number, found.revoked, rows)

    def lists(call: Call[Window, Nothing]) -> Page[ListRow]:
        """List the newest revocation list of each authority and issuer."""
        answer = behind.status()
        known = answer.value.revocations.lists.values()
        return page_of(tuple(map(_list, known)), call.parameters, answer.age_s)

    def take(call: Call[Nothing, ListsRequest]) -> Taken:
        """Take revocation lists and tell the mesh of them.

        Who is in a list loses links and connections at every agent that can be reached. Who has signed it
        counts, not who passes it on.
        """
        given = [_bytes(each, number) for number, each in enumerate(call.body.lists)]
        problems = tuple(
            f"lists[{number}]: {why}" for number, why in enumerate(behind.revoking.take(given)) if why
        )
        if problems:
            raise ProblemError(
                HTTPStatus.UNPROCESSABLE_ENTITY, "not every list was taken", place="body", problems=problems
            )
        return Taken(len(given))

    refused = frozenset({HTTPStatus.UNPROCESSABLE_ENTITY})
    return (
        Route(Method.GET, REVOCATIONS, revocations),
        Route(Method.POST, REVOCATIONS, revoke, problems=refused, changes=True),
        Route(Method.GET, REVOCATION_LISTS, lists),
        Route(Method.POST, REVOCATION_LISTS, take, problems=refused, changes=True),
    )


def around_of(snapshot: DashboardSnapshot) -> Around:
    """What the agent knows of its mesh."""
    is_linked = any(peer.state == CONNECTED for peer in snapshot.peers)
    return Around(snapshot.routes.records, is_linked=is_linked)


def _row(revoked: Revoked) -> RevocationRow:
    said = revoked.revocation
    return RevocationRow(
        agent_id=display_id(said.agent_id),
        agent=said.name,
        revoked_at=time_of(said.revoked_at),
        until=time_of(said.until),
        by="issuer" if revoked.by_issuer else "authority",
        signer=encode_public_key(revoked.signer),
        reason=said.reason,
    )


def _list(signed: SignedList) -> ListRow:
    read = signed.read
    return ListRow(
        signer=encode_public_key(read.signer),
        number=read.number,
        revoked=len(read.revoked),
        signed=base64.b64encode(signed.wire).decode(),
    )


def _bytes(text: str, number: int) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        place = f"body.lists[{number}]"
        raise ProblemError(HTTPStatus.BAD_REQUEST, f"{place}: expected base64", place=place) from None
