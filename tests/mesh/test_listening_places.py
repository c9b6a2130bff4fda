"""Where a local port is opened, and which of them are in each other's way."""

import pytest

from mesh.addresses import (
    Family,
    cannot_both_listen,
    listening_places,
    parse_listen,
    parse_target,
    surely_reaches,
)

V4, V6 = Family.IPV4, Family.IPV6


@pytest.mark.parametrize(
    ("text", "places"),
    [
        (":80", {(V4, "0.0.0.0"), (V6, "::")}),
        ("*:80", {(V4, "0.0.0.0"), (V6, "::")}),
        ("0.0.0.0:80", {(V4, "0.0.0.0")}),
        ("[::]:80", {(V6, "::")}),
        ("localhost:80", {(V4, "127.0.0.1"), (V6, "::1")}),
        ("LocalHost.:80", {(V4, "127.0.0.1"), (V6, "::1")}),
        ("api.localhost:80", {(V4, "127.0.0.1"), (V6, "::1")}),
        ("127.0.0.1:80", {(V4, "127.0.0.1")}),
        ("127.0.0.2:80", {(V4, "127.0.0.2")}),
        ("[0:0::1]:80", {(V6, "::1")}),
        ("[fe80::1%eth0]:80", {(V6, "fe80::1%eth0")}),
    ],
)
def test_where_an_address_listens(text, places):
    found = listening_places(parse_listen(text))
    assert {(place.family, place.host) for place in found} == places


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[::ffff:127.0.0.1]:80", r"the IPv4 address as such, 127\.0\.0\.1:80"),
        ("[::ffff:7f00:1]:80", r"the IPv4 address as such, 127\.0\.0\.1:80"),
        ("[fe80::1]:80", r"with its interface, such as \[fe80::1%eth0\]:80"),
        ("224.0.0.1:80", "an address of this machine"),
        ("255.255.255.255:80", "an address of this machine"),
        ("[ff02::1]:80", "an address of this machine"),
        ("db.example:80", "the name 'db.example' is not looked up"),
    ],
)
def test_what_cannot_be_opened_is_refused_with_what_to_write(text, complaint):
    with pytest.raises(ValueError, match=complaint):
        listening_places(parse_listen(text))


CLASHES = [
    ("127.0.0.1:80", "127.0.0.1:80", True),
    ("127.0.0.1:80", "127.0.0.1:81", False),
    ("127.0.0.1:80", "127.0.0.2:80", False),
    ("127.0.0.1:80", "[::1]:80", False),
    ("127.0.0.1:0", "127.0.0.1:0", False),
    (":80", "127.0.0.1:80", True),
    (":80", "[::1]:80", True),
    (":80", "0.0.0.0:80", True),
    (":80", "[::]:80", True),
    (":80", "localhost:80", True),
    ("*:80", ":80", True),
    ("0.0.0.0:80", "127.0.0.1:80", True),
    ("0.0.0.0:80", "[::1]:80", False),
    ("0.0.0.0:80", "[::]:80", False),
    ("0.0.0.0:80", "localhost:80", True),
    ("[::]:80", "[::1]:80", True),
    ("[::]:80", "127.0.0.1:80", False),
    ("[::]:80", "localhost:80", True),
    ("localhost:80", "127.0.0.1:80", True),
    ("LOCALHOST:80", "[::1]:80", True),
    ("localhost:80", "localhost.:80", True),
    ("localhost:80", "10.0.0.1:80", False),
    ("[::1]:80", "[0:0::1]:80", True),
]


@pytest.mark.parametrize(("one", "other", "clash"), CLASHES)
def test_which_ports_cannot_be_open_together(one, other, clash):
    first, second = parse_listen(one), parse_listen(other)
    assert cannot_both_listen(first, second) is clash
    assert cannot_both_listen(second, first) is clash


@pytest.mark.parametrize(
    ("target", "listening", "reaches"),
    [
        ("localhost:80", ":80", True),
        ("localhost:80", "localhost:80", True),
        ("localhost:80", "[::1]:80", True),
        ("localhost:80", "127.0.0.1:81", False),
        ("127.0.0.1:80", "localhost:80", True),
        ("127.0.0.1:80", "[::]:80", False),
        ("127.0.0.1:80", "0.0.0.0:80", True),
        ("127.0.0.2:80", "127.0.0.1:80", False),
        ("127.0.0.2:80", ":80", True),
        ("[::1]:80", "0.0.0.0:80", False),
        ("[::ffff:127.0.0.1]:80", "127.0.0.1:80", True),
        ("0.0.0.0:80", "127.0.0.1:80", True),
        ("[::]:80", "localhost:80", True),
        ("10.0.0.7:80", "10.0.0.7:80", True),
        ("10.0.0.7:80", ":80", False),
        ("db.example:80", ":80", False),
    ],
)
def test_which_target_is_surely_a_local_port(target, listening, reaches):
    assert surely_reaches(parse_target(target), parse_listen(listening)) is reaches
