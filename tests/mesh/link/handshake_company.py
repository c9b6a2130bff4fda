"""Whom the tests of a link's handshake bring together, and what they ask of it."""

from typing import Any

import pytest

from mesh.errors import LocalProtocolError
from mesh.link.established import EstablishedLink, HandshakeProgress
from mesh.link.handshake import LinkHandshake, State
from mesh.link.opening import LENGTH_BYTES, OWN_VERSIONS, Versions, mac_key, opening_payload, with_length
from mesh.trust.certificates import TrustStore, issue_certificate
from mesh.trust.identity import Identity, Instance
from mesh.trust.noise import key_pair

AUTHORITY = Identity(bytes([1]) * 32)
NOW = 1_700_000_000
TRUST = TrustStore([AUTHORITY.public_key])
PREAMBLE = OWN_VERSIONS.preamble
START = len(PREAMBLE) + LENGTH_BYTES
"""Where the first message of each side begins."""


class Party:
    """What one agent opens links with."""

    def __init__(self, number: int, name: str) -> None:
        self.identity = Identity(bytes([number]) * 32)
        self.instance = Instance(bytes([number]) * 16)
        self.static = key_pair(bytes([number + 1]) * 32)
        self.ephemeral = key_pair(bytes([number + 2]) * 32)
        self.certificate = certificate(self.identity, name)


def certificate(subject: Identity, name: str, **changes: Any) -> bytes:
    fields: dict[str, Any] = {"not_before": NOW - 1000, "not_after": NOW + 1000, "may_use": ("*",)} | changes
    return issue_certificate(AUTHORITY, subject=subject.public_key, name=name, **fields)


ALICE, BOB, MALLORY = Party(10, "alice"), Party(20, "bob"), Party(30, "mallory")


def side(party: Party, *, initiator: bool, **changes: Any) -> LinkHandshake:
    arguments = {
        "identity": party.identity,
        "certificate": party.certificate,
        "instance": party.instance,
        "static": party.static,
        "ephemeral": party.ephemeral,
        "trust": TRUST,
        "expected": None,
    }
    return LinkHandshake(initiator=initiator, **(arguments | changes))


def alice(**changes: Any) -> LinkHandshake:
    return side(ALICE, initiator=True, **changes)


def bob(**changes: Any) -> LinkHandshake:
    return side(BOB, initiator=False, **changes)


def established(progress: HandshakeProgress) -> EstablishedLink:
    assert progress.established is not None
    return progress.established


def opened_by(
    ephemeral: bytes,
    *,
    versions: Versions = OWN_VERSIONS,
    authority: Identity = AUTHORITY,
    mac: bytes | None = None,
) -> bytes:
    """The opening of whoever knows an authority."""
    payload = opening_payload(versions, ephemeral, b"", mac_key(authority.public_key)) if mac is None else mac
    return versions.preamble + with_length(ephemeral + payload)


def assert_over(handshake: LinkHandshake) -> None:
    assert handshake.state is State.FAILED
    assert handshake.buffered_bytes == 0
    with pytest.raises(LocalProtocolError, match="failed takes no bytes"):
        handshake.receive(b"", NOW)
    with pytest.raises(LocalProtocolError, match="failed waits for nothing"):
        handshake.end_of_stream()


def opening() -> tuple[bytes, bytes, bytes]:
    """What crosses the wire when Alice dials Bob: her first bytes, his, and her last."""
    initiator, responder = alice(), bob()
    first = initiator.start()
    second = responder.receive(first, NOW).to_send
    return first, second, initiator.receive(second, NOW).to_send


FIRST, SECOND, THIRD = opening()


def started() -> LinkHandshake:
    initiator = alice()
    assert initiator.start() == FIRST
    return initiator


def halfway() -> LinkHandshake:
    responder = bob()
    assert responder.receive(FIRST, NOW).to_send == SECOND
    return responder
