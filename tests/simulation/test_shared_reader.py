"""What simulated agents share is what each of them would have found out for itself."""

import msgspec
import pytest

from mesh.errors import AuthenticationError, RemoteProtocolError, TrustError
from mesh.link.bodies import WireRecord
from mesh.routing.record_reader import RecordReader
from mesh.routing.records import RecordBody, sign_record
from mesh.trust.certificates import TrustStore, issue_certificate
from mesh.trust.identity import Identity, Instance
from scripts.simulation.sharing import SharedReader

UNIX = 1_700_000_000
AUTHORITY, STRANGER, ALICE = (Identity(bytes((number,)) * 32) for number in range(3))
TRUST = TrustStore([AUTHORITY.public_key])


@pytest.fixture
def wire() -> WireRecord:
    certificate = issue_certificate(
        AUTHORITY, subject=ALICE.public_key, name="alice", not_before=UNIX - 9, not_after=UNIX + 9
    )
    body = RecordBody(
        public_key=ALICE.public_key,
        epoch=1,
        sequence=1,
        instance=Instance(bytes(16)),
        session_key=bytes(32),
        certificate=certificate,
        relays=True,
        draining=False,
        withdrawn=False,
    )
    return sign_record(ALICE, body)


def copy_of(wire: WireRecord) -> WireRecord:
    return WireRecord(bytes(bytearray(wire.signed)), bytes(bytearray(wire.signature)), wire.age_ms + 7)


def test_equal_bytes_are_one_record(wire):
    reader, other = SharedReader(), copy_of(wire)
    body = reader.read(wire.signed)
    assert body == RecordReader().read(wire.signed)
    assert reader.read(other.signed) is body
    record, kept = reader.verify(wire, body, TRUST, UNIX)
    assert record == RecordReader().verify(wire, body, TRUST, UNIX)[0]
    again = reader.verify(other, body, TRUST, UNIX)
    assert again[0] is record
    assert again[1] is kept is wire


def test_a_good_record_makes_no_forgery_good(wire):
    reader = SharedReader()
    body = reader.read(wire.signed)
    reader.verify(wire, body, TRUST, UNIX)
    forged = msgspec.structs.replace(wire, signature=bytes(64))
    for _ in range(2):
        with pytest.raises(AuthenticationError):
            reader.verify(forged, body, TRUST, UNIX)
        with pytest.raises(RemoteProtocolError):
            reader.read(wire.signed[:-1])


def test_each_agent_judges_certificates_by_its_own_authorities_and_clock(wire):
    reader = SharedReader()
    body = reader.read(wire.signed)
    reader.verify(wire, body, TRUST, UNIX)
    with pytest.raises(TrustError):
        reader.verify(wire, body, TrustStore([STRANGER.public_key]), UNIX)
    with pytest.raises(TrustError):
        reader.verify(wire, body, TRUST, UNIX + 9)
