"""Asks an issuer for a certificate, over the actors of this process; any thread but theirs may."""

import time
from typing import Final

import pykka

from actors.connections.offers import offer_of
from actors.messages import agent as agent_messages
from actors.messages import route_table as route_messages
from actors.messages import steward as messages
from actors.runtime.reference import AskRef
from mesh.agent.actor_questions import agent_refs, answer_by
from mesh.agent.dashboard.status import StatusUnavailable
from mesh.connection.reject_codes import RejectCode
from mesh.connection.reserved import ENROL_KEY
from mesh.errors import RemoteProtocolError
from mesh.remote.enrolment import read_grant, write_wish
from mesh.remote.talks import CALL_S
from mesh.routing.routes import RouteSnapshot
from mesh.trust.identity import AgentId, Identity

ROUTES_S: Final = 2.0
"""For the actors to say who there is."""

GRACE_S: Final = 2.0
"""For the actors to say that time is up."""


class NotGrantedError(Exception):
    """An issuer has given no certificate, or could not be asked; the text says why, for people.

    Args:
        why: of the text.
        is_final: whether the issuer has said no, so that asking it again is of no use.
    """

    def __init__(self, why: str, *, is_final: bool = False) -> None:
        super().__init__(why)
        self.is_final = is_final


def routes_of(root: AskRef[agent_messages.Inbound]) -> RouteSnapshot:
    """Who there is at present.

    Raises:
        StatusUnavailable: the actors are busy, or being started anew.
    """
    deadline = time.monotonic() + ROUTES_S
    refs = agent_refs(root, deadline)
    asked: pykka.Future[RouteSnapshot] = refs.route_table.ask(route_messages.GetSnapshot(), block=False)
    return answer_by(asked, deadline)


def ask_for_certificate(
    root: AskRef[agent_messages.Inbound], routes: RouteSnapshot, issuer: AgentId, owner: Identity
) -> bytes:
    """The certificate that ``issuer`` gives, as wire bytes that nobody has judged.

    Args:
        root: of the actors, which ask as the agent that they are.
        routes: of now.
        issuer: an agent within reach.
        owner: the key pair that it is to be for.

    Raises:
        NotGrantedError: it gives none, or does not answer.
        StatusUnavailable: the actors are busy, or being started anew.
    """
    offer = offer_of(routes, issuer)
    if offer is None:
        raise NotGrantedError("no path leads to it at present")
    refs = agent_refs(root, time.monotonic() + ROUTES_S)
    if refs.steward is None:
        raise StatusUnavailable("the agent's actors are being started")
    wish = write_wish(owner, issuer=issuer, asker=routes.own_id)
    deadline = time.monotonic() + CALL_S + GRACE_S
    asks: pykka.Future[pykka.Future[messages.CallOutcome]] = refs.steward.ask(
        messages.StartCall(offer, wish, ENROL_KEY), block=False
    )
    outcome = answer_by(answer_by(asks, deadline), deadline)
    if isinstance(outcome, messages.CallFailed):
        is_final = outcome.code in (RejectCode.NOT_PERMITTED, RejectCode.UNKNOWN_KEY)
        raise NotGrantedError(outcome.why, is_final=is_final)
    try:
        grant = read_grant(outcome)
    except RemoteProtocolError as error:
        raise NotGrantedError(str(error)) from None
    if not grant.certificate:
        raise NotGrantedError(grant.why_not or "it gives none, and does not say why", is_final=True)
    return grant.certificate
