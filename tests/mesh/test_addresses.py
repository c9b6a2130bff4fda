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
        ("[localhost]:80", "brackets around an IPv6 address only: localhost:80"),
        ("[127.0.0.1]:80", r"brackets around an IPv6 address only: 127\.0\.0\.1:80"),
        ("[::1]", "with a colon and the port behind the bracket"),
        ("[::1]80", r"behind the bracket: \[::1\]:80"),
        ("[::1]:0", "a port from 1 to 65535 behind the colon, not '0'"),
        ("[1::2::3]:80", "an IPv6 address between the brackets, not '1::2::3'"),
        ("[fe80::1]:80", r"with its interface, such as \[fe80::1%eth0\]:80"),
        ("[fe80::1%]:80", "an IPv6 address between the brackets"),
        ("[fe80::1%a#b]:80", "the name of an interface, such as eth0, behind the percent sign, not 'a#b'"),
        ("[fe80::1%${HOME}]:80", "with variables of the environment"),
        ("[fe80::1%\x1b[2J]:80", "^expected host:port$"),
        ("h:\u3164", "^expected host:port$"),
        ("[db:5432]:5432", "an IPv6 address between the brackets, not 'db:5432'"),
        ("fe80::1:80", r"in brackets: \[fe80::1\]:80"),
        ("fe80:zz:80", "one host and one port"),
        ("http://x:80", "without a scheme, user and path: x:80"),
        ("https://x/api", "without a scheme, user and path: x:443"),
        ("postgres://me:secret@db/main", "without a scheme, user and path: db:5432$"),
        ("udp://x:53", "of a TCP service; only TCP is carried, not udp"),
        ("x:53/udp", "without /udp; only TCP is carried"),
        ("tcp:x:80", "without tcp: x:80"),
        ("8080:80", "with one port"),
        ("8080:localhost:80", "one host and one port"),
        ("80-90", "the port is missing"),
        ("x:80-90", "with one port"),
        ("x:http", "after the colon, in digits, not 'http'"),
        ("x:", "the port is missing"),
        ("3000", "host:port: localhost:3000"),
        ("70000", "with a port from 1 to 65535"),
        ("user@host:22", "without a user: host:22"),
        ("a b:22", "with a colon between the two and no space"),
        (" a:22", "without spaces around it: a:22"),
        ('"a:22"', "without quotation marks in the value itself"),
        ("\u201ca:22\u201d", "without quotation marks in the value itself"),
        ("$HOST:80", r"as \$\{NAME\}: \$\{HOST\}:80"),
        ("{{ host }}:80", r"as \$\{NAME\}$"),
        ("a:1,b:2", "one address only"),
        ("a:80/path", "without a path"),
        ("/run/x.sock", "or unix:/path for a unix socket"),
        ("unix:relative", "absolute path"),
        ("unix:/" + "x" * 107, "at most 107 bytes"),
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


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("unix:/run/x", "only listeners and endpoints can have a unix socket"),
        ("5432", "localhost:5432, or :5432 for every interface"),
        ("localhost:70000", "a port from 0 to 65535, not 70000"),
    ],
)
def test_bad_local_ports_say_what_was_expected(text, complaint):
    with pytest.raises(ValueError, match=complaint):
        parse_listen(text)


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_a_value_error(text):
    for parse in (parse_target, parse_listen):
        try:
            address = parse(text)
        except ValueError as error:
            assert "expected" in str(error)  # noqa: PT017
        else:
            assert parse(str(address)) == address
