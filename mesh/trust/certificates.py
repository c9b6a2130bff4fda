"""Who may take part: certificates that an authority signs, and the store that judges them.

Wire form of a certificate, at most 2048 bytes:

    signature   64 bytes   Ed25519, by the authority, over the body with CERTIFICATE_CONTEXT
    body        the rest    MessagePack array of the fields of :class:`Certificate`, in their order

No certificate means no link, and no route to its owner's endpoints.
"""

import base64
import binascii
import textwrap
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Annotated, Final

import msgspec

from mesh.errors import (
    AuthenticationError,
    ExpiredError,
    ForgedCertificateError,
    NotYetValidError,
    TrustError,
)
from mesh.trust.extensions import Extensions, check_extensions
from mesh.trust.identity import (
    CERTIFICATE_CONTEXT,
    PUBLIC_KEY_BYTES,
    SIGNATURE_BYTES,
    AgentId,
    Identity,
    SignatureCheck,
    agent_id_of,
    short_id,
    verify_signature,
)

MAX_CERTIFICATE_BYTES: Final = 2048
"""Every record and every link opening carries one, and a mesh of hundreds holds hundreds."""

MAX_NAME_CHARACTERS: Final = 64
MAX_PATTERN_CHARACTERS: Final = 255

NOT_BEFORE_TOLERANCE_S: Final = 300
"""How early a certificate is accepted: it is issued on one machine and used on another within minutes, and
clocks differ that much. Expiry has no tolerance: to accept late would stretch what the authority granted."""

CERTIFICATE_POLL_S: Final = 60.0
"""Certificates end by the wall clock, which may be set; so who waits for that looks at least this often."""

MAX_UNIX_S: Final = 253_402_300_799
"""The last second of the year 9999, so that every time can be shown."""

MAX_REMEMBERED: Final = 4096
"""Certificates whose signature a store remembers to have checked: several times a large mesh. Only what an
authority signed gets in; a usual one takes 1 KiB here, the longest possible 5 KiB."""

BEGIN_CERTIFICATE: Final = "-----BEGIN MESH CERTIFICATE-----"
"""The line before a certificate in a file."""
_END: Final = "-----END MESH CERTIFICATE-----"
_LINE_CHARACTERS: Final = 64
"""As RFC 7468 has it."""

_PublicKey = Annotated[
    bytes, msgspec.Meta(min_length=PUBLIC_KEY_BYTES, max_length=PUBLIC_KEY_BYTES, description="Ed25519")
]
_UnixSeconds = Annotated[int, msgspec.Meta(ge=0, le=MAX_UNIX_S)]
_Pattern = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_PATTERN_CHARACTERS)]


class Certificate(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What an authority says of an agent. Times are Unix seconds; patterns know ``*`` and ``?`` only.

    Unknown fields are refused: a field that this version does not know might take away what the others grant.
    What a later version adds it puts into the extensions, which say whether that is so.
    """

    subject: _PublicKey
    """The agent's Ed25519 public key."""
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_CHARACTERS)]
    not_before: _UnixSeconds
    not_after: _UnixSeconds
    """Valid while the clock shows less than this."""
    may_register: tuple[_Pattern, ...]
    """Routing keys that the agent may offer endpoints for."""
    may_use: tuple[_Pattern, ...]
    """Routing keys that the agent may open connections to."""
    may_relay: bool
    """Whether others' connections may pass through the agent."""
    may_manage: bool
    """Whether the agent may manage other agents."""
    authority: _PublicKey
    """The Ed25519 public key that signed."""
    extensions: Extensions = ()
    """What this version does not know."""

    @property
    def agent_id(self) -> AgentId:
        """The ID of the agent this certificate is for."""
        return agent_id_of(self.subject)

    def allows_register(self, key: str) -> bool:
        """Whether the agent may offer an endpoint for the routing key ``key``."""
        return any(_matches(key, pattern) for pattern in self.may_register)

    def allows_use(self, key: str) -> bool:
        """Whether the agent may open connections to the routing key ``key``."""
        return any(_matches(key, pattern) for pattern in self.may_use)


class TrustStore:
    """Judges certificates against the authorities of this mesh.

    A signature is checked once and remembered for as long as there is room; validity is judged every time.

    Args:
        authorities: Ed25519 public keys of 32 bytes; with none, nobody is admitted.
        verify: checks one signature; a simulation may pass a check that remembers.

    Raises:
        ValueError: an authority is not 32 bytes.
    """

    def __init__(self, authorities: Sequence[bytes], *, verify: SignatureCheck = verify_signature) -> None:
        for authority in authorities:
            if len(authority) != PUBLIC_KEY_BYTES:
                raise ValueError(f"expected an authority of {PUBLIC_KEY_BYTES} bytes, found {len(authority)}")
        self.authorities: Final = frozenset(authorities)
        self._verify = verify
        self._remembered: dict[bytes, Certificate] = {}

    def admit(self, wire: bytes, now_unix_s: float) -> Certificate:
        """The certificate in ``wire``, if an authority signed it and it is valid at ``now_unix_s``.

        Raises:
            NotYetValidError: its validity has not begun; nothing else is wrong with it.
            ForgedCertificateError: an authority that is trusted has not signed what is said to be its own.
            TrustError: it is not; the text names the certificate and the reason.
        """
        wire = bytes(wire)
        certificate = self._remembered.pop(wire, None)
        if certificate is None:
            certificate = self._check(wire)
            if len(self._remembered) >= MAX_REMEMBERED:
                del self._remembered[next(iter(self._remembered))]
        self._remembered[wire] = certificate  # at the end: what is first was not needed for longest
        _check_validity(certificate, now_unix_s)
        return certificate

    def refusal(self, certificate: Certificate) -> str:
        """Why a certificate is refused here, whose signature was checked before; empty if it is not.

        To judge again what another store of this agent has admitted. Validity is not looked at.
        """
        if certificate.authority not in self.authorities:
            return f"{_describe(certificate)} is signed by an authority that this agent does not trust"
        return ""

    def _check(self, wire: bytes) -> Certificate:
        certificate = read_certificate(wire)
        if refusal := self.refusal(certificate):
            raise TrustError(refusal)
        try:
            self._verify(
                certificate.authority, CERTIFICATE_CONTEXT, wire[SIGNATURE_BYTES:], wire[:SIGNATURE_BYTES]
            )
        except AuthenticationError:
            raise ForgedCertificateError(f"{_describe(certificate)} has a bad signature") from None
        check_extensions(certificate.extensions, _describe(certificate))
        return certificate


def issue_certificate(
    authority: Identity,
    *,
    subject: bytes,
    name: str,
    not_before: int,
    not_after: int,
    may_register: Sequence[str] = (),
    may_use: Sequence[str] = (),
    may_relay: bool = False,
    may_manage: bool = False,
) -> bytes:
    """A certificate's signed wire bytes; what is not granted is denied.

    Args:
        authority: who signs.
        subject: the agent's Ed25519 public key, 32 bytes.
        name: the agent's display name: 1 to 64 printable characters.
        not_before: Unix seconds.
        not_after: Unix seconds, later than ``not_before``.
        may_register: patterns of routing keys it may offer endpoints for.
        may_use: patterns of routing keys it may open connections to.
        may_relay: whether others' connections may pass through it.
        may_manage: whether it may manage other agents.

    Raises:
        ValueError: a field is out of its range, or the certificate would exceed 2048 bytes.
    """
    certificate = Certificate(
        subject=subject,
        name=name,
        not_before=not_before,
        not_after=not_after,
        may_register=tuple(may_register),
        may_use=tuple(may_use),
        may_relay=may_relay,
        may_manage=may_manage,
        authority=authority.public_key,
    )
    try:
        body = msgspec.msgpack.encode(certificate)
    except OverflowError:
        raise ValueError(f"cannot issue: times go from 0 to {MAX_UNIX_S}") from None
    except UnicodeEncodeError as error:  # what arrived as bytes that are no text, in a locale without UTF-8
        raise ValueError(f"cannot issue: {error.object!r} is not text in UTF-8") from None
    wire = authority.sign(CERTIFICATE_CONTEXT, body) + body
    try:
        read_certificate(wire)
    except TrustError as error:
        raise ValueError(f"cannot issue: {error}") from None
    return wire


def read_certificate(wire: bytes) -> Certificate:
    """What ``wire`` says, for showing it to people: the signature is not checked, so it proves nothing.

    Raises:
        TrustError: ``wire`` is not a well-formed certificate.
    """
    if len(wire) > MAX_CERTIFICATE_BYTES:
        raise TrustError(
            f"malformed certificate: {len(wire)} bytes, at most {MAX_CERTIFICATE_BYTES} are allowed"
        )
    if len(wire) <= SIGNATURE_BYTES:
        raise TrustError(f"malformed certificate: {len(wire)} bytes are too few")
    try:
        certificate = _DECODER.decode(wire[SIGNATURE_BYTES:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise TrustError(f"malformed certificate: {error}") from None
    texts = (certificate.name, *certificate.may_register, *certificate.may_use)
    if not all(text.isprintable() for text in texts):
        # The name goes to logs and terminals, so it must not carry control characters there.
        raise TrustError("malformed certificate: a name or pattern has characters that cannot be printed")
    if certificate.not_after <= certificate.not_before:
        raise TrustError(f"malformed certificate: {_describe(certificate)} ends before it begins")
    return certificate


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


def _matches(key: str, pattern: str) -> bool:
    if not (key.isascii() and pattern.isascii()):  # what looks the same is the same: mesh.routing_keys
        key, pattern = (unicodedata.normalize("NFC", text) for text in (key, pattern))
    # Of what fnmatch knows, a bracket is no wildcard here. Its translation does not backtrack exponentially.
    return fnmatchcase(key, pattern.replace("[", "[[]"))


def _check_validity(certificate: Certificate, now_unix_s: float) -> None:
    if now_unix_s >= certificate.not_after:
        raise ExpiredError(
            f"{_describe(certificate)} has been expired since {_time(certificate.not_after)}{_CLOCK}"
        )
    if now_unix_s < certificate.not_before - NOT_BEFORE_TOLERANCE_S:
        raise NotYetValidError(
            f"{_describe(certificate)} is not valid until {_time(certificate.not_before)}{_CLOCK}"
        )


_CLOCK: Final = " by this machine's clock"
"""Which may be what is wrong."""


def _describe(certificate: Certificate) -> str:
    return f"the certificate of {certificate.name!r} ({short_id(certificate.agent_id)})"


def _time(unix_s: int) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


_DECODER: Final = msgspec.msgpack.Decoder(Certificate)
