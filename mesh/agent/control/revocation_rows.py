"""What the API says of revocations. IDs are whole, in hexadecimal digits."""

from datetime import datetime
from typing import Literal

import msgspec

from mesh.agent.revocation_changes import Became
from mesh.trust.identity import decode_public_key
from mesh.trust.revocations import signer_in_words


class RevocationRow(msgspec.Struct, frozen=True):
    """An agent that was revoked."""

    agent_id: str
    agent: str
    """Its name as whoever revoked it wrote it; may be empty."""
    revoked_at: datetime
    until: datetime
    """When the signer leaves it out of its list; the year 9999 means never."""
    by: Literal["authority", "issuer"]
    signer: str
    """The public key of who has signed, in base64."""
    reason: str

    @property
    def signer_in_words(self) -> str:
        """Who has signed, for people; as the agent tells it, if that is no public key."""
        try:
            return signer_in_words(decode_public_key(self.signer), by_issuer=self.by == "issuer")
        except ValueError:
            return f"{self.by} {self.signer[:8]}"


class ListRow(msgspec.Struct, frozen=True):
    """The newest list of an authority or issuer."""

    signer: str
    """Its public key, in base64."""
    number: int
    revoked: int
    """How many agents are in it."""
    signed: str
    """Its bytes in base64, to be passed on."""


class ChangeRow(msgspec.Struct, frozen=True):
    """An agent that was named, and what has become of it."""

    agent_id: str
    agent: str
    """Its name; empty if it is not known."""
    became: Became


class IssuerChange(msgspec.Struct, frozen=True):
    """The list of the agent that was asked, as an issuer."""

    number: int
    revoked: int
    """How many agents are in it."""
    changes: tuple[ChangeRow, ...]


class Taken(msgspec.Struct, frozen=True):
    """The lists that were given are known now."""

    lists: int
