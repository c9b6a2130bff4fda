"""Reads revocation lists that others sent: judges who may have signed them, and then whether they have."""

from mesh.errors import ForgedCertificateError, TrustError
from mesh.trust.certificates import TrustStore
from mesh.trust.identity import short_id
from mesh.trust.revocations import SignedList, head_of, short_signer, verified_list


def read_revocations(wire: bytes, trust: TrustStore) -> SignedList:
    """The revocation list in ``wire``, if an authority that is trusted signed it, or an issuer of one.

    Raises:
        TrustError: whoever it names as its signer is neither, or was revoked.
        RemoteProtocolError: it is no list, or that one has not signed it.
    """
    head = head_of(wire)
    if not head.issuer:
        if head.signer not in trust.authorities:
            who = short_signer(head.signer)
            raise TrustError(f"a revocation list of the authority {who}, which this agent does not trust")
        return verified_list(wire, head.signer, trust.verify)
    issuer = trust.known(head.issuer)
    if refusal := trust.refusal(issuer):
        raise TrustError(f"a revocation list of an issuer: {refusal}")
    if issuer.may_issue is None or issuer.subject != head.signer:
        raise ForgedCertificateError(
            f"a revocation list that is said to be of the issuer {issuer.name!r} "
            f"({short_id(issuer.agent_id)}), which it is not"
        )
    return verified_list(wire, issuer.authority, trust.verify)
