"""What an issuer signs: certificates within the limits of its own."""

from mesh.trust.certificates import issue_certificate
from mesh.trust.credentials import Credentials
from mesh.trust.issuing import IssuingLimits, Passing


class NotIssuedError(Exception):
    """There is no certificate; the text says why, for people."""


def limits_of(own: Credentials) -> IssuingLimits:
    """What this agent may grant.

    Raises:
        NotIssuedError: it may not let anybody in.
    """
    limits = own.certificate.may_issue
    if limits is None:
        raise NotIssuedError(
            f"{own.certificate.name} is no issuer; whoever has the authority's key makes it one with "
            "mesh certificate sign --issue, or the right issue of mesh init"
        )
    if refusal := own.trust.refusal(own.certificate):
        raise NotIssuedError(f"{refusal}: nobody would let in whom it lets in")
    return limits


def issued(
    own: Credentials,
    subject: bytes,
    name: str,
    granted: Passing,
    *,
    valid_s: int,
    now: float,
    is_invitation: bool = False,
) -> bytes:
    """A certificate that ``own`` signs, valid from now on and no longer than its own.

    Raises:
        NotIssuedError: it may not.
    """
    start = max(int(now), own.certificate.not_before)
    try:
        return issue_certificate(
            own.identity,
            subject=subject,
            name=name,
            not_before=start,
            not_after=min(start + valid_s, own.certificate.not_after),
            may_register=granted.register,
            may_use=granted.use,
            may_relay=granted.relay,
            may_manage=granted.manage,
            groups=granted.groups,
            issuer=own.wire,
            is_invitation=is_invitation,
        )
    except ValueError as error:
        raise NotIssuedError(str(error)) from None
