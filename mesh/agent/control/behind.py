"""What lies behind the API: whom its routes ask, and whom they tell what to do."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from actors.messages.connection import EndInbound
from actors.runtime.seam import Ref
from mesh.agent.control.calling import Calling, NotCalling
from mesh.agent.control.revoking import NotRevoking, Revoking
from mesh.agent.control.steering import Steering
from mesh.agent.dashboard.single_flight import Answer
from mesh.agent.dashboard.stamps import Stamp
from mesh.agent.dashboard.status import DashboardSnapshot
from mesh.agent.diagnosis.asking import Diagnosing, Undiagnosed
from mesh.agent.enrolment.inviting import Inviting, NoInviting
from mesh.agent.enrolment.renewal import renew_nothing
from mesh.agent.issuer_list import Around, revoke_nobody
from mesh.agent.revocation_changes import NextList, Wish
from mesh.auditing import NOT_AUDITING, Auditing
from mesh.connection.open_connections import OpenConnections
from mesh.journal import Journal
from mesh.routing.pairings import Pairings
from mesh.trust.certificates import Certificate


@dataclass(frozen=True, slots=True)
class Behind:
    """Handed to whoever makes routes."""

    steering: Steering
    """Changes the agent."""
    status: Callable[[], Answer[DashboardSnapshot]]
    """What the actors say, which all who ask at the same time share.

    Raises :class:`~mesh.agent.dashboard.status.StatusUnavailable` if they say nothing.
    """
    pairings: Callable[[DashboardSnapshot], Pairings]
    """Who reaches whom by one such answer."""
    journal: Journal = field(default_factory=Journal)
    """What has happened."""
    open_connections: OpenConnections[Ref[EndInbound]] = field(default_factory=OpenConnections)
    """Those that end here, to be asked and closed."""
    calling: Calling = field(default_factory=NotCalling)
    """Asks other agents."""
    revoking: Revoking = field(default_factory=NotRevoking)
    """Passes revocation lists on."""
    revoke: Callable[[Wish, Around], NextList] = revoke_nobody
    """Revokes whom this agent has let in; see :meth:`mesh.agent.issuer_list.IssuerList.change`."""
    diagnosing: Diagnosing = field(default_factory=Undiagnosed)
    """Finds out whether agents and services can be reached."""
    audit: Auditing = NOT_AUDITING
    """Where it is written down who had what changed."""
    audit_dir: Path | None = None
    """Where the files of that are."""
    inviting: Inviting | NoInviting = field(default_factory=NoInviting)
    """Lets agents in."""
    renew: Callable[[str], Certificate] = renew_nothing
    """Renews this agent's certificate; see :meth:`mesh.agent.enrolment.renewal.Renewer.renew`."""
    asked: Callable[[], Stamp] = field(default=lambda: Stamp(None))
    """What ``status`` would answer is made of."""
    changed: Callable[[], None] = field(default=lambda: None)
    """Has ``status`` ask anew, for something has been changed."""

    def stamp(self) -> Stamp:
        """What an answer is made of that tells of ``status`` and what is desired, and of nothing else."""
        return Stamp(self.asked().at, self.steering.desired().revision)
