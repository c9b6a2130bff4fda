"""Values on the wire, as sections 1, 2 and 6 of docs/PROTOCOL.md have them."""

import base64
import hashlib
import unicodedata
from dataclasses import dataclass, field
from typing import Final, TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

NOBODY: Final = bytes(16)
EPOCH_AHEAD_MS: Final = 86_400_000
HOP_MS: Final = 1
MAX_AGE_MS: Final = 4_294_967_296
MAX_CERTIFICATE_BYTES: Final = 2_048
MAX_ISSUER_BYTES: Final = 1_024
MAX_SIGNED_BYTES: Final = 60_000
NOT_BEFORE_TOLERANCE_S: Final = 300
ROUTE_TTL_MS: Final = 300_000
SIGNATURE_BYTES: Final = 64


class ProtocolError(Exception):
    """The other side broke the protocol; the text says how."""


class NotAdmittedError(ProtocolError):
    """A certificate admits nobody here: no offence of whoever passes it on."""


def in_context(context: str, message: bytes) -> bytes:
    """What is signed."""
    name = context.encode()
    return bytes([len(name)]) + name + message


def agent_id(public_key: bytes) -> bytes:
    """16 bytes."""
    return hashlib.sha256(b"mesh agent id v1\0" + public_key).digest()[:16]


@dataclass(frozen=True)
class Identity:
    """An Ed25519 key: an agent's, or an authority's."""

    seed: bytes = field(repr=False)

    @property
    def public_key(self) -> bytes:
        return Ed25519PrivateKey.from_private_bytes(self.seed).public_key().public_bytes_raw()

    @property
    def id(self) -> bytes:
        return agent_id(self.public_key)

    def sign(self, context: str, message: bytes) -> bytes:
        return Ed25519PrivateKey.from_private_bytes(self.seed).sign(in_context(context, message))


def verify(public_key: bytes, context: str, message: bytes, signature: bytes) -> None:
    """Raise ``ProtocolError`` unless the key has signed the message in that context."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, in_context(context, message))
    except (InvalidSignature, ValueError):
        raise ProtocolError(f"a wrong signature over a {context}") from None


T = TypeVar("T")


def decode(wire: bytes, kind: type[T]) -> T:
    """A structure of msgpack."""
    try:
        return msgspec.msgpack.decode(wire, type=kind)
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"no {kind}: {error}") from None


encode: Final = msgspec.msgpack.encode


# -- certificates --------------------------------------------------------------------------------------------


class Extension(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    name: str
    is_critical: bool
    data: bytes


class MayIssue(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    longest_s: int
    may_register: tuple[str, ...]
    may_use: tuple[str, ...]
    may_relay: bool
    may_manage: bool
    groups: tuple[str, ...]


class Grants(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The body of a certificate."""

    subject: bytes
    name: str
    not_before: int
    not_after: int
    may_register: tuple[str, ...]
    may_use: tuple[str, ...]
    may_relay: bool
    may_manage: bool
    authority: bytes
    groups: tuple[str, ...] = ()
    may_issue: MayIssue | None = None
    issuer: bytes = b""
    is_invitation: bool = False
    extensions: tuple[Extension, ...] = ()


def sign_certificate(signer: Identity, grants: Grants) -> bytes:
    body = encode(grants)
    return signer.sign("mesh certificate v1", body) + body


def certificate_body(certificate: bytes) -> bytes:
    return certificate[SIGNATURE_BYTES:]


def certificate_text(certificate: bytes) -> str:
    """As it stands in a file."""
    octets = base64.b64encode(certificate).decode()
    lines = [octets[start : start + 64] for start in range(0, len(octets), 64)]
    return "\n".join(["-----BEGIN MESH CERTIFICATE-----", *lines, "-----END MESH CERTIFICATE-----", ""])


def admitted(certificate: bytes, authorities: frozenset[bytes], now_s: float) -> Grants:
    """What a certificate grants, or ``ProtocolError`` where it does not admit its agent."""
    if len(certificate) > MAX_CERTIFICATE_BYTES:
        raise NotAdmittedError("a certificate that is too long")
    body = certificate_body(certificate)
    grants = decode(body, Grants)
    if grants.authority not in authorities:
        raise NotAdmittedError("a certificate of another authority")
    if any(extension.is_critical for extension in grants.extensions):
        raise NotAdmittedError("a certificate with a critical extension that is not known")
    signer = _issuer_of(grants, authorities, now_s).subject if grants.issuer else grants.authority
    verify(signer, "mesh certificate v1", body, certificate[:SIGNATURE_BYTES])
    if not grants.not_before - NOT_BEFORE_TOLERANCE_S <= now_s < grants.not_after:
        raise NotAdmittedError("a certificate whose time is not now")
    return grants


def _issuer_of(grants: Grants, authorities: frozenset[bytes], now_s: float) -> Grants:
    """The issuer's grants, beyond which those of the certificate must not go."""
    if len(grants.issuer) > MAX_ISSUER_BYTES:
        raise ProtocolError("an issuer's certificate that is too long")
    issuer = admitted(grants.issuer, authorities, now_s)
    allowed = issuer.may_issue
    if issuer.issuer or allowed is None or issuer.authority != grants.authority or grants.may_issue:
        raise ProtocolError("a chain that is none")
    if (
        grants.not_after - grants.not_before > allowed.longest_s
        or not is_within(grants.may_register, allowed.may_register)
        or not is_within(grants.may_use, allowed.may_use)
        or not matches(allowed.groups, *grants.groups)
        or (grants.may_relay and not allowed.may_relay)
        or (grants.may_manage and not allowed.may_manage)
    ):
        raise ProtocolError("a certificate that goes further than its issuer may")
    return issuer


# -- patterns ------------------------------------------------------------------------------------------------

ANY_OTHER: Final = "\0"
"""Stands for a character that no pattern names: what holds for it holds for every one."""


def _after_stars(pattern: str, places: frozenset[int]) -> frozenset[int]:
    reached = set(places)
    for place in sorted(places):
        while place < len(pattern) and pattern[place] == "*":
            place += 1  # noqa: PLW2901 -- a star may match nothing
            reached.add(place)
    return frozenset(reached)


def _step(pattern: str, places: frozenset[int], character: str) -> frozenset[int]:
    """Places in the pattern that one more character leads to."""
    moved = {place for place in places if pattern[place : place + 1] == "*"}
    moved |= {place + 1 for place in places if pattern[place : place + 1] in {"?", character}}
    return _after_stars(pattern, frozenset(moved))


def _covers(outer: str, inner: str) -> bool:
    """Whether ``outer`` matches all that ``inner`` matches; a text without wildcards is a pattern too."""
    reached = {_after_stars(outer, frozenset({0}))}
    for character in inner:
        if character == "*":
            waiting = list(reached)
            while waiting:
                following = _step(outer, waiting.pop(), ANY_OTHER)
                if following not in reached:
                    reached.add(following)
                    waiting.append(following)
        else:
            other = ANY_OTHER if character == "?" else character
            reached = {_step(outer, places, other) for places in reached}
    return all(len(outer) in places for places in reached)


def is_within(inner: tuple[str, ...], outer: tuple[str, ...]) -> bool:
    return all(any(_covers(each, pattern) for each in outer) for pattern in inner)


def matches(patterns: tuple[str, ...], *keys: str) -> bool:
    """Whether each key matches one of the patterns."""
    texts = [unicodedata.normalize("NFC", pattern) for pattern in patterns]
    return all(any(_covers(each, unicodedata.normalize("NFC", key)) for each in texts) for key in keys)


# -- records -------------------------------------------------------------------------------------------------


class Statement(msgspec.Struct, array_like=True, frozen=True):
    """What an agent says of itself: the signed bytes of a record. The tail may be left out, or longer."""

    public_key: bytes
    epoch: int
    sequence: int
    instance: bytes
    session_key: bytes
    certificate: bytes
    relays: bool
    is_draining: bool
    is_withdrawn: bool
    neighbours: tuple[tuple[bytes, int], ...] = ()
    endpoints: tuple[tuple[str, str | None], ...] = ()
    listeners: tuple[tuple[str, str | None], ...] = ()
    pages: tuple[tuple[bytes, int, int], ...] = ()
    extensions: tuple[Extension, ...] = ()
    sealed: tuple[tuple[bytes, bytes, bytes], ...] = ()


@dataclass(frozen=True)
class Record:
    """A record that was verified, and when it was signed by the clock of this process."""

    signed: bytes
    signature: bytes
    statement: Statement
    grants: Grants
    signed_at_s: float

    @property
    def id(self) -> bytes:
        return agent_id(self.statement.public_key)

    @property
    def freshness(self) -> tuple[int, int, bytes]:
        return freshness(self.statement)

    def age_ms(self, now_s: float) -> int:
        return min(int((now_s - self.signed_at_s) * 1_000) + 1 + HOP_MS, MAX_AGE_MS)

    def is_live(self, now_s: float) -> bool:
        return self.age_ms(now_s) < ROUTE_TTL_MS and not self.statement.is_withdrawn


def freshness(statement: Statement) -> tuple[int, int, bytes]:
    return statement.epoch, statement.sequence, statement.instance


def read_statement(signed: bytes) -> Statement:
    if len(signed) > MAX_SIGNED_BYTES:
        raise ProtocolError("a record that is too long")
    return decode(signed, Statement)


def read_record(
    signed: bytes, signature: bytes, signed_at_s: float, authorities: frozenset[bytes], now_unix_s: float
) -> Record:
    """A record that is judged: its certificate, then its signature."""
    statement = read_statement(signed)
    if any(extension.is_critical for extension in statement.extensions):
        raise NotAdmittedError("a record with a critical extension that is not known")
    if statement.epoch > now_unix_s * 1_000 + EPOCH_AHEAD_MS:
        raise ProtocolError("an epoch too far ahead")
    grants = admitted(statement.certificate, authorities, now_unix_s)
    if grants.subject != statement.public_key:
        raise ProtocolError("a record with somebody else's certificate")
    verify(statement.public_key, "mesh record v1", signed, signature)
    return Record(signed, signature, statement, grants, signed_at_s)
