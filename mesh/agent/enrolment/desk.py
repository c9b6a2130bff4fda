"""The issuer's desk: makes invitations, and answers agents that ask for certificates by ``mesh:enrol``.

Actors hand it questions; the main thread answers them, one at a time: that an invitation is used is written
to the disk first.
"""

import logging
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from actors.messages import control_end as messages
from actors.meters import Meters
from actors.runtime.reference import tell_if_alive
from actors.runtime.seam import Ref
from mesh.agent.audit.entries import certificate_facts
from mesh.agent.enrolment.invitations import Invitation, Invitations
from mesh.agent.events import Events, Job
from mesh.agent.files import AgentFileError
from mesh.auditing import AuditFact, Auditing, AuditKind
from mesh.connection.reserved import Caller
from mesh.errors import RemoteProtocolError
from mesh.journal import EventKind
from mesh.remote.enrolment import Grant, read_wish, write_grant
from mesh.remote.join_token import JoinToken, token_to_text
from mesh.sampling import sampled
from mesh.telling import event
from mesh.trust.certificates import Certificate, issue_certificate, issuer_of, read_certificate
from mesh.trust.credentials import Credentials
from mesh.trust.identity import SEED_BYTES, AgentId, Identity, agent_id_of, display_id
from mesh.trust.issuing import IssuingLimits, Passing
from mesh.trust.naming import named

log: Final = logging.getLogger("mesh.agent")

INVITATION_S: Final = 3600
"""How long an invitation is good for: long enough to walk to the other machine."""

NOTED_EACH_S: Final = 600.0
"""A member that is refused again and again is written down so often: it would displace what others did."""

NOT_KEPT: Final = "it cannot keep its invitations; its log has the reason"
"""What others are told: where its files are is nobody else's business."""

RENEWED_SHARE: Final = 10
"""Of the time of a certificate that was given: so long its agent gets no other one."""

MAX_REMEMBERED: Final = 4096
"""Agents of which that is remembered, several times a large mesh; the first one is forgotten first."""

_EVENT: Final = event(EventKind.MANAGEMENT)


class _Lately:
    """Since when, for each of the latest agents, something is not done again."""

    def __init__(self) -> None:
        self._until: dict[AgentId, float] = {}

    def is_free(self, agent_id: AgentId, now: float) -> bool:
        """Whether it may be done for this agent."""
        return self._until.get(agent_id, now) <= now

    def hold(self, agent_id: AgentId, until: float) -> None:
        """It is not, up to then."""
        self._until.pop(agent_id, None)
        self._until[agent_id] = until
        if len(self._until) > MAX_REMEMBERED:
            del self._until[next(iter(self._until))]


class NotIssuedError(Exception):
    """There is no certificate; the text says why, for people."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """An agent that is to be invited."""

    name: str
    granted: Passing
    valid_s: int | None
    """How long its certificate is to be valid; ``None``: as long as the issuer may grant."""
    addresses: tuple[str, ...]
    """Agents that it is to dial; if none are named, this one and those that it dials."""


class Invited(msgspec.Struct, frozen=True):
    """An invitation that was made."""

    token: str
    expires: int
    """Unix seconds."""
    valid_s: int


def invite_nobody(wanted: Wanted) -> Invited:
    """Stands for :meth:`EnrolmentDesk.invite` where there is no desk."""
    raise NotIssuedError(f"this agent invites nobody, and not {wanted.name}")


class EnrolmentDesk:
    """That of one agent, whether or not it is an issuer.

    Args:
        events: brings work to the main thread.
        meters: count.
        data_dir: of the agent; ``None`` if it keeps nothing, and so invites nobody.
        credentials: what the agent has now.
        addresses: where others are to dial, if nobody says it.
        audit: where it is written down who got a certificate.
    """

    def __init__(
        self,
        events: Events,
        meters: Meters,
        data_dir: Path | None,
        *,
        credentials: Callable[[], Credentials],
        addresses: Callable[[], tuple[str, ...]],
        audit: Auditing,
    ) -> None:
        self._events = events
        self._meters = meters
        self._data_dir = data_dir
        self._credentials = credentials
        self._addresses = addresses
        self._audit = audit
        self._invitations: Invitations | None = None
        self._noted, self._renewed_lately = _Lately(), _Lately()

    # -- what actors call ------------------------------------------------------------------------------------

    def __call__(self, caller: Caller, question: bytes, reply_to: Ref[messages.AnswerFound]) -> None:
        """Have it answered; at once, and without fail."""
        self._events.put(Job(lambda: self._reply(caller, question, reply_to)))

    # -- what the main thread calls --------------------------------------------------------------------------

    def invite(self, wanted: Wanted) -> Invited:
        """Make an invitation; on return it is on the disk.

        Raises:
            NotIssuedError: this agent may not let such an agent in.
            TooManyInvitations: too many have not expired yet.
            AgentFileError: it cannot be written.
        """
        now, own = time.time(), self._credentials()
        longest_s = _limits(own.certificate).longest_s
        valid_s = longest_s if wanted.valid_s is None else wanted.valid_s
        addresses = wanted.addresses or self._addresses()
        if not addresses:
            raise NotIssuedError(
                "nothing says where a new agent is to dial: this one has no peers, and its accept names no "
                "host; say it with --dial HOST:PORT"
            )
        seed = secrets.token_bytes(SEED_BYTES)
        invited = Identity(seed)
        # What could not be signed when the new agent comes is refused now.
        key, name = invited.public_key, wanted.name
        _issued(own, key, name, wanted.granted, valid_s=valid_s, now=now)
        for_s = min(INVITATION_S, longest_s)
        wire = _issued(own, key, name, NOTHING, valid_s=for_s, now=now, is_invitation=True)
        expires = read_certificate(wire).not_after
        self._kept().add(
            Invitation(
                id=display_id(invited.id),
                name=wanted.name,
                granted=wanted.granted,
                valid_s=valid_s,
                expires=expires,
            ),
            now,
        )
        facts = {"agent": wanted.name, "seconds": int(expires - now)}
        log.info("%(agent)s is invited, for the next %(seconds)d s", facts, extra=_EVENT)
        token = JoinToken(
            addresses=addresses,
            authorities=tuple(sorted(own.trust.authorities)),
            seed=seed,
            certificate=wire,
        )
        return Invited(token_to_text(token), expires, valid_s)

    def _reply(self, caller: Caller, question: bytes, reply_to: Ref[messages.AnswerFound]) -> None:
        who = named(caller.name, caller.id)
        try:
            grant = Grant(self._certificate_for(caller, question, time.time()))
        except (NotIssuedError, RemoteProtocolError, AgentFileError) as error:
            self._meters.enrolments_refused += 1
            is_own = isinstance(error, AgentFileError)
            what = "joins by an invitation" if caller.certificate.is_invitation else "renews its certificate"
            facts = {"agent": who, "what": what, "reason": str(error)}
            log.warning(
                "no certificate for %(agent)s, which %(what)s: %(reason)s", facts, extra=sampled(who) | _EVENT
            )
            noted = {"agent": caller.name, "id": display_id(caller.id), "reason": str(error)}
            now = time.monotonic()
            if self._noted.is_free(caller.id, now):
                self._noted.hold(caller.id, now + NOTED_EACH_S)
                self._audit.note(AuditKind.NOT_ISSUED, noted)
            grant = Grant(why_not=NOT_KEPT if is_own else str(error))
        tell_if_alive(reply_to, messages.AnswerFound(write_grant(grant)))

    def _certificate_for(self, caller: Caller, question: bytes, now: float) -> bytes:
        """The certificate that ``caller`` gets, as wire bytes.

        Raises:
            NotIssuedError: it gets none.
            RemoteProtocolError: it has not asked for one, or for somebody else's key.
            AgentFileError: that an invitation is used cannot be written down.
        """
        own = self._credentials()
        _limits(own.certificate)
        subject = read_wish(question, issuer=own.identity.id, asker=caller.id)
        if caller.certificate.is_invitation:
            return self._joining(caller, own, subject, now)
        return self._renewed(caller, own, subject, now)

    def _joining(self, caller: Caller, own: Credentials, subject: bytes, now: float) -> bytes:
        issuer = issuer_of(caller.certificate)
        if issuer is None or issuer.subject != own.identity.public_key:
            raise NotIssuedError("the invitation is that of another issuer")
        invitations = self._kept()
        invitation = invitations.find(display_id(caller.id))
        if invitation is None or now >= invitation.expires:
            raise NotIssuedError("the invitation is not known here, or has expired: ask for another")
        agent_id = display_id(agent_id_of(subject))
        if invitation.used_by:
            raise NotIssuedError(
                f"the invitation has been used already, by the agent {invitation.used_by}; "
                "if that is not yours, somebody else has had the token"
            )
        if subject == caller.certificate.subject:
            raise NotIssuedError("expected a key of the new agent's own, not that of the invitation")
        wire = _issued(own, subject, invitation.name, invitation.granted, valid_s=invitation.valid_s, now=now)
        invitations.use(invitation, agent_id)
        self._meters.enrolments += 1
        self._audit.note(AuditKind.JOINED, certificate_facts(read_certificate(wire)))
        facts = {"agent": named(invitation.name, agent_id_of(subject))}
        log.info("%(agent)s has joined by an invitation of this agent", facts, extra=_EVENT)
        return wire

    def _renewed(self, caller: Caller, own: Credentials, subject: bytes, now: float) -> bytes:
        held = caller.certificate
        if subject != held.subject:
            raise NotIssuedError("a certificate is renewed for the same key only")
        if held.may_issue is not None:
            raise NotIssuedError("an issuer's certificate is renewed by the authority only")
        moment = time.monotonic()  # a clock that was ahead for a moment is to turn nobody away for long
        if not self._renewed_lately.is_free(caller.id, moment):
            raise NotIssuedError("its certificate has been renewed a short while ago: that is the one to use")
        valid_s = min(held.not_after - held.not_before, _limits(own.certificate).longest_s)
        granted = Passing(
            register=held.may_register,
            use=held.may_use,
            relay=held.may_relay,
            manage=held.may_manage,
            groups=held.groups,
        )
        wire = _issued(own, subject, held.name, granted, valid_s=valid_s, now=now)
        self._renewed_lately.hold(caller.id, moment + valid_s / RENEWED_SHARE)
        self._meters.enrolments += 1
        self._audit.note(AuditKind.ISSUED, certificate_facts(read_certificate(wire)) | _before(held, own))
        facts = {"agent": named(caller.name, caller.id), "seconds": valid_s}
        log.info("%(agent)s has renewed its certificate here, for %(seconds)d s", facts, extra=_EVENT)
        return wire

    def _kept(self) -> Invitations:
        """The invitations, read when they are wanted first.

        Raises:
            NotIssuedError: this agent keeps none.
            AgentFileError: they cannot be read.
        """
        if self._invitations is None:
            if self._data_dir is None:
                raise NotIssuedError("this agent has no agent.data_dir, so it invites nobody")
            self._invitations = Invitations(self._data_dir, time.time())
        return self._invitations


NOTHING: Final = Passing(register=(), use=(), relay=False, manage=False, groups=())


def _limits(own: Certificate) -> IssuingLimits:
    if own.may_issue is None:
        raise NotIssuedError(
            f"{own.name} is no issuer; whoever has the authority's key makes it one with "
            "mesh certificate sign --issue, or the right issue of mesh init"
        )
    return own.may_issue


def _before(held: Certificate, own: Credentials) -> dict[str, AuditFact]:
    """Which other issuer has signed what is renewed: when that one is revoked, its agents are still found."""
    before = issuer_of(held)
    if before is None or before.agent_id == own.identity.id:
        return {}
    return {"issuer_before": f"{before.name} {display_id(before.agent_id)}"}


def _issued(
    own: Credentials,
    subject: bytes,
    name: str,
    granted: Passing,
    *,
    valid_s: int,
    now: float,
    is_invitation: bool = False,
) -> bytes:
    """A certificate that ``own`` signs, valid from now on and no longer than its own.

    Raises:
        NotIssuedError: it may not.
    """
    start = max(int(now), own.certificate.not_before)
    try:
        return issue_certificate(
            own.identity,
            subject=subject,
            name=name,
            not_before=start,
            not_after=min(start + valid_s, own.certificate.not_after),
            may_register=granted.register,
            may_use=granted.use,
            may_relay=granted.relay,
            may_manage=granted.manage,
            groups=granted.groups,
            issuer=own.wire,
            is_invitation=is_invitation,
        )
    except ValueError as error:
        raise NotIssuedError(str(error)) from None
