"""What an agent is made from."""

from collections.abc import Callable
from typing import Self

import msgspec

from actors.connections.control_end import ServeControl, serve_nobody
from mesh.config.schema import Config
from mesh.connection.key_terms import KeyLimits
from mesh.connection.pair_sessions import PairLimits
from mesh.link.opening import OWN_VERSIONS, Versions
from mesh.link.proof import OWN_FEATURES
from mesh.link.rekeying import RekeyLimits
from mesh.routing.record_reader import RecordReader
from mesh.trust.certificates import Certificate, TrustStore
from mesh.trust.credentials import Credentials
from mesh.trust.identity import Identity
from mesh.trust.revocations import Revocations


def keep_nothing(revocations: Revocations) -> None:
    """Of revocations that are only held in memory."""


class AgentSetup(msgspec.Struct, frozen=True):
    """All that an agent is made from: its configuration and its credentials, judged already."""

    identity: Identity
    certificate: Certificate
    certificate_wire: bytes
    trust: TrustStore
    config: Config
    descriptor_limit: int
    """Of the process: how many files and sockets it may have open."""
    versions: Versions = OWN_VERSIONS
    """Of the link protocol, that it offers; another for an agent that stands for another build."""
    features: tuple[str, ...] = OWN_FEATURES
    rekey_limits: RekeyLimits = RekeyLimits()
    """How long the keys of a link serve."""
    software: str = ""
    """Which version of the software it tells the mesh that it runs; empty tells nothing."""
    connection_keys: KeyLimits = KeyLimits()
    """How long they serve."""
    pair_limits: PairLimits = PairLimits()
    reader: RecordReader = RecordReader()
    serve_control: ServeControl = serve_nobody
    """Answers agents that may manage this one."""
    serve_enrolment: ServeControl = serve_nobody
    """Answers agents that ask for certificates."""
    keep_revocations: Callable[[Revocations], None] = keep_nothing
    """Is told of all revocations whenever there are others than in ``trust``."""
    network: bytes = b""
    """Names the network stack that it runs in; empty if that is not known."""

    def with_credentials(self, credentials: Credentials) -> Self:
        """The same agent with these, which are of its identity."""
        return msgspec.structs.replace(
            self,
            certificate=credentials.certificate,
            certificate_wire=credentials.wire,
            trust=credentials.trust,
        )

    def revoking(self, revocations: Revocations) -> Self:
        """The same agent, which knows of these too."""
        trust = self.trust.revoking(self.trust.revocations.joined(revocations))
        return msgspec.structs.replace(self, trust=trust)

    def joined(self, credentials: Credentials) -> Credentials:
        """The same, with the revocations that this agent knows of; the very same if they have them all."""
        revocations = credentials.trust.revocations.joined(
            self.trust.revocations.under(credentials.trust.authorities)
        )
        if revocations is credentials.trust.revocations:
            return credentials
        return msgspec.structs.replace(credentials, trust=credentials.trust.revoking(revocations))

    @property
    def relays(self) -> bool:
        """Whether others' traffic may pass: both the configuration and the certificate have a say."""
        return self.config.agent.relay and self.certificate.may_relay
