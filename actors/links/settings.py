"""What all links of an agent share."""

from typing import Final

import msgspec

from actors.links.budgets import PeerBudgets
from actors.messages import connection_table as connection_table_messages
from actors.messages import peer_directory as directory_messages
from actors.messages import route_table as route_table_messages
from actors.runtime.seam import Ref, SocketOptions
from mesh.config.schema import Config
from mesh.link.opening import OWN_VERSIONS, Versions
from mesh.link.proof import OWN_FEATURES
from mesh.link.relay_budget import RelayBudget
from mesh.trust.certificates import TrustStore
from mesh.trust.identity import Identity, Instance
from mesh.trust.noise.primitives import KeyPair

NOT_SENT_BYTES: Final = 128 * 1024
LEAST_NOT_SENT_BYTES: Final = 16 * 1024
LINK_SOCKET_OPTIONS: Final = SocketOptions(no_delay=True, not_sent_low_water_bytes=LEAST_NOT_SENT_BYTES)
"""Queues form in the send queue, where they are seen and marked, not in the kernel; only of a link that has
shown to be fast more than the latter waits there, and no more than the former."""


class LinkSettings(msgspec.Struct, frozen=True):
    """What every link of an agent shares."""

    identity: Identity
    certificate: bytes
    """This agent's certificate, wire bytes."""
    instance: Instance
    static: KeyPair
    """The Noise static key of this instance's links."""
    trust: TrustStore
    relay_budget: RelayBudget
    """Of all links, for data that waits."""
    config: Config
    budgets: PeerBudgets
    """What each peer may have its links bring."""
    handshake_timeout_s: float = 10.0
    versions: Versions = OWN_VERSIONS
    """Of the link protocol, that this agent offers."""
    features: tuple[str, ...] = OWN_FEATURES
    mark_bytes: int = 256 * 1024
    """Queue depth above which data frames are marked."""


class LinkRefs(msgspec.Struct, frozen=True):
    """The actors that a link sends messages to."""

    directory: Ref[directory_messages.Inbound]
    route_table: Ref[route_table_messages.Inbound]
    connection_table: Ref[connection_table_messages.Inbound]
