"""The issuer's desk: answers agents that ask for certificates by ``mesh:enrol``.

Actors hand it questions; the main thread answers them, one at a time: that an invitation is used is written
to the disk first.
"""

import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from actors.messages import control_end as messages
from actors.meters import Meters
from actors.runtime.reference import tell_if_alive
from actors.runtime.seam import Ref
from mesh.agent.audit.entries import certificate_facts
from mesh.agent.enrolment.inviting import Inviting
from mesh.agent.enrolment.issued import NotIssuedError, issued, limits_of
from mesh.agent.enrolment.newest import NewestCertificates
from mesh.agent.events import Events, Job
from mesh.agent.files import AgentFileError
from mesh.auditing import AuditFact, Auditing, AuditKind
from mesh.connection.reserved import Caller
from mesh.errors import RemoteProtocolError
from mesh.journal import EventKind
from mesh.remote.enrolment import Grant, read_wish, write_grant
from mesh.sampling import sampled
from mesh.telling import event
from mesh.trust.certificates import Certificate, issuer_of, read_certificate
from mesh.trust.credentials import Credentials
from mesh.trust.identity import agent_id_of, display_id
from mesh.trust.issuing import Passing
from mesh.trust.moments import in_words
from mesh.trust.naming import named

log: Final = logging.getLogger("mesh.agent")

NOTED_EACH_S: Final = 600.0
"""A member that is refused again and again is written down so often: it would displace what others did."""

NOT_KEPT: Final = "it cannot keep what it has to remember; its log has the reason"
"""What others are told: where its files are is nobody else's business."""

RENEWED_SHARE: Final = 10
"""Of the time of a certificate that was given: so long its agent gets no other one."""

MAX_REMEMBERED: Final = 4096
"""Agents of which that is remembered, several times a large mesh; the first one is forgotten first."""

_EVENT: Final = event(EventKind.MANAGEMENT)


class _Lately:
    """Since when, for each of the latest agents, something is not done again."""

    def __init__(self) -> None:
        self._until: dict[bytes, float] = {}

    def is_free(self, whom: bytes, now: float) -> bool:
        """Whether it may be done for this agent."""
        return self._until.get(whom, now) <= now

    def hold(self, whom: bytes, until: float) -> None:
        """It is not, up to then."""
        self._until.pop(whom, None)
        self._until[whom] = until
        if len(self._until) > MAX_REMEMBERED:
            del self._until[next(iter(self._until))]


class EnrolmentDesk:
    """That of one agent, whether or not it is an issuer.

    Args:
        events: brings work to the main thread.
        meters: count.
        data_dir: of the agent; ``None`` if it keeps nothing, and so invites nobody and renews nothing.
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
        self.inviting: Final = Inviting(data_dir, credentials=credentials, addresses=addresses, audit=audit)
        """For whoever lets agents in; any thread may call."""
        self._credentials = credentials
        self._audit = audit
        self._noted, self._renewed_lately = _Lately(), _Lately()
        self._newest: NewestCertificates | None = None
        self._unkept = ""
        """What was wrong with its file, when it was to be written last."""

    # -- what actors call ------------------------------------------------------------------------------------

    def __call__(self, caller: Caller, question: bytes, reply_to: Ref[messages.AnswerFound]) -> None:
        """Have it answered; at once, and without fail."""
        self._events.put(Job(lambda: self._reply(caller, question, reply_to)))

    # -- what the main thread does ---------------------------------------------------------------------------

    def saw(self, shown: Iterable[Certificate]) -> None:
        """Agents show these certificates now; what is older is not renewed from now on."""
        reason = ""
        try:
            self._newest_kept().note(shown)
        except (AgentFileError, NotIssuedError) as error:
            reason = str(error)
        if reason and reason != self._unkept:
            log.error("%(reason)s", {"reason": reason}, extra=_EVENT)
        self._unkept = reason

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
        limits_of(own)
        if refusal := own.trust.refusal(caller.certificate):  # since it has asked
            raise NotIssuedError(refusal)
        subject = read_wish(question, issuer=own.identity.id, asker=caller.id)
        if caller.certificate.is_invitation:
            return self._joining(caller, own, subject, now)
        return self._renewed(caller, own, subject, now)

    def _joining(self, caller: Caller, own: Credentials, subject: bytes, now: float) -> bytes:
        issuer = issuer_of(caller.certificate)
        if issuer is None or issuer.subject != own.identity.public_key:
            raise NotIssuedError("the invitation is that of another issuer")
        invitation = self.inviting.pending(display_id(caller.id), now)
        if subject == caller.certificate.subject:
            raise NotIssuedError("expected a key of the new agent's own, not that of the invitation")
        if revoked := own.trust.revocations.of(agent_id_of(subject), own.identity.public_key):
            raise NotIssuedError(
                f"an agent with this key {revoked}: join with another one, in another folder"
            )
        wire = issued(own, subject, invitation.name, invitation.granted, valid_s=invitation.valid_s, now=now)
        self.inviting.use(invitation, agent_id_of(subject))
        self._meters.enrolments += 1
        joined = certificate_facts(read_certificate(wire)) | {"invitation": invitation.id}
        self._audit.note(AuditKind.JOINED, joined)
        facts = {"agent": named(invitation.name, agent_id_of(subject))}
        log.info("%(agent)s has joined by an invitation of this agent", facts, extra=_EVENT)
        return wire

    def _renewed(self, caller: Caller, own: Credentials, subject: bytes, now: float) -> bytes:
        held = caller.certificate
        if subject != held.subject:
            raise NotIssuedError("a certificate is renewed for the same key only")
        if held.may_issue is not None:
            raise NotIssuedError("an issuer's certificate is renewed by the authority only")
        if begins := self._newest_kept().newer_than(held):
            raise NotIssuedError(
                f"a newer certificate of this agent is known here, of {in_words(begins)}: that is the one "
                "to renew; if it is lost, have another signed by the authority's key"
            )
        moment = time.monotonic()  # a clock that was ahead for a moment is to turn nobody away for long
        held_back = caller.id + own.certificate.authority  # of another authority it is to have one at once
        if not self._renewed_lately.is_free(held_back, moment):
            raise NotIssuedError("its certificate has been renewed a short while ago: that is the one to use")
        valid_s = min(held.not_after - held.not_before, limits_of(own).longest_s)
        granted = Passing(
            register=held.may_register,
            use=held.may_use,
            relay=held.may_relay,
            manage=held.may_manage,
            groups=held.groups,
        )
        wire = issued(own, subject, held.name, granted, valid_s=valid_s, now=now)
        self._renewed_lately.hold(held_back, moment + valid_s / RENEWED_SHARE)
        self._meters.enrolments += 1
        self._audit.note(AuditKind.ISSUED, certificate_facts(read_certificate(wire)) | _before(held, own))
        facts = {"agent": named(caller.name, caller.id), "seconds": valid_s}
        log.info("%(agent)s has renewed its certificate here, for %(seconds)d s", facts, extra=_EVENT)
        return wire

    def _newest_kept(self) -> NewestCertificates:
        """Which certificates have been seen, read when they are wanted first.

        Raises:
            NotIssuedError: this agent keeps none.
            AgentFileError: they cannot be read.
        """
        if self._newest is None:
            if self._data_dir is None:
                raise NotIssuedError("this agent has no agent.data_dir, so it renews nothing")
            self._newest = NewestCertificates(self._data_dir)
        return self._newest


def _before(held: Certificate, own: Credentials) -> dict[str, AuditFact]:
    """Which other issuer has signed what is renewed: when that one is revoked, its agents are still found."""
    before = issuer_of(held)
    if before is None or before.agent_id == own.identity.id:
        return {}
    return {"issuer_before": f"{before.name} {display_id(before.agent_id)}"}
