"""What the route table receives, and what it tells its subscribers."""

from typing import TypeAlias

import msgspec

from actors.messages import peer_link as link_messages
from actors.runtime.seam import Ref
from mesh.link.bodies import Digest, WantedList, WantedPages, WirePage, WireRecord
from mesh.routing.granted_offers import GrantedEndpoint, GrantedListener
from mesh.routing.records import EndpointEntry, ListenerEntry
from mesh.routing.routes import RouteSnapshot
from mesh.routing.settings import RoutingSettings
from mesh.trust.certificates import TrustStore
from mesh.trust.credentials import Credentials
from mesh.trust.identity import AgentId, Instance
from mesh.trust.revocations import Revocations


class LinkUp(msgspec.Struct, frozen=True):
    """Fact: ``link`` is the link to this peer from now on."""

    peer_id: AgentId
    instance: Instance
    link: Ref[link_messages.Inbound]
    rtt_s: float


class LinkDown(msgspec.Struct, frozen=True):
    """Fact: this link is gone; it says nothing where another has taken its place."""

    peer_id: AgentId
    link_urn: str


class LinkMeasured(msgspec.Struct, frozen=True):
    """Fact: a ping to this peer came back."""

    peer_id: AgentId
    rtt_s: float


class RecordsArrived(msgspec.Struct, frozen=True, gc=False):
    """Fact: this peer passed on records; nothing of them has been judged."""

    peer_id: AgentId
    records: tuple[WireRecord, ...]


class DigestArrived(msgspec.Struct, frozen=True, gc=False):
    """Fact: this peer says what records it holds."""

    peer_id: AgentId
    digest: Digest


class PagesWanted(msgspec.Struct, frozen=True, gc=False):
    """Fact: this peer asks for pages."""

    peer_id: AgentId
    wanted: tuple[WantedPages, ...]


class PagesArrived(msgspec.Struct, frozen=True, gc=False):
    """Fact: this peer passed on pages; nothing of them has been judged."""

    peer_id: AgentId
    pages: tuple[WirePage, ...]


class RevocationsArrived(msgspec.Struct, frozen=True, gc=False):
    """Fact: this peer passed on revocation lists; nothing of them has been judged."""

    peer_id: AgentId
    lists: tuple[bytes, ...]


class RevocationsWanted(msgspec.Struct, frozen=True, gc=False):
    """Fact: this peer asks for revocation lists."""

    peer_id: AgentId
    wanted: tuple[WantedList, ...]


class TakeRevocations(msgspec.Struct, frozen=True):
    """Command from outside: take these revocation lists, and pass them on.

    The answer is what came of each, ``tuple[str, ...]``: empty where it has been taken or was known, else why
    not.
    """

    lists: tuple[bytes, ...]


class RevocationsChanged(msgspec.Struct, frozen=True):
    """Fact, told to the root: these are all revocations, and others than before."""

    revocations: Revocations


class AdvertiseEndpoint(msgspec.Struct, frozen=True):
    """Command: tell the mesh of ``owner``'s endpoint from now on, or that there is none."""

    owner: str
    """URN of the endpoint's actor."""
    entry: EndpointEntry | GrantedEndpoint | None


class AdvertiseListener(msgspec.Struct, frozen=True):
    """Command: tell the mesh of ``owner``'s listener from now on, or that there is none."""

    owner: str
    """URN of the listener's actor."""
    entry: ListenerEntry | GrantedListener | None


class Advertise(msgspec.Struct, frozen=True):
    """Command to itself: tell the mesh of the endpoints and listeners that have changed."""


class CredentialsChanged(msgspec.Struct, frozen=True):
    """The answer to :class:`ChangeCredentials`: routes that come from now on know nobody who is refused."""

    trust: TrustStore


class ChangeCredentials(msgspec.Struct, frozen=True):
    """Command: show others this, and judge them by it, those that are known already too."""

    credentials: Credentials
    reply_to: Ref[CredentialsChanged]


class ChangeSettings(msgspec.Struct, frozen=True):
    """Command: these are the settings from now on, and whether others' traffic may pass here."""

    settings: RoutingSettings
    relays: bool


class SetDraining(msgspec.Struct, frozen=True):
    """Command: tell the mesh whether to prefer others to this agent."""

    draining: bool


class StopRelaying(msgspec.Struct, frozen=True):
    """Command: tell the mesh to send nothing through this agent any more."""


class Withdrawn(msgspec.Struct, frozen=True):
    """The answer to :class:`Withdraw`: the links have this agent's withdrawal to send."""


class Withdraw(msgspec.Struct, frozen=True):
    """Command: tell the mesh that this agent has left; the last thing it says.

    ``reply_to`` hears once the links have it.
    """

    reply_to: Ref[Withdrawn]


class RoutesChanged(msgspec.Struct, frozen=True, gc=False):
    """Fact, told to subscribers: these are the routes from now on."""

    snapshot: RouteSnapshot


class Subscribe(msgspec.Struct, frozen=True):
    """Command: tell ``subscriber`` of routes, the present ones at once."""

    subscriber: Ref[RoutesChanged]


class GetSnapshot(msgspec.Struct, frozen=True):
    """Question from outside: the answer is a :class:`~mesh.routing.routes.RouteSnapshot`."""


class GetCounts(msgspec.Struct, frozen=True):
    """Question from outside: the answer is a :class:`~mesh.routing.effects.RouteCounts`."""


class GetProblems(msgspec.Struct, frozen=True):
    """Question from outside: what this agent cannot tell the mesh of, as lines for people."""


class GetWarnings(msgspec.Struct, frozen=True):
    """Question from outside: what an operator should look at though all is told, as lines for people."""


class GoOn(msgspec.Struct, frozen=True):
    """Timer: others have had their turn; what waits may be taken."""


class RouteTimerFired(msgspec.Struct, frozen=True):
    """Timer: something may be due."""


FromPeers: TypeAlias = (
    RecordsArrived | DigestArrived | PagesWanted | PagesArrived | RevocationsArrived | RevocationsWanted
)
"""What peers say by their links."""

FromLinks: TypeAlias = LinkUp | LinkDown | FromPeers
"""What links say, which is taken in order."""

Inbound: TypeAlias = (
    FromLinks
    | LinkMeasured
    | TakeRevocations
    | AdvertiseEndpoint
    | AdvertiseListener
    | Advertise
    | ChangeCredentials
    | ChangeSettings
    | SetDraining
    | StopRelaying
    | Withdraw
    | Subscribe
    | GetSnapshot
    | GetCounts
    | GetProblems
    | GetWarnings
    | GoOn
    | RouteTimerFired
)
