"""The version that a record tells of its agent's software: read if people can read it, else nothing."""

import pytest

from mesh.routing.origination import Originator, OwnAgent
from mesh.routing.records import decode_body
from mesh.routing.software import MAX_SOFTWARE_BYTES, software_extensions, software_in
from mesh.trust.extensions import Extension
from mesh.trust.identity import Identity, Instance


def told(data, name="software"):
    return software_in((Extension("other", critical=False, data=b"9"), Extension(name, False, data)))


@pytest.mark.parametrize("version", ["1.0", "0.9.1+local", "ü" * (MAX_SOFTWARE_BYTES // 2)])
def test_a_version_arrives_as_it_was_told(version):
    assert software_in(software_extensions(version)) == version


def test_one_that_is_too_long_is_cut():
    assert software_in(software_extensions("1" * 1_000)) == "1" * MAX_SOFTWARE_BYTES


@pytest.mark.parametrize("data", [b"", b"\xff", b"1\x1b[2J", b"1" * (MAX_SOFTWARE_BYTES + 1)])
def test_what_nobody_can_read_is_none(data):
    assert told(data) is None


def test_another_extension_is_none():
    assert told(b"1.0", "hardware") is None
    assert software_extensions("") == ()


def test_a_record_carries_it():
    fixed = OwnAgent(
        b"cert", session_key=b"s" * 32, instance=Instance(b"i" * 16), relays=True, software="1.2"
    )
    originator = Originator(Identity(b"\x01" * 32), fixed, epoch=1, advertise_interval_s=60.0)
    wire = originator.issue(0.0)
    assert wire is not None
    assert software_in(decode_body(wire.signed).extensions) == "1.2"
