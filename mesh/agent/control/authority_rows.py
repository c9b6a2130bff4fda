"""What the API says of authorities, and of certificates that are renewed."""

import msgspec


class SignedRow(msgspec.Struct, frozen=True):
    """Agents whose certificates an authority has signed itself, or one of its issuers."""

    issuer_id: str | None
    """The issuer; ``null`` if the authority has signed itself."""
    issuer: str | None
    """Its name."""
    agents: int
    names: tuple[str, ...]
    """Some of these, in their order."""


class AuthorityRow(msgspec.Struct, frozen=True):
    """An authority that the agent trusts."""

    authority: str
    """Its public key."""
    is_own: bool
    """Whether the agent's own certificate is of this one."""
    agents: int
    """Of the mesh, as far as they are known here, that have a certificate of it."""
    signed: tuple[SignedRow, ...]
    """The same by who has signed; the authority itself first, then issuers by name."""


class RenewedRow(msgspec.Struct, frozen=True):
    """A certificate that an agent has got in the place of its own."""

    agent: str
    issuer: str
    authority: str
    """Public key of the authority of both."""
    not_after: int
    """Unix seconds."""
