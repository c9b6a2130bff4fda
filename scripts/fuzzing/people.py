"""Two agents and their authority, for whatever target needs somebody to speak to."""

from typing import Final

from mesh.connection.session_handshake import Party
from mesh.trust.certificates import TrustStore, issue_certificate
from mesh.trust.identity import Identity, Instance
from mesh.trust.noise.primitives import key_pair

UNIX_NOW: Final = 10**9
AUTHORITY: Final = Identity(b"\1" * 32)
ME: Final = Identity(b"\2" * 32)
YOU: Final = Identity(b"\3" * 32)
THEM: Final = Identity(b"\4" * 32)


def certificate_of(identity: Identity, name: str, authority: Identity = AUTHORITY) -> bytes:
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
    )


def believe(public_key: bytes, context: bytes, message: bytes, signature: bytes) -> None:
    """A check of signatures that finds each genuine: what a fuzzer makes up gets past it."""


MY_CERTIFICATE: Final = certificate_of(ME, "me")
YOUR_CERTIFICATE: Final = certificate_of(YOU, "you")
THEIR_CERTIFICATE: Final = certificate_of(THEM, "them")
STRICT: Final = TrustStore([AUTHORITY.public_key])


def gullible() -> TrustStore:
    """A store that takes every signature of the authority for genuine."""
    return TrustStore([AUTHORITY.public_key], verify=believe)


INGRESS: Final = Party(ME.id, Instance(b"\x1e" * 16), key_pair(b"\x1e" * 32).public)
EXIT: Final = Party(YOU.id, Instance(b"\x28" * 16), key_pair(b"\x28" * 32).public)
