"""What authorities and issuers of a simulated mesh sign: certificates, and revocation lists."""

from typing import Final

from actors.runtime.virtual.world import UNIX_START_S
from mesh.trust.certificates import issue_certificate
from mesh.trust.issuing import IssuingLimits
from mesh.trust.revocations import Revocation, next_number, sign_list
from scripts.simulation.policies.law import Grant, Listing
from scripts.simulation.world import MeshWorld

LONG_S: Final = 1_000_000
"""Certificates that are not to end in a run are valid for so long."""

ISSUER_LIMITS: Final = IssuingLimits(
    longest_s=2 * LONG_S, may_register=("*",), may_use=("*",), may_relay=True, groups=("*",)
)


class Signing:
    """Signs for everybody who may.

    Args:
        mesh: whose agents, authorities and time these are.
    """

    def __init__(self, mesh: MeshWorld) -> None:
        self._mesh = mesh
        self._numbers: dict[str, int] = {}
        """Of the newest list of each signer."""

    def certificate(self, grant: Grant) -> bytes:
        """The wire bytes of a certificate that begins now."""
        mesh = self._mesh
        return issue_certificate(
            mesh.identity(grant.issuer or grant.authority),
            subject=mesh.identity(grant.agent).public_key,
            name=grant.name,
            not_before=int(UNIX_START_S + mesh.world.now()),
            not_after=int(UNIX_START_S + grant.ends_at),
            may_register=grant.register,
            may_use=grant.use,
            may_relay=grant.relays,
            groups=grant.groups,
            issuer=self._issuer(grant.issuer, grant.authority) if grant.issuer else b"",
        )

    def revocations(self, signer: str, listing: Listing) -> bytes:
        """The wire bytes of a list of ``signer``, which is newer than all that it has signed before."""
        mesh = self._mesh
        unix_s = UNIX_START_S + mesh.world.now()
        number = self._numbers[signer] = next_number(self._numbers.get(signer, 0), unix_s)
        entries = [Revocation(mesh.id_of(name), int(unix_s), name=name) for name in sorted(listing.revoked)]
        issuer = b"" if signer == listing.authority else self._issuer(signer, listing.authority)
        return sign_list(mesh.identity(signer), number, entries, issuer=issuer)

    def _issuer(self, issuer: str, authority: str) -> bytes:
        return issue_certificate(
            self._mesh.identity(authority),
            subject=self._mesh.identity(issuer).public_key,
            name=issuer,
            not_before=int(UNIX_START_S) - 1,
            not_after=int(UNIX_START_S) + 2 * LONG_S,
            may_issue=ISSUER_LIMITS,
        )
