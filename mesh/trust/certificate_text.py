"""Certificates in files: base64 between two marker lines, as in RFC 7468."""

import base64
import binascii
import textwrap
from typing import Final

from mesh.errors import TrustError
from mesh.trust.certificates import read_certificate

BEGIN_CERTIFICATE: Final = "-----BEGIN MESH CERTIFICATE-----"
"""The line before a certificate in a file."""
_END: Final = "-----END MESH CERTIFICATE-----"
_LINE_CHARACTERS: Final = 64
"""As RFC 7468 has it."""


def certificate_to_text(wire: bytes) -> str:
    """A certificate's wire bytes as text for a file: base64 between two marker lines, as in RFC 7468."""
    lines = textwrap.wrap(base64.b64encode(wire).decode(), _LINE_CHARACTERS)
    return "\n".join((BEGIN_CERTIFICATE, *lines, _END, ""))


def certificate_from_text(text: str) -> bytes:
    """The wire bytes of the one certificate in ``text``; what stands around it is ignored.

    The certificate is well-formed, but nothing is said about its signature or validity.

    Raises:
        ValueError: there is no certificate, or more than one, or it is damaged.
    """
    lines = [line.strip() for line in text.splitlines()]
    if BEGIN_CERTIFICATE not in lines:
        raise ValueError(f"expected a certificate that starts with the line {BEGIN_CERTIFICATE!r}")
    if lines.count(BEGIN_CERTIFICATE) > 1:
        raise ValueError("expected one certificate, found several")
    start = lines.index(BEGIN_CERTIFICATE) + 1
    if _END not in lines[start:]:
        raise ValueError(f"the certificate is cut off: expected a line {_END!r}")
    content = "".join(lines[start : lines.index(_END, start)])
    try:
        wire = binascii.a2b_base64(content, strict_mode=True)
    except ValueError:  # binascii.Error, and text that is not ASCII
        raise ValueError(
            "the certificate is damaged: between its markers stands something but base64"
        ) from None
    try:
        read_certificate(wire)
    except TrustError as error:
        raise ValueError(str(error)) from None
    return wire
