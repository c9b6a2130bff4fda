"""What all tunneled connections of an agent share, and how their local sockets are set up."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from actors.messages.connection import IngressInbound
from actors.runtime.seam import KeepAlive, Ref, SocketOptions
from mesh.addresses import TcpAddress
from mesh.config.schema import Config, EndpointSection
from mesh.connection.connection_numbers import ConnectionNumbers
from mesh.connection.door import Door
from mesh.connection.early_data import HeardExits
from mesh.connection.key_stock import KeyStock
from mesh.connection.key_terms import KeyTerms
from mesh.connection.loops import LoopWatch
from mesh.connection.pair_sessions import PairSessions
from mesh.connection.party import Party
from mesh.connection.session import Session
from mesh.connection.shares import Shares
from mesh.connection.stream import INITIAL_WINDOW_BYTES, ResetCode, Stream, StreamBudget
from mesh.trust.identity import AgentId
from mesh.trust.noise.primitives import KeyPair, SharedSecrets
from mesh.trust.policy import Policy

KEEP_ALIVE: Final = KeepAlive(idle_s=15, interval_s=15, probes=3)
"""A client or target that has lost its network is noticed after a minute; one that lives answers a probe of
some 60 bytes every 15 s, and is never cut."""

NOT_SENT_BYTES: Final = 256 * 1024
"""What may wait unsent in the kernel for one client or target. Without it a client that does not read held
4.2 MB there, out of sight of every limit."""

CONNECTION_SOCKET_OPTIONS: Final = SocketOptions(
    not_sent_low_water_bytes=NOT_SENT_BYTES,
    reset_if_abandoned=True,
    urgent_in_line=True,
    keep_alive=KEEP_ALIVE,
    leaves_spare=True,
)
"""Of the sockets of clients and targets."""

RESET_MEANINGS: Final = MappingProxyType(
    {
        ResetCode.RESET: "the socket at the other end was reset",
        ResetCode.CANCELLED: "the other end has given it up, or its agent is leaving",
        ResetCode.TIMED_OUT: "the ends have not heard from each other for too long",
        ResetCode.GONE: "the other end's agent does not know it",
        ResetCode.NO_PROGRESS: "what is sent has not arrived for too long, though the ends hear each other",
        ResetCode.PROTOCOL_ERROR: "one of the ends broke the protocol",
        ResetCode.FORBIDDEN: "it is not allowed any more, by what the other end's agent knows",
        ResetCode.NO_NEW_KEYS: "the other end does not agree on new keys",
        ResetCode.CLOSED_BY_OPERATOR: "an operator has closed it at the other end",
    }
)
"""For logs. The other end's code and the stream's own verdict on it are not told apart."""


PLAIN: Final = EndpointSection(key="", target=TcpAddress("", 0))


class ConnectionSettings(msgspec.Struct, frozen=True):
    """What all connections of an agent share."""

    party: Party
    """This agent as one end of a session."""
    static: KeyPair
    """The Noise static key of this instance's sessions."""
    shared: SharedSecrets
    """Its secrets."""
    budget: StreamBudget
    numbers: ConnectionNumbers
    ephemerals: KeyStock
    pairs: PairSessions
    terms: KeyTerms
    """For the new keys of connections that last."""
    config: Config
    policy: Policy
    """When the connection began."""
    doors: Mapping[str, Door]
    """Those of the endpoints here, by key."""
    special: Mapping[str, EndpointSection]
    """By key: the endpoints whose targets learn who connects."""
    places: Shares[AgentId]
    """Of connections to targets, whichever endpoint they are of, by ingress: each holds a descriptor."""
    loops: LoopWatch[Ref[IngressInbound]] = msgspec.field(default_factory=LoopWatch)
    heard: HeardExits = msgspec.field(default_factory=HeardExits)
    """When those that it has asked were heard."""
    source_secret: bytes = b""
    """By which agents' addresses towards targets are drawn."""
    own_label: str = ""
    """This agent, as logs name agents."""
    network: bytes = b""
    """Names the network stack that its sockets are in; empty if that is not known."""

    def config_of(self, key: str) -> EndpointSection:
        """How the endpoint of ``key`` treats its target; of a reserved key, as if nothing was said of it."""
        return self.special.get(key, PLAIN)

    def stream(
        self, session: Session, send_credit: int, now: float, credit: int = INITIAL_WINDOW_BYTES
    ) -> Stream:
        """The stream of a connection: what the other end takes at first, and this one, in bytes."""
        timeouts = self.config.connections
        return Stream(
            session=session,
            send_credit=send_credit,
            credit=credit,
            budget=self.budget,
            reroute_timeout_s=timeouts.reroute_timeout_s,
            idle_probe_s=timeouts.idle_probe_s,
            terms=self.terms,
            opened_at=now,
        )
