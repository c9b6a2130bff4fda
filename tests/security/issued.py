"""Certificates of issuers and of those they let in, also such as no honest issuer signs."""

import msgspec

from mesh.trust.certificates import issue_certificate, read_certificate
from mesh.trust.identity import CERTIFICATE_CONTEXT, SIGNATURE_BYTES

DAY_S = 86_400


def issuers(authority, owner, limits, *, now):
    """That of an issuer, as wire bytes."""
    return issue_certificate(
        authority,
        subject=owner.public_key,
        name="issuer",
        not_before=now - DAY_S,
        not_after=now + 30 * DAY_S,
        may_issue=limits,
    )


def issued(issuer, wire, subject, *, now, **says):
    """One that an issuer may sign."""
    return issue_certificate(
        issuer,
        subject=subject.public_key,
        **({"name": "mallory", "not_before": now, "not_after": now + DAY_S} | says),
        issuer=wire,
    )


def changed(wire, signer=None, **says):
    """A certificate that says something else, signed by ``signer``, or as it was."""
    fields = msgspec.structs.asdict(read_certificate(wire)) | says
    body = msgspec.msgpack.encode(list(fields.values()))
    signature = wire[:SIGNATURE_BYTES] if signer is None else signer.sign(CERTIFICATE_CONTEXT, body)
    return signature + body
