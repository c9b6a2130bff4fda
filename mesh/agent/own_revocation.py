"""What an agent that was revoked is told."""

from typing import Final

from mesh.agent.findings import Finding, FindingKind
from mesh.trust.certificates import Certificate
from mesh.trust.revocations import Revoked

NEW_IDENTITY: Final = (
    "if it is to come back, give it a new identity: stop it, and have it join by a new token in another "
    "folder (mesh invite at the issuer, mesh join here), or move identity.key out of its data directory and "
    "have a certificate signed for the key that it makes then; if it was a mistake, whoever did it lets "
    "it in again: mesh revoke --undo"
)
NEW_CERTIFICATE: Final = "have a certificate signed by the authority, or by another issuer"


def revocation_finding(certificate: Certificate, revoked: Revoked) -> Finding:
    """That the agent with this certificate, or its issuer, was revoked."""
    is_own = revoked.agent_id == certificate.agent_id
    what = f"{'this agent' if is_own else 'the issuer of this agent'} {revoked}: nobody lets it in"
    remedy = NEW_IDENTITY if is_own else NEW_CERTIFICATE
    return Finding(FindingKind.REVOKED, what, remedy, revoked.revocation.revoked_at)
