"""The certificate that the tests of certificates look at, and who has signed it."""

from typing import Any

import msgspec

from mesh.trust.certificates import issue_certificate, read_certificate
from mesh.trust.identity import CERTIFICATE_CONTEXT, Identity, short_id

AUTHORITY = Identity(bytes([1]) * 32)
FOREIGN_AUTHORITY = Identity(bytes([2]) * 32)
AGENT = Identity(bytes([3]) * 32)
START, NOON, END = 1_700_000_000, 1_700_040_000, 1_700_086_400
SHORT_ID = short_id(AGENT.id)


def issue(authority: Identity = AUTHORITY, **changes: Any) -> bytes:
    fields: dict[str, Any] = {
        "subject": AGENT.public_key,
        "name": "branch",
        "not_before": START,
        "not_after": END,
        "may_register": ("db-*", "api"),
        "may_use": ("*",),
        "may_relay": True,
    }
    return issue_certificate(authority, **(fields | changes))


WIRE = issue()


def sign(body: bytes, context: bytes = CERTIFICATE_CONTEXT) -> bytes:
    """A certificate whose signature is good, whatever its body is."""
    return AUTHORITY.sign(context, body) + body


def altered(**changes: Any) -> bytes:
    """A certificate with fields that :func:`issue_certificate` would refuse, and a good signature."""
    fields = msgspec.structs.asdict(read_certificate(WIRE)) | changes
    return sign(msgspec.msgpack.encode(list(fields.values())))
