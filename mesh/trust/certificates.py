"""Who may take part: certificates that an authority or an issuer signs, and the store that judges them.

Wire form of a certificate, at most 2048 bytes:

    signature   64 bytes   Ed25519, by who signs, over the body with CERTIFICATE_CONTEXT
    body        the rest    MessagePack array of the fields of :class:`Certificate`, in their order

An issuer is an agent whose certificate, signed by an authority, lets it sign others. What it signs has its
own certificate inside, so that a chain is one value, which is signed as a whole. There is no longer chain.

No certificate means no link, and no route to its owner's endpoints.
"""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from mesh.errors import (
    AuthenticationError,
    ExpiredError,
    ForgedCertificateError,
    NotYetValidError,
    RevokedError,
    TrustError,
)
from mesh.escaping import can_be_seen
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
from mesh.trust.issuing import MAX_ISSUER_BYTES, Groups, IssuingLimits, Passing, Pattern
from mesh.trust.moments import in_words
from mesh.trust.patterns import grants
from mesh.trust.revocations import NOBODY_REVOKED, Revocations, Revoked

MAX_CERTIFICATE_BYTES: Final = 2048
"""Every record and every link opening carries one, and a mesh of hundreds holds hundreds."""

MAX_NAME_CHARACTERS: Final = 64

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

_PublicKey = Annotated[
    bytes, msgspec.Meta(min_length=PUBLIC_KEY_BYTES, max_length=PUBLIC_KEY_BYTES, description="Ed25519")
]
_UnixSeconds = Annotated[int, msgspec.Meta(ge=0, le=MAX_UNIX_S)]


class Certificate(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What an authority or an issuer says of an agent. Times are Unix seconds.

    Patterns know ``*`` and ``?`` only: see :mod:`mesh.trust.patterns`.

    Unknown fields are refused: a field that this version does not know might take away what the others grant.
    What a later version adds it puts into the extensions, which say whether that is so.
    """

    subject: _PublicKey
    """The agent's Ed25519 public key."""
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_CHARACTERS)]
    not_before: _UnixSeconds
    not_after: _UnixSeconds
    """Valid while the clock shows less than this."""
    may_register: tuple[Pattern, ...]
    """Routing keys that the agent may offer endpoints for."""
    may_use: tuple[Pattern, ...]
    """Routing keys that the agent may open connections to."""
    may_relay: bool
    """Whether others' connections may pass through the agent."""
    may_manage: bool
    """Whether the agent may manage other agents."""
    authority: _PublicKey
    """The Ed25519 public key that signed this certificate, or that of its issuer."""
    groups: Groups = ()
    """Names by which a configuration may mean many agents."""
    may_issue: IssuingLimits | None = None
    """What the agent may grant to others as an issuer; ``None`` if it is none."""
    issuer: Annotated[bytes, msgspec.Meta(max_length=MAX_ISSUER_BYTES)] = b""
    """The wire bytes of the certificate of the issuer that signed; empty if an authority has."""
    is_invitation: bool = False
    """Whether it is good for one thing only: to ask that issuer for a certificate, once."""
    extensions: Extensions = ()
    """What this version does not know."""

    @property
    def agent_id(self) -> AgentId:
        """The ID of the agent this certificate is for."""
        return agent_id_of(self.subject)

    def allows_register(self, key: str) -> bool:
        """Whether the agent may offer an endpoint for the routing key ``key``."""
        return grants(self.may_register, key)

    def allows_use(self, key: str) -> bool:
        """Whether the agent may open connections to the routing key ``key``."""
        return grants(self.may_use, key)


class TrustStore:
    """Judges certificates against the authorities of this mesh.

    A signature is checked once and remembered for as long as there is room; validity is judged every time.

    Args:
        authorities: Ed25519 public keys of 32 bytes; with none, nobody is admitted.
        verify: checks one signature; a simulation may pass a check that remembers.
        revocations: of these authorities; those of others are left out.

    Raises:
        ValueError: an authority is not 32 bytes.
    """

    def __init__(
        self,
        authorities: Sequence[bytes],
        *,
        verify: SignatureCheck = verify_signature,
        revocations: Revocations = NOBODY_REVOKED,
    ) -> None:
        for authority in authorities:
            if len(authority) != PUBLIC_KEY_BYTES:
                raise ValueError(f"expected an authority of {PUBLIC_KEY_BYTES} bytes, found {len(authority)}")
        self.authorities: Final = frozenset(authorities)
        self.revocations: Final = revocations.under(self.authorities)
        """Whom these authorities and their issuers have revoked."""
        self.verify: Final = verify
        self._remembered: dict[bytes, Certificate] = {}

    def revoking(self, revocations: Revocations) -> "TrustStore":
        """A store of the same authorities with these; what one of the two remembers, both do."""
        store = TrustStore(tuple(self.authorities), verify=self.verify, revocations=revocations)
        store._remembered = self._remembered
        return store

    def apart(self) -> "TrustStore":
        """A store like this one for another thread, as what a store remembers is for one thread alone."""
        return TrustStore(tuple(self.authorities), revocations=self.revocations)

    def admit(self, wire: bytes, now_unix_s: float) -> Certificate:
        """The certificate in ``wire``, if an authority signed it and it is valid at ``now_unix_s``.

        Raises:
            NotYetValidError: its validity has not begun; nothing else is wrong with it.
            ForgedCertificateError: an authority that is trusted has not signed what is said to be its own.
            TrustError: it is not; the text names the certificate and the reason.
        """
        certificate = self.known(bytes(wire))
        if (revoked := self.revocation(certificate)) is not None:
            proof = self.revocations.lists[revoked.signer].wire
            raise RevokedError(_told(certificate, revoked), proof, revoked.agent_id)
        _check_validity(certificate, now_unix_s)
        return certificate

    def refusal(self, certificate: Certificate) -> str:
        """Why a certificate is refused here, whose signature was checked before; empty if it is not.

        To judge again what another store of this agent has admitted. Validity is not looked at.
        """
        if certificate.authority not in self.authorities:
            return f"{_describe(certificate)} is signed by an authority that this agent does not trust"
        revoked = self.revocation(certificate)
        return "" if revoked is None else _told(certificate, revoked)

    def revocation(self, certificate: Certificate) -> Revoked | None:
        """The revocation of a certificate's agent, or of its issuer, if one of the two is revoked."""
        if not self.revocations:
            return None
        issuer = issuer_of(certificate)
        return self.revocations.of(certificate.agent_id, b"" if issuer is None else issuer.subject)

    def known(self, wire: bytes) -> Certificate:
        """As :meth:`admit`, but its time may have come or gone, and its agent may be revoked."""
        certificate = self._remembered.pop(wire, None)
        if certificate is None:
            certificate = self._check(wire)
            if len(self._remembered) >= MAX_REMEMBERED:
                del self._remembered[next(iter(self._remembered))]
        self._remembered[wire] = certificate  # at the end: what is first was not needed for longest
        return certificate

    def _check(self, wire: bytes) -> Certificate:
        certificate = read_certificate(wire)
        if certificate.authority not in self.authorities:
            raise TrustError(self.refusal(certificate))
        signer = certificate.authority
        if certificate.issuer:
            issuer = self.known(certificate.issuer)
            signer = issuer.subject
        try:
            self.verify(signer, CERTIFICATE_CONTEXT, wire[SIGNATURE_BYTES:], wire[:SIGNATURE_BYTES])
        except AuthenticationError:
            raise ForgedCertificateError(f"{_describe(certificate)} has a bad signature") from None
        if certificate.issuer and (excess := excess_of(certificate, issuer)):
            raise ForgedCertificateError(f"{_describe(certificate)} {excess}")
        check_extensions(certificate.extensions, _describe(certificate))
        return certificate


def excess_of(certificate: Certificate, issuer: Certificate) -> str:
    """In what ``certificate`` goes beyond what its issuer may sign, to go on with; empty if it does not.

    Validity needs no second look from then on: it lies within the issuer's.

    Args:
        certificate: has that of the issuer in it, or is to have.
        issuer: the issuer's own.
    """
    signer, limits = f"{issuer.name!r} ({short_id(issuer.agent_id)})", issuer.may_issue
    if limits is None:
        return f"is signed by {signer}, which is no issuer"
    if certificate.not_before < issuer.not_before or certificate.not_after > issuer.not_after:
        return f"is valid when that of its issuer {signer} is not"
    life_s = certificate.not_after - certificate.not_before
    if life_s > limits.longest_s:
        return f"is valid for {life_s:,} s, and its issuer {signer} may grant {limits.longest_s:,} s"
    wanted = Passing(
        register=certificate.may_register,
        use=certificate.may_use,
        relay=certificate.may_relay,
        manage=certificate.may_manage,
        groups=certificate.groups,
    )
    excess = limits.excess(wanted)
    return f"grants what its issuer {signer} may not: {excess}" if excess else ""


def issue_certificate(
    signer: Identity,
    *,
    subject: bytes,
    name: str,
    not_before: int,
    not_after: int,
    may_register: Sequence[str] = (),
    may_use: Sequence[str] = (),
    may_relay: bool = False,
    may_manage: bool = False,
    groups: Sequence[str] = (),
    may_issue: IssuingLimits | None = None,
    issuer: bytes = b"",
    is_invitation: bool = False,
) -> bytes:
    """A certificate's signed wire bytes; what is not granted is denied.

    Args:
        signer: the authority, or the agent that ``issuer`` is the certificate of.
        subject: the agent's Ed25519 public key, 32 bytes.
        name: the agent's display name: 1 to 64 printable characters.
        not_before: Unix seconds.
        not_after: Unix seconds, later than ``not_before``.
        may_register: patterns of routing keys it may offer endpoints for.
        may_use: patterns of routing keys it may open connections to.
        may_relay: whether others' connections may pass through it.
        may_manage: whether it may manage other agents.
        groups: at most 16 names of at most 63 letters, digits, dots, dashes and underscores, which begin
            and end with one of the first two.
        may_issue: what it may grant to others, if it is an issuer.
        issuer: wire bytes of the signer's certificate, if the signer is an issuer.
        is_invitation: whether it is to be good for asking the issuer for another certificate only.

    Raises:
        ValueError: a field is out of its range or beyond what the issuer may grant, or the certificate would
            exceed 2048 bytes, or 1024 as an issuer's.
    """
    above = read_certificate(issuer) if issuer else None
    certificate = Certificate(
        subject=subject,
        name=name,
        not_before=not_before,
        not_after=not_after,
        may_register=tuple(may_register),
        may_use=tuple(may_use),
        may_relay=may_relay,
        may_manage=may_manage,
        authority=signer.public_key if above is None else above.authority,
        groups=tuple(groups),
        may_issue=may_issue,
        issuer=issuer,
        is_invitation=is_invitation,
    )
    if above is not None and (excess := excess_of(certificate, above)):
        raise ValueError(f"cannot issue: {_describe(certificate)} {excess}")
    try:
        body = msgspec.msgpack.encode(certificate)
    except OverflowError:
        raise ValueError(f"cannot issue: times go from 0 to {MAX_UNIX_S}") from None
    except UnicodeEncodeError as error:  # what arrived as bytes that are no text, in a locale without UTF-8
        raise ValueError(f"cannot issue: {error.object!r} is not text in UTF-8") from None
    wire = signer.sign(CERTIFICATE_CONTEXT, body) + body
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
    if flaw := _flaw(certificate, len(wire)):
        raise TrustError(f"malformed certificate: {flaw}")
    return certificate


def issuer_of(certificate: Certificate) -> Certificate | None:
    """The certificate of the issuer that signed ``certificate``; ``None`` if an authority has."""
    return read_certificate(certificate.issuer) if certificate.issuer else None


def _flaw(certificate: Certificate, byte_count: int) -> str:
    """What no certificate may say, whoever has signed it; empty if there is nothing."""
    limits = certificate.may_issue
    texts = [certificate.name, *certificate.may_register, *certificate.may_use]
    if limits is not None:
        texts += (*limits.may_register, *limits.may_use, *limits.groups)
    if not all(map(can_be_seen, texts)):
        # The name goes to logs and terminals, so it must not carry control characters there.
        return "a name or pattern has characters that cannot be printed"
    if certificate.not_after <= certificate.not_before:
        return f"{_describe(certificate)} ends before it begins"
    if limits is not None and byte_count > MAX_ISSUER_BYTES:
        return f"{byte_count} bytes, at most {MAX_ISSUER_BYTES} are allowed for an issuer's"
    if certificate.is_invitation and (_grants(certificate) or not certificate.issuer):
        return f"{_describe(certificate)} is an invitation, which grants nothing and is an issuer's"
    if not certificate.issuer:
        return ""
    issuer = read_certificate(certificate.issuer)
    if issuer.issuer or limits is not None or issuer.is_invitation:
        return f"{_describe(certificate)} is at the end of a chain that is too long"
    if issuer.authority != certificate.authority:
        return f"{_describe(certificate)} and its issuer's name different authorities"
    return ""


def _grants(certificate: Certificate) -> bool:
    """Whether it grants anything."""
    says = certificate
    return any((says.may_register, says.may_use, says.may_relay, says.may_manage, says.groups))


def _check_validity(certificate: Certificate, now_unix_s: float) -> None:
    if now_unix_s >= certificate.not_after:
        raise ExpiredError(
            f"{_describe(certificate)} has been expired since {in_words(certificate.not_after)}{_CLOCK}"
        )
    if now_unix_s < certificate.not_before - NOT_BEFORE_TOLERANCE_S:
        raise NotYetValidError(
            f"{_describe(certificate)} is not valid until {in_words(certificate.not_before)}{_CLOCK}"
        )


_CLOCK: Final = " by this machine's clock"
"""Which may be what is wrong."""


def _describe(certificate: Certificate) -> str:
    return f"the certificate of {certificate.name!r} ({short_id(certificate.agent_id)})"


def _told(certificate: Certificate, revoked: Revoked) -> str:
    whose = "" if revoked.agent_id == certificate.agent_id else "the issuer of "
    return f"{whose}the agent {certificate.name!r} ({short_id(certificate.agent_id)}) {revoked}"


_DECODER: Final = msgspec.msgpack.Decoder(Certificate)
