"""What the connection table receives."""

from typing import TypeAlias

import msgspec

from actors.messages.connection import IngressInbound
from actors.messages.peer_link import ForwardingChanged
from actors.messages.route_table import RoutesChanged
from actors.runtime.seam import Ref
from mesh.link.frames import Frame
from mesh.routing.detours import Proof
from mesh.trust.certificates import TrustStore
from mesh.trust.identity import AgentId, Instance
from mesh.trust.policy import Policy


class FramesArrived(msgspec.Struct, frozen=True, gc=False):
    """Fact: frames of connections that end at this agent, in link order."""

    frames: tuple[Frame, ...]
    via: AgentId
    """The peer that they came from; this agent itself if they crossed no link."""


class RegisterIngress(msgspec.Struct, frozen=True):
    """Command: deliver to ``connection`` from now on; the answer is ``connection.IngressRegistered``."""

    connection: Ref[IngressInbound]
    exit_id: AgentId
    exit_instance: Instance
    number: int


class ConnectionEnded(msgspec.Struct, frozen=True):
    """Fact: a connection's end at this agent is gone."""

    remote: AgentId
    connection: int
    is_exit: bool
    farewell: tuple[Frame, ...] = ()
    """The answer to the other end, should it not have heard that both have finished."""


class FarewellsOver(msgspec.Struct, frozen=True, gc=False):
    """Fact: it is time to look which farewells have been kept for long enough."""


class OpensWaiting(msgspec.Struct, frozen=True, gc=False):
    """Fact: OPENs wait for their turn, which comes now."""


class BodiesForged(msgspec.Struct, frozen=True):
    """Fact: bodies of a connection that did not authenticate have been dropped."""

    remote: AgentId
    """The other end's agent, as their headers say."""
    via: AgentId
    """The peer that they came from; none is given for an OPEN, which the table has handed over itself."""
    connection: int
    count: int


class PathFailed(msgspec.Struct, frozen=True):
    """Fact: what a connection's end at this agent sends does not arrive, or its OPEN goes unanswered.

    If there is another first hop, ``connection.PathChanged`` is the answer.
    """

    remote: AgentId
    connection: int
    is_exit: bool


class PathProved(msgspec.Struct, frozen=True):
    """Fact: what it sends arrives, since it was given another first hop."""

    remote: AgentId
    connection: int
    is_exit: bool
    proof: Proof


class PathRetried(msgspec.Struct, frozen=True):
    """Fact: another first hop helped, or time did; this connection would take the usual one again."""

    remote: AgentId
    connection: int
    is_exit: bool


class GetConnectionCounts(msgspec.Struct, frozen=True):
    """Question from outside: the answer is :class:`ConnectionCounts`."""


class ConnectionCounts(msgspec.Struct, frozen=True):
    """How many connections end here."""

    ingress: int
    """Those that stand by for a client to come are none yet."""
    exit: int
    pending_opens: int


class ConnectionsGone(msgspec.Struct, frozen=True):
    """Fact, told to whoever wanted to know: no connection ends here any more."""


class CertificateTimerFired(msgspec.Struct, frozen=True):
    """Timer: the certificate of an agent at the other end of a connection may have ended."""


class PairAgreed(msgspec.Struct, frozen=True):
    """Fact: there is one more pair session, which is to be forgotten in its time."""


class PairTimerFired(msgspec.Struct, frozen=True):
    """Timer: a pair session may be over."""


class ReportEmpty(msgspec.Struct, frozen=True):
    """Command: tell ``reply_to`` once no connection ends here; one that stands by for a client is none."""

    reply_to: Ref[ConnectionsGone]


class TrustChanged(msgspec.Struct, frozen=True):
    """Command: others are judged by this from now on; no routes come any more that were judged otherwise."""

    trust: TrustStore


class PolicyChanged(msgspec.Struct, frozen=True):
    """Fact: this agent's configuration lets others do this from now on."""

    policy: Policy


class ChangeLimits(msgspec.Struct, frozen=True):
    """Command: so many connections may be opening at one time from now on."""

    max_pending_opens: int


class CloseConnections(msgspec.Struct, frozen=True):
    """Command: reset every connection that ends here."""

    reason: str
    """For the log."""


Inbound: TypeAlias = (
    FramesArrived
    | RegisterIngress
    | ConnectionEnded
    | FarewellsOver
    | OpensWaiting
    | BodiesForged
    | PathFailed
    | PathProved
    | PathRetried
    | GetConnectionCounts
    | CertificateTimerFired
    | PairAgreed
    | PairTimerFired
    | ReportEmpty
    | TrustChanged
    | PolicyChanged
    | ChangeLimits
    | CloseConnections
    | ForwardingChanged
    | RoutesChanged
)
