"""Who is at one end of a connection's session."""

import msgspec

from mesh.trust.identity import AgentId, Instance


class Party(msgspec.Struct, frozen=True):
    """One end of a session, as its signed record describes it."""

    id: AgentId
    instance: Instance
    session_key: bytes
    """X25519 public key."""
