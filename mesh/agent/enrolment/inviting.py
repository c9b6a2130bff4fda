"""Invitations of an issuer: made, listed, withdrawn, and used once."""

import enum
import logging
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from mesh.agent.audit.behalf import behalf
from mesh.agent.audit.entries import moment
from mesh.agent.enrolment.invitations import Invitation, Invitations
from mesh.agent.enrolment.issued import NotIssuedError, issued, limits_of
from mesh.auditing import AuditFact, Auditing, AuditKind
from mesh.journal import EventKind
from mesh.remote.join_token import JoinToken, token_to_text
from mesh.telling import event
from mesh.trust.certificates import read_certificate
from mesh.trust.credentials import Credentials
from mesh.trust.identity import SEED_BYTES, AgentId, Identity, display_id
from mesh.trust.issuing import Passing

log: Final = logging.getLogger("mesh.agent")

INVITATION_S: Final = 3600
"""How long an invitation is good for: long enough to walk to the other machine."""

_EVENT: Final = event(EventKind.MANAGEMENT)


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


class Standing(enum.StrEnum):
    """How an invitation stands that has not expired."""

    PENDING = "pending"
    """An agent may join by it."""
    USED = "used"
    WITHDRAWN = "withdrawn"
    REVOKED = "revoked"
    """In a list of this issuer or of an authority; or the issuer itself is."""


class Shown(msgspec.Struct, frozen=True):
    """An invitation that was made, as it stands."""

    invitation: Invitation
    standing: Standing


class NotWithdrawnError(Exception):
    """There is nothing to withdraw; the text says why, for people."""


class NoInviting:
    """Stands for :class:`Inviting` where there is none."""

    def invite(self, wanted: Wanted) -> Invited:
        """Refuse."""
        raise NotIssuedError(f"this agent invites nobody, and not {wanted.name}")

    def all(self) -> tuple[Shown, ...]:
        """None."""
        return ()

    def withdraw(self, invitation_id: str) -> Invitation:
        """Refuse."""
        raise NotWithdrawnError(f"no invitation has the ID {invitation_id}: this agent invites nobody")


class Inviting:
    """Invitations of one agent, whether or not it is an issuer; any thread may call.

    Args:
        data_dir: of the agent; ``None`` if it keeps nothing, and so invites nobody.
        credentials: what the agent has now.
        addresses: where others are to dial, if nobody says it.
        audit: where it is written down who has had whom invited.
    """

    def __init__(
        self,
        data_dir: Path | None,
        *,
        credentials: Callable[[], Credentials],
        addresses: Callable[[], tuple[str, ...]],
        audit: Auditing,
    ) -> None:
        self._audit = audit
        self._data_dir = data_dir
        self._credentials = credentials
        self._addresses = addresses
        self._invitations: Invitations | None = None
        self._lock = threading.RLock()  # also while the file is written: each is used once

    def invite(self, wanted: Wanted) -> Invited:
        """Make an invitation; on return it is on the disk.

        Raises:
            NotIssuedError: this agent may not let such an agent in.
            TooManyInvitations: too many have not expired yet.
            AgentFileError: it cannot be written.
        """
        now, own = time.time(), self._credentials()
        longest_s = limits_of(own).longest_s
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
        issued(own, key, name, wanted.granted, valid_s=valid_s, now=now)
        for_s = min(INVITATION_S, longest_s)
        wire = issued(own, key, name, NOTHING, valid_s=for_s, now=now, is_invitation=True)
        expires = read_certificate(wire).not_after
        self._add(
            Invitation(
                id=display_id(invited.id),
                name=wanted.name,
                granted=wanted.granted,
                valid_s=valid_s,
                expires=expires,
            ),
            now,
        )
        noted: dict[str, AuditFact] = {
            **behalf()._asdict(),
            "agent": wanted.name,
            "until": moment(expires),
            "invitation": display_id(invited.id),
            "rights": wanted.granted.rights,
        }
        self._audit.note(AuditKind.INVITED, noted)
        facts = {"agent": wanted.name, "seconds": int(expires - now)}
        log.info("%(agent)s is invited, for the next %(seconds)d s", facts, extra=_EVENT)
        token = JoinToken(
            addresses=addresses,
            authorities=tuple(sorted(own.trust.authorities)),
            seed=seed,
            certificate=wire,
        )
        return Invited(token_to_text(token), expires, valid_s)

    def all(self) -> tuple[Shown, ...]:
        """Those that have not expired, as they stand, in the order in which they were made.

        Raises:
            AgentFileError: they cannot be read.
        """
        own = self._credentials()
        if own.certificate.may_issue is None or self._data_dir is None:
            return ()
        with self._lock:
            found = self._kept().all(time.time())
        return tuple(Shown(each, _standing(each, own)) for each in found)

    def withdraw(self, invitation_id: str) -> Invitation:
        """Let nobody join by an invitation any more, and say which it was; on return that is on the disk.

        Raises:
            NotWithdrawnError: there is none with this ID, or somebody has joined by it.
            NotIssuedError: this agent keeps none.
            AgentFileError: it cannot be written; then it is good still.
        """
        with self._lock:
            invitation = self._kept().find(invitation_id)
            if invitation is None or time.time() >= invitation.expires:
                raise NotWithdrawnError(f"no invitation has the ID {invitation_id}, or it has expired")
            if used_by := invitation.used_by:
                raise NotWithdrawnError(
                    f"the agent {used_by} has joined by it already: mesh revoke {used_by} takes that out"
                )
            self._kept().withdraw(invitation)
        log.info("the invitation of %(agent)s is withdrawn", {"agent": invitation.name}, extra=_EVENT)
        return invitation

    def pending(self, invitation_id: str, now_unix_s: float) -> Invitation:
        """The invitation with this ID, if an agent may join by it.

        Raises:
            NotIssuedError: there is none.
            AgentFileError: they cannot be read.
        """
        with self._lock:
            invitation = self._kept().find(invitation_id)
        if invitation is None or now_unix_s >= invitation.expires:
            raise NotIssuedError("the invitation is not known here, or has expired: ask for another")
        if invitation.withdrawn:
            raise NotIssuedError("the invitation was withdrawn: ask for another")
        if invitation.used_by:
            raise NotIssuedError(
                f"the invitation has been used already, by the agent {invitation.used_by}; "
                "if that is not yours, somebody else has had the token"
            )
        return invitation

    def use(self, invitation: Invitation, agent_id: AgentId) -> None:
        """Note that an agent joins by it; on return that is on the disk.

        Raises:
            NotIssuedError: somebody has, or it was withdrawn, in between.
            AgentFileError: it cannot be written; then it is not used.
        """
        with self._lock:
            self.pending(invitation.id, time.time())
            self._kept().use(invitation, display_id(agent_id))

    def _add(self, invitation: Invitation, now_unix_s: float) -> None:
        with self._lock:
            self._kept().add(invitation, now_unix_s)

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


def _standing(invitation: Invitation, own: Credentials) -> Standing:
    if invitation.used_by:
        return Standing.USED
    if invitation.withdrawn:
        return Standing.WITHDRAWN
    invited = AgentId(bytes.fromhex(invitation.id))
    is_revoked = own.trust.revocations.of(invited, own.identity.public_key) is not None
    return Standing.REVOKED if is_revoked else Standing.PENDING
