"""Addresses as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.addresses import TcpAddress, UnixAddress, parse_listen, parse_target


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("localhost:3000", TcpAddress("localhost", 3000)),
        ("10.0.0.7:1", TcpAddress("10.0.0.7", 1)),
        ("[::1]:65535", TcpAddress("::1", 65535)),
        ("unix:/run/x.sock", UnixAddress("/run/x.sock")),
    ],
)
def test_targets(text, address):
    assert parse_target(text) == address
    assert parse_target(str(address)) == address


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("localhost", "the port is missing"),
        (":80", "the host is missing"),
        ("localhost:0", "from 1 to 65535"),
        ("localhost:65536", "from 1 to 65535"),
        ("localhost:-1", "from 1 to 65535"),
        ("localhost:8O", "'8O'"),
        ("localhost:\u0663", "from 1 to 65535"),
        ("::1:80", "in brackets"),
        ("[::1:80", "not closed"),
        ("[localhost]:80", "not closed"),
        ("http://x:80", "found a URL"),
        ("user@host:22", "'user@host'"),
        ("a b:22", "'a b'"),
        ("unix:relative", "absolute path"),
        ("unix:/" + "x" * 107, "at most 107 octets"),
        ("", "the port is missing"),
    ],
)
def test_bad_targets_say_what_was_expected(text, complaint):
    with pytest.raises(ValueError, match=complaint):
        parse_target(text)


def test_listen_addresses():
    assert parse_listen(":5432") == TcpAddress("", 5432)
    assert parse_listen("127.0.0.1:0") == TcpAddress("127.0.0.1", 0)
    assert parse_listen("[::]:80") == TcpAddress("::", 80)
    with pytest.raises(ValueError, match="expected"):
        parse_listen("unix:/x")


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_a_value_error(text):
    for parse in (parse_target, parse_listen):
        try:
            address = parse(text)
        except ValueError as error:
            assert "expected" in str(error)  # noqa: PT017
        else:
            assert parse(str(address)) == address
