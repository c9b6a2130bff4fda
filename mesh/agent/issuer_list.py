"""The list of whom an agent has revoked as an issuer: signed with its own key, while it runs."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, NamedTuple, Protocol

from mesh.agent.control.revoking import Revoking
from mesh.agent.dashboard.status import StatusUnavailable
from mesh.agent.revocation_changes import NextList, NotSignedError, Wish, held_by, in_full, meant, next_list
from mesh.trust.certificates import Certificate, issuer_of
from mesh.trust.credentials import Credentials
from mesh.trust.identity import AgentId
from mesh.trust.list_reader import read_revocations
from mesh.trust.revocations import NOBODY_REVOKED, Revocations, short_signer

TURN_S: Final = 5.0
"""How long others wait for their turn, while the actors and the main thread take a list."""

WITH_AUTHORITY: Final = "with the authority's key: mesh revoke AGENT --authority FILE"


class Member(Protocol):
    """What is looked at of an agent's record."""

    @property
    def name(self) -> str:
        """Its display name."""
        ...

    @property
    def certificate(self) -> Certificate:
        """What it shows."""
        ...


class Around(NamedTuple):
    """What an agent knows of its mesh."""

    members: Mapping[AgentId, Member]
    """Of whom there is a record."""
    is_linked: bool
    """Whether it has a peer, and so has heard what the mesh knows."""


def revoke_nobody(wish: Wish, around: Around) -> NextList:
    """Stands for :meth:`IssuerList.change` where there is no issuer."""
    del around
    raise NotSignedError(f"this agent revokes nobody, and not {', '.join(wish.agents)}")


class IssuerList:
    """That of one agent, whether or not it is an issuer; any thread but the main one may call.

    Args:
        credentials: what the agent has now, with the lists that it knows.
        revoking: takes a list; on return it is among those.
    """

    def __init__(self, credentials: Callable[[], Credentials], revoking: Revoking) -> None:
        self._credentials, self._revoking = credentials, revoking
        self._lock = threading.Lock()  # whoever is named by two who ask at one time is to be in the end
        self._signed = NOBODY_REVOKED
        """The last list that was signed here, also if nobody has said since that it was taken."""

    def change(self, wish: Wish, around: Around) -> NextList:
        """Sign the list that follows the newest one of this issuer, and tell the mesh of it.

        Raises:
            NotSignedError: this agent may not, or not this agent; or it cannot know what its last list was.
            StatusUnavailable: the actors are being started anew, or busy: perhaps it is taken, perhaps not.
        """
        with self._turn():
            own, now = self._credentials(), time.time()
            _require_issuer(own)
            known = own.trust.revocations.joined(self._signed).lists.get(own.identity.public_key)
            held = held_by(known, now)
            if not held.number and not around.is_linked:
                raise NotSignedError(
                    "this agent has no peer, so it cannot know whether the mesh has a list of its making, "
                    f"and whoever is in that would be let in again: wait for a link, or "
                    f"revoke {WITH_AUTHORITY}"
                )
            names = {
                agent_id: member.name
                for agent_id, member in around.members.items()
                if not member.certificate.is_invitation
            }
            agents = tuple(meant(wish.agents, names, held))
            if not wish.undo:
                for agent_id, _ in agents:
                    if agent_id in around.members:
                        _require_certified(around.members[agent_id], own)
            found = next_list(own.identity, held, wish, agents, now, issuer=own.wire)
            if wish.dry_run:
                return found
            signed = read_revocations(found.wire, own.trust.apart())  # that one is the actors'
            self._signed = self._signed.joined(Revocations([signed]))
            (why,) = self._revoking.take([found.wire])
            if why:
                raise NotSignedError(why)
            return found

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Whoever asks holds a thread of a door, and others are to be answered there."""
        if not self._lock.acquire(timeout=TURN_S):
            raise StatusUnavailable("another change to this issuer's list is under way: ask again")
        try:
            yield
        finally:
            self._lock.release()


def _require_issuer(own: Credentials) -> None:
    """See that this agent may sign a list.

    Raises:
        NotSignedError: it may not.
    """
    if own.certificate.may_issue is None:
        raise NotSignedError(
            f"{own.certificate.name} is no issuer: ask the one that has let the agent in (--at ISSUER), "
            f"or revoke {WITH_AUTHORITY}"
        )
    if refusal := own.trust.refusal(own.certificate):
        raise NotSignedError(f"{refusal}: nobody would take its list; revoke {WITH_AUTHORITY}")


def _require_certified(member: Member, own: Credentials) -> None:
    """See that a list of this issuer means anything to whoever judges this agent.

    Raises:
        NotSignedError: another one has signed its certificate.
    """
    certificate = member.certificate
    who = in_full(member.name, certificate.agent_id)
    issuer = issuer_of(certificate)
    if issuer is None:
        authority = short_signer(certificate.authority)
        raise NotSignedError(
            f"the certificate of {who} was signed by the authority {authority}, not by this issuer: "
            f"revoke it {WITH_AUTHORITY}"
        )
    if issuer.subject != own.identity.public_key:
        other = in_full(issuer.name, issuer.agent_id)
        raise NotSignedError(
            f"the certificate of {who} was signed by the issuer {other}, not by this one: revoke it there "
            f"(--at {issuer.name}), or {WITH_AUTHORITY}"
        )
