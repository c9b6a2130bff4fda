"""Two agents and their authority, for whatever target needs somebody to speak to."""

from typing import Final

from mesh.connection.party import Party
from mesh.trust.certificates import TrustStore, issue_certificate
from mesh.trust.identity import Identity, Instance
from mesh.trust.issuing import IssuingLimits
from mesh.trust.noise.primitives import key_pair

UNIX_NOW: Final = 10**9
AUTHORITY: Final = Identity(b"\1" * 32)
ME: Final = Identity(b"\2" * 32)
YOU: Final = Identity(b"\3" * 32)
THEM: Final = Identity(b"\4" * 32)


def certificate_of(
    identity: Identity, name: str, authority: Identity = AUTHORITY, *, issuing: IssuingLimits | None = None
) -> bytes:
    """One that grants everything, as wire bytes."""
    return issue_certificate(
        authority,
        subject=identity.public_key,
        name=name,
        not_before=1000,
        not_after=2 * 10**9,
        may_register=("*",),
        may_use=("*",),
        may_relay=True,
        may_issue=issuing,
    )


def believe(public_key: bytes, context: bytes, message: bytes, signature: bytes) -> None:
    """A check of signatures that finds each genuine: what a fuzzer makes up gets past it."""


MY_CERTIFICATE: Final = certificate_of(ME, "me")
YOUR_CERTIFICATE: Final = certificate_of(YOU, "you")
THEIR_CERTIFICATE: Final = certificate_of(THEM, "them")
THEIR_LIMITS: Final = IssuingLimits(10**9, ("postgres-*",), ("a*", "*b"), groups=("staff",))
THEIR_ISSUER: Final = certificate_of(THEM, "them", issuing=THEIR_LIMITS)
ISSUED_CERTIFICATE: Final = issue_certificate(
    THEM,
    subject=YOU.public_key,
    name="issued",
    not_before=1000,
    not_after=10**9 + 999,
    may_register=("postgres-?",),
    may_use=("a*a?", "b"),
    groups=("staff",),
    issuer=THEIR_ISSUER,
)
"""Of one that an issuer lets in."""
STRICT: Final = TrustStore([AUTHORITY.public_key])


def gullible() -> TrustStore:
    """A store that takes every signature of the authority for genuine."""
    return TrustStore([AUTHORITY.public_key], verify=believe)


INGRESS: Final = Party(ME.id, Instance(b"\x1e" * 16), key_pair(b"\x1e" * 32).public)
EXIT: Final = Party(YOU.id, Instance(b"\x28" * 16), key_pair(b"\x28" * 32).public)

MY_SESSION: Final = key_pair(b"\x1f" * 32)
YOUR_SESSION: Final = key_pair(b"\x29" * 32)
