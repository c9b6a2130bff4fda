"""Host names as resolvers take them."""

import pytest

from mesh.config.host_names import ascii_host


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("fa\u00df.example", "xn--fa-hia.example"),  # IDNA 2003 would look up fass.example
        ("b\u00fccher.example", "xn--bcher-kva.example"),
        ("bu\u0308cher.example", "xn--bcher-kva.example"),
        ("B\u00dcCHER.example.", "xn--bcher-kva.example."),
        ("\u4f8b\u3048.\u30c6\u30b9\u30c8", "xn--r8jz45g.xn--zckzah"),
        ("xn--fa-hia.example", "xn--fa-hia.example"),
        ("\uff11\uff12\uff17.0.0.1", "127.0.0.1"),
        ("Relay.Example", "Relay.Example"),
        ("my_db.internal", "my_db.internal"),
        ("127.0.0.1", "127.0.0.1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
    ],
)
def test_a_name_in_ascii(host, name):
    assert ascii_host(host) == name


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("\u00fc..example", "a host name or address before the port"),
        ("\u2665.example", "a host name or address before the port.*not allowed"),
        ("\u00fc" * 64 + ".example", "a host name or address before the port"),
        ("a b", "letters, digits and hyphens"),
        ("-a", "letters, digits and hyphens"),
        ("a." * 127 + "ab", "at most 253 characters"),
        ("::g", "an IPv6 address in the brackets"),
        ("3000", r"a host before the port, such as localhost, not \"3000\""),
        ("0x7f000001", "a host before the port"),
        ("1.2.3", "an IPv4 address of four numbers"),
        ("10.0.0.1.", "an IPv4 address of four numbers"),
    ],
)
def test_what_no_resolver_finds_is_refused(host, says):
    with pytest.raises(ValueError, match=says):
        ascii_host(host)
