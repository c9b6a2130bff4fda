"""What all links of an agent share."""

from typing import Final

import msgspec

from actors.links.budgets import PeerBudgets
from actors.messages import connection_table as connection_table_messages
from actors.messages import peer_directory as directory_messages
from actors.messages import route_table as route_table_messages
from actors.runtime.seam import Ref, SocketOptions
from mesh.config.schema import Config
from mesh.link.handshake import LinkHandshake
from mesh.link.opening import OWN_VERSIONS, Versions
from mesh.link.proof import OWN_FEATURES
from mesh.link.rekeying import KeySource
from mesh.link.relay_budget import RelayBudget
from mesh.trust.certificates import TrustStore
from mesh.trust.identity import AgentId, Identity, Instance

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
    trust: TrustStore
    relay_budget: RelayBudget
    """Of all links, for data that waits."""
    config: Config
    budgets: PeerBudgets
    """What each peer may have its links bring."""
    key_source: KeySource
    """New keys for links that are up come from it."""
    handshake_timeout_s: float = 10.0
    versions: Versions = OWN_VERSIONS
    """Of the link protocol, that this agent offers."""
    features: tuple[str, ...] = OWN_FEATURES
    mark_bytes: int = 256 * 1024
    """Queue depth above which data frames are marked."""

    def handshake(self, *, is_dialer: bool, expected: AgentId | None, ticket: bytes) -> LinkHandshake:
        """That of a new link; the rest is what :class:`LinkHandshake` says."""
        return LinkHandshake(
            initiator=is_dialer,
            identity=self.identity,
            certificate=self.certificate,
            instance=self.instance,
            static=self.key_source.static,
            ephemeral=self.key_source.fresh(),
            trust=self.trust,
            expected=expected,
            ticket=ticket,
            versions=self.versions,
            features=self.features,
        )


class LinkRefs(msgspec.Struct, frozen=True):
    """The actors that a link sends messages to."""

    directory: Ref[directory_messages.Inbound]
    route_table: Ref[route_table_messages.Inbound]
    connection_table: Ref[connection_table_messages.Inbound]
