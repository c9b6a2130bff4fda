"""What an agent shows others, and what it judges them by."""

import msgspec

from mesh.trust.certificates import Certificate, TrustStore
from mesh.trust.identity import Identity


class Credentials(msgspec.Struct, frozen=True):
    """Of one agent, judged already: its certificate is of its key, and admitted by its own store."""

    identity: Identity
    wire: bytes
    """Its certificate, as it goes to peers."""
    certificate: Certificate
    """The same, read."""
    trust: TrustStore
