"""What a target is told of who connects: by PROXY protocol, read by a parser of our own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.connection.preface import MAX_PREFACE_BYTES, Preface, PrefaceReader, encode_preface
from mesh.connection.proxy_protocol import proxy_header
from mesh.errors import RemoteProtocolError
from mesh.trust.certificates import Certificate
from mesh.trust.identity import display_id
from tests.proxy_header import parse_proxy_header

CERTIFICATE = Certificate(bytes(32), "laptop", 0, 1, (), (), False, False, bytes(32), groups=("dba", "ops"))
UNKNOWN = ("0.0.0.0", 0), ("0.0.0.0", 0)
VERIFIED = {0xE0: b"laptop", 0xE1: display_id(CERTIFICATE.agent_id).encode(), 0xE2: b"dba,ops"}


@pytest.mark.parametrize(
    ("client", "listener", "source", "destination"),
    [
        ("192.0.2.7:40000", "127.0.0.1:5432", ("192.0.2.7", 40000), ("127.0.0.1", 5432)),
        ("[2001:db8::1]:40000", "[::1]:5432", ("2001:db8::1", 40000), ("::1", 5432)),
        ("[::ffff:192.0.2.7]:1", "[::ffff:127.0.0.1]:2", ("192.0.2.7", 1), ("127.0.0.1", 2)),
        ("[fe80::1%eth0]:1", "[fe80::2%eth0]:2", ("fe80::1", 1), ("fe80::2", 2)),
        ("192.0.2.7:40000", "[::1]:5432", *UNKNOWN),
        ("unix:", "unix:/run/app.sock", *UNKNOWN),
        ("", "", *UNKNOWN),
        ("192.0.2.7:70000", "127.0.0.1:1", *UNKNOWN),
        ("no address", "no address", *UNKNOWN),
    ],
)
def test_a_header_has_the_addresses_where_there_are_two_of_a_kind_and_what_was_verified(
    client, listener, source, destination
):
    header = proxy_header(Preface(client, listener), CERTIFICATE)
    parsed, rest = parse_proxy_header(header + b"hello")
    assert (parsed.source, parsed.destination) == (source, destination)
    assert parsed.extensions == VERIFIED
    assert rest == b"hello"


def test_what_a_certificate_has_not_is_left_out():
    plain = Certificate(
        bytes(32), "n\N{LATIN SMALL LETTER U WITH DIAERESIS}", 0, 1, (), (), False, False, bytes(32)
    )
    parsed, _ = parse_proxy_header(proxy_header(Preface(), plain))
    assert parsed.extensions.keys() == {0xE0, 0xE1}
    assert parsed.extensions[0xE0].decode() == plain.name


@given(st.binary(max_size=300), st.lists(st.integers(1, 40), max_size=20))
def test_a_preface_is_found_however_the_stream_is_cut(following, cuts):
    encoded = encode_preface("192.0.2.7:40000", "127.0.0.1:5432")
    stream = encoded + following
    reader = PrefaceReader()
    begin, found = 0, None
    for cut in [*cuts, len(stream)]:
        found = reader.take(stream[begin : begin + cut])
        begin += cut
        if found is not None:
            break
    preface, rest = found
    assert preface == Preface("192.0.2.7:40000", "127.0.0.1:5432")
    assert rest + stream[begin:] == following
    assert reader.byte_count == len(encoded)


@given(st.binary(max_size=2 * MAX_PREFACE_BYTES))
def test_whatever_comes_in_its_place_is_bounded_and_crashes_nothing(data):
    reader = PrefaceReader()
    try:
        found = reader.take(data)
    except RemoteProtocolError:
        return
    if found is None:
        assert len(data) < 2 + MAX_PREFACE_BYTES
    else:
        parse_proxy_header(proxy_header(found[0], CERTIFICATE))


def test_a_name_that_is_too_long_is_left_out():
    preface, _ = PrefaceReader().take(encode_preface("unix:/" + "x" * 100, "127.0.0.1:5432"))
    assert preface == Preface("", "127.0.0.1:5432")
