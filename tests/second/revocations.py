"""Revocation lists, as sections 2 and 6 of docs/PROTOCOL.md have them."""

from typing import Final

import msgspec

from tests.second.wire import (
    Grants,
    Identity,
    NotAdmittedError,
    ProtocolError,
    admitted,
    agent_id,
    certificate_body,
    decode,
    encode,
    verify,
)

CONTEXT: Final = "mesh revocations v1"
MAX_LIST_BYTES: Final = 49_152
NUMBER_AHEAD_MS: Final = 86_400_000
FOR_EVER_S: Final = 253_402_300_799


class Revoked(msgspec.Struct, array_like=True, frozen=True):
    agent_id: bytes
    revoked_at: int
    until: int = FOR_EVER_S
    name: str = ""
    reason: str = ""


class Listed(msgspec.Struct, array_like=True, frozen=True):
    """The body of a list."""

    signer: bytes
    number: int
    revoked: tuple[Revoked, ...]
    issuer: bytes = b""


class Lists(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The body of REVOCATIONS."""

    lists: tuple[bytes, ...]


class Wanted(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The body of WANT_REVOCATIONS."""

    newest: tuple[tuple[bytes, int], ...]


def sign_list(signer: Identity, listed: Listed) -> bytes:
    body = encode(listed)
    return signer.sign(CONTEXT, body) + body


class Revocations:
    """The list that counts of each signer."""

    def __init__(self, authorities: frozenset[bytes]) -> None:
        self._authorities = authorities
        self._held: dict[bytes, tuple[Listed, bytes]] = {}

    def take(self, octets: bytes, now_s: float) -> bool:
        """Whether a list that has arrived is news; ``ProtocolError`` if it is an offence."""
        if len(octets) > MAX_LIST_BYTES:
            raise ProtocolError("a list of revocations that is too long")
        listed = decode(certificate_body(octets), Listed)
        known, _ = self._held.get(listed.signer, (Listed(listed.signer, 0, ()), b""))
        if listed.number <= known.number or listed.number > now_s * 1_000 + NUMBER_AHEAD_MS:
            return False
        if listed.issuer:
            try:
                issuer = admitted(listed.issuer, self._authorities, now_s)
            except NotAdmittedError:
                return False
            if issuer.may_issue is None or self.refuses(issuer):
                return False
            if issuer.subject != listed.signer:
                raise ProtocolError("a list of revocations with somebody else's certificate")
        elif listed.signer not in self._authorities:
            return False
        verify(listed.signer, CONTEXT, certificate_body(octets), octets[:64])
        self._held[listed.signer] = listed, octets
        return True

    def wanted(self) -> bytes:
        """What to ask each peer for."""
        signers = dict.fromkeys(self._authorities, 0)
        signers |= {each: listed.number for each, (listed, _) in self._held.items()}
        return encode(Wanted(tuple(sorted(signers.items()))))

    def owed(self, theirs: dict[bytes, int]) -> tuple[bytes, ...]:
        """The lists that a peer lacks, which counts as told; of issuers too that it has not named.

        Args:
            theirs: the number of its newest list of each signer.
        """
        owed = []
        for signer, (listed, octets) in self._held.items():
            if _authority(listed) in theirs and listed.number > theirs.get(signer, 0):
                theirs[signer] = listed.number
                owed.append(octets)
        return tuple(owed)

    def refuses(self, grants: Grants) -> bool:
        """Whether the subject of a certificate is revoked, or the issuer that signed it is."""
        subject = agent_id(grants.subject)
        issuer = decode(certificate_body(grants.issuer), Grants).subject if grants.issuer else b""
        by_authorities = {
            each.agent_id
            for signer, (listed, _) in self._held.items()
            if signer in self._authorities
            for each in listed.revoked
        }
        by_issuer = self._held.get(issuer, (Listed(b"", 0, ()), b""))[0].revoked
        return (
            subject in by_authorities
            or (bool(issuer) and agent_id(issuer) in by_authorities)
            or subject in {each.agent_id for each in by_issuer}
        )


def _authority(listed: Listed) -> bytes:
    return decode(certificate_body(listed.issuer), Grants).authority if listed.issuer else listed.signer


def numbered(octets: bytes) -> dict[bytes, int]:
    """Whose list it is, and its number."""
    listed = decode(certificate_body(octets), Listed)
    return {listed.signer: listed.number}


def asked(body: bytes) -> dict[bytes, int]:
    return dict(decode(body, Wanted).newest)


def of_body(body: bytes) -> tuple[bytes, ...]:
    return decode(body, Lists).lists


def to_body(lists: tuple[bytes, ...]) -> bytes:
    return encode(Lists(lists))
