"""What an agent is made from, and what it calls those of its parts that report to it."""

import msgspec

from mesh.addresses import TcpAddress
from mesh.config.schema import Config
from mesh.link.opening import OWN_VERSIONS, Versions
from mesh.link.proof import OWN_FEATURES
from mesh.routing.record_reader import RecordReader
from mesh.trust.certificates import Certificate, TrustStore
from mesh.trust.identity import Identity


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
    reader: RecordReader = RecordReader()

    @property
    def relays(self) -> bool:
        """Whether others' traffic may pass: both the configuration and the certificate have a say."""
        return self.config.agent.relay and self.certificate.may_relay


def endpoint_name(key: str) -> str:
    """The only endpoint with this name: an agent offers a key once."""
    return f"endpoint {key}"


def acceptor_name(address: TcpAddress, number: int) -> str:
    """The only acceptor with this name; it is the ``number``-th of the configuration, from 1."""
    return f"acceptor {address}{_nth(address, number)}"


def listener_name(key: str, address: TcpAddress, number: int) -> str:
    """The only listener with this name; it is the ``number``-th of the configuration, from 1."""
    return f"listener {key} {address}{_nth(address, number)}"


def _nth(address: TcpAddress, number: int) -> str:
    # Where the system chooses the port, several may have key and address in common.
    return "" if address.port else f" ({number})"
