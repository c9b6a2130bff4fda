"""How single values are written."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.addresses import TcpAddress, UnixAddress
from mesh.config import address_kinds, kinds
from mesh.config.document import plain_tag
from mesh.trust.identity import Identity, encode_public_key

CONTEXT = kinds.Context(Path("/etc/mesh"), "/home/ann")
KEY = Identity(bytes(32)).public_key


def parse(kind, text, *, is_quoted=False):
    return kind.parse(kinds.Scalar(text, "str" if is_quoted else plain_tag(text)), CONTEXT)


ACCEPTED = [
    (address_kinds.HostName(), "Mesh.Example.COM.", "mesh.example.com"),
    (address_kinds.HostName(), "b\u00fccher.example", "xn--bcher-kva.example"),
    (kinds.Duration(0.0), "10s", 10.0),
    (kinds.Duration(0.0), "250ms", 0.25),
    (kinds.Duration(0.0), "2m", 120.0),
    (kinds.Duration(0.0), "1.5h", 5400.0),
    (kinds.Duration(0.0), "1m30s", 90.0),
    (kinds.Duration(0.0), "7d", 7 * 86400.0),
    (kinds.Duration(0.0), "3", 3.0),
    (kinds.Duration(0.0), "0.5", 0.5),
    (kinds.Size(0), "64MiB", 64 * 1024**2),
    (kinds.Size(0), "1 GiB", 1024**3),
    (kinds.Size(0), "512KiB", 512 * 1024),
    (kinds.Size(0), "1000", 1000),
    (kinds.Size(0), "0", 0),
    (kinds.Integer(-5, 10), "-5", -5),
    (kinds.Integer(0, 10), "10", 10),
    (kinds.Boolean(), "true", True),
    (kinds.Boolean(), "No", False),
    (kinds.Choice(("debug", "info")), "DEBUG", "debug"),
    (kinds.Name(), "branch office 1", "branch office 1"),
    (kinds.Name(), "42", "42"),
    (kinds.Name(), "é" * 64, "é" * 64),
    (kinds.RoutingKey(), "k" * 255, "k" * 255),
    (kinds.RoutingKey(), "1.10", "1.10"),
    (kinds.RoutingKey(), "cafe\u0301", "caf\u00e9"),
    (kinds.PublicKey(), encode_public_key(KEY), KEY),
    (kinds.PinnedAgent(), "0123456789abcdef" * 2, bytes.fromhex("0123456789abcdef" * 2)),
    (kinds.PinnedAgent(), "12345678" * 4, bytes.fromhex("12345678" * 4)),
    (kinds.FilePath(), "a/b", Path("/etc/mesh/a/b")),
    (kinds.FilePath(), "/a/b", Path("/a/b")),
    (kinds.FilePath(), "~/a", Path("/home/ann/a")),
    (kinds.FilePath(), ".", Path("/etc/mesh")),
    (address_kinds.Target(), "localhost:3000", TcpAddress("localhost", 3000)),
    (address_kinds.Target(), "my_db.internal.:5432", TcpAddress("my_db.internal.", 5432)),
    (address_kinds.Target(), "bücher.example:80", TcpAddress("xn--bcher-kva.example", 80)),
    (address_kinds.Target(), "[fe80::1%eth0]:80", TcpAddress("fe80::1%eth0", 80)),
    (address_kinds.Target(), "unix:/run/x.sock", UnixAddress("/run/x.sock")),
    (address_kinds.Dial(), "relay.example.com:4433", TcpAddress("relay.example.com", 4433)),
    (address_kinds.Listen(), ":5432", TcpAddress("", 5432)),
    (address_kinds.Listen(), "127.0.0.1:0", TcpAddress("127.0.0.1", 0)),
    (address_kinds.Listen(), "LocalHost:1", TcpAddress("LocalHost", 1)),
    (address_kinds.Listen(), "[fe80::1%lo]:1", TcpAddress("fe80::1%lo", 1)),
    (address_kinds.Listen(), "*:5432", TcpAddress("", 5432)),
    (address_kinds.Listen(), "[::]:80", TcpAddress("::", 80)),
    (address_kinds.Listen(default_host="127.0.0.1"), ":8080", TcpAddress("127.0.0.1", 8080)),
    (address_kinds.Listen(default_host="127.0.0.1"), "*:8080", TcpAddress("", 8080)),
]


@pytest.mark.parametrize(("kind", "text", "value"), ACCEPTED)
def test_a_value_is_taken(kind, text, value):
    result = parse(kind, text)
    assert result == value
    assert type(result) is type(value)


REFUSED = [
    (address_kinds.HostName(), ""),
    (address_kinds.HostName(), "mesh.example.com:8080"),
    (address_kinds.HostName(), "http://mesh.example.com"),
    (address_kinds.HostName(), "*.example.com"),
    (address_kinds.HostName(), "me@mesh.example.com"),
    (address_kinds.HostName(), "a b"),
    (address_kinds.HostName(), "5"),
    *[
        (kinds.Duration(0.0), text)
        for text in ("", "s", "-1s", "1 s", "10x", "1e3", "nan", "inf", "1:30", "\u0661s")
    ],
    *[(kinds.Duration(1.0, 60.0), text) for text in ("999ms", "61s", "0")],
    *[(kinds.Size(0), text) for text in ("", "MiB", "64MB", "-1", "1.5GiB", "64mib", "9" * 16)],
    (kinds.Size(1024), "1023"),
    *[
        (kinds.Integer(0, 10), text)
        for text in ("-1", "11", "010", "0x1", "1_0", "1:30", "1.0", "true", "ten", "\u0663")
    ],
    *[(kinds.Boolean(), text) for text in ("1", "0", "maybe", "y")],
    *[(kinds.Name(), text) for text in ("", " a", "a ", "a\nb", "a\x1b[2J", "n" * 65)],
    *[(kinds.RoutingKey(), text) for text in ("", "a b", "a\tb", "a\u00a0b", "a\x00", "k" * 256, "é" * 128)],
    *[(kinds.PinnedAgent(), text) for text in ("", "12345678", "AB" * 16, "ab" * 17, "relay", "ö" * 32)],
    *[(kinds.PublicKey(), text) for text in ("", "<public key>", "A" * 44, "ö" * 44)],
    *[(kinds.FilePath(), text) for text in ("", "a\0b")],
    *[
        (address_kinds.Target(), text)
        for text in (
            "localhost",
            ":80",
            "localhost:0",
            "localhost:65536",
            "localhost:x",
            "localhost:" + "9" * 5000,
            "::1:80",
            "[::1:80",
            "[::g]:80",
            "300.1.1.1:80",
            "1.2.3:80",
            "10.0.0.1.:80",
            "a..b:80",
            "-a:80",
            "a-:80",
            "a" * 64 + ":80",
            "a." * 127 + "ab:80",
            "http://x:80",
            "user@x:80",
            "a b:80",
            "x.123:80",
            "unix:x",
            "unix:/" + "x" * 200,
            "*:80",
            "x\ud800y:80",
        )
    ],
    (address_kinds.Dial(), "unix:/run/x"),
    (address_kinds.Dial(), ":4433"),
    (address_kinds.Listen(), "unix:/run/x"),
    (address_kinds.Listen(), "5432"),
    (address_kinds.Listen(), "db.example:5432"),
    (address_kinds.Listen(), "[::ffff:127.0.0.1]:5432"),
]


@pytest.mark.parametrize(("kind", "text"), REFUSED)
def test_a_value_is_refused_with_what_was_expected(kind, text):
    with pytest.raises(ValueError, match=r"."):
        parse(kind, text)


@pytest.mark.parametrize(
    ("kind", "text", "says"),
    [
        (
            address_kinds.Listen(),
            "db.example:5432",
            r"an IP address of this machine, .*'db\.example'",
        ),
        (address_kinds.Listen(), "127.0.0.1:70000", "a port from 0 to 65535"),
        (address_kinds.Target(), "localhost:70000", "a port from 1 to 65535"),
        (address_kinds.Target(), "localhost:0", "a port from 1 to 65535"),
    ],
)
def test_what_is_expected_of_an_address_is_said_exactly(kind, text, says):
    with pytest.raises(ValueError, match=says):
        parse(kind, text)


def test_numbers_in_quotes_are_no_numbers():
    with pytest.raises(ValueError, match="whole number"):
        parse(kinds.Integer(0, 10), "5", is_quoted=True)
    with pytest.raises(ValueError, match="true or false"):
        parse(kinds.Boolean(), "true", is_quoted=True)


def test_a_misspelt_choice_gets_a_hint():
    with pytest.raises(ValueError, match="did you mean info"):
        parse(kinds.Choice(("debug", "info")), "inof")


def test_a_home_that_is_not_known_is_told():
    with pytest.raises(ValueError, match="HOME"):
        kinds.FilePath().parse(kinds.Scalar("~/a", "str"), kinds.Context(Path("/etc")))


@given(st.integers(1, 10**9).map(lambda milliseconds: milliseconds / 1000))
def test_a_shown_duration_reads_back(seconds):
    assert parse(kinds.Duration(0.0), kinds.duration_text(seconds)) == pytest.approx(seconds)


@given(st.integers(0, 1024**4))
def test_a_shown_size_reads_back(byte_count):
    assert parse(kinds.Size(0), kinds.size_text(byte_count)) == byte_count


@given(st.text(max_size=80))
def test_no_text_does_worse_than_a_value_error(text):
    for kind in (
        kinds.Duration(0.0),
        kinds.Size(0),
        kinds.Integer(0, 9),
        kinds.Boolean(),
        kinds.Name(),
        kinds.RoutingKey(),
        kinds.PublicKey(),
        kinds.PinnedAgent(),
        kinds.FilePath(),
        address_kinds.Target(),
        address_kinds.Dial(),
        address_kinds.Listen(),
    ):
        with suppress(ValueError):
            assert parse(kind, text) is not None
