"""The errors of the protocol, sorted by whose fault they are and what they cost."""


class MeshError(Exception):
    """Base of every error this package raises on purpose."""


class LocalProtocolError(MeshError):
    """This agent's own code broke the protocol: a bug, never the peer's doing."""


class RemoteProtocolError(MeshError):
    """The other side broke the protocol: it loses its link, never the agent."""


class AuthenticationError(RemoteProtocolError):
    """Bytes that do not authenticate: forged, damaged, or sealed with another key."""


class OvertakenError(MeshError):
    """Authentic, but a newer one came before it, or it comes again: nobody's fault, and dropped."""


class TrustError(RemoteProtocolError):
    """A certificate that admits nobody; the text says which certificate and why."""


class NotYetValidError(TrustError):
    """A certificate whose validity has not begun, by the clock of whoever judges it."""


class ExpiredError(TrustError):
    """A certificate whose validity has ended, by the clock of whoever judges it."""


class ForgedCertificateError(TrustError):
    """A certificate that names an authority which is trusted and has not signed it: nobody passes it on."""


class RevokedError(TrustError):
    """A certificate of an agent that was revoked, or its issuer was.

    Args:
        text: for people.
        proof: the signed list that says so.
        revoked_id: the ID that is in the list.
    """

    def __init__(self, text: str, proof: bytes, revoked_id: bytes) -> None:
        super().__init__(text)
        self.proof = proof
        self.revoked_id = revoked_id


class OwnIdentityError(RemoteProtocolError):
    """The peer has proven this agent's own identity, and is another process."""


class UnexpectedPeerError(RemoteProtocolError):
    """The other side is well proven, and is another agent than the one that was meant."""
