"""Reads headers of the PROXY protocol, version 2, as a target does; written from its specification."""

import ipaddress
import struct
from typing import NamedTuple

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")
FAMILIES = {0x11: (ipaddress.IPv4Address, 4), 0x21: (ipaddress.IPv6Address, 16)}


class ProxyHeader(NamedTuple):
    source: tuple[str, int] | None
    destination: tuple[str, int] | None
    extensions: dict[int, bytes]


def parse_proxy_header(data: bytes) -> tuple[ProxyHeader, bytes]:
    """The header in front of ``data``, and what follows it."""
    signature, version, family, length = struct.unpack_from(">12sBBH", data)
    assert (signature, version) == (SIGNATURE, 0x21)
    body, rest = data[16 : 16 + length], data[16 + length :]
    assert len(body) == length
    source = destination = None
    if family:
        kind, size = FAMILIES[family]
        ports = struct.unpack_from(">HH", body, 2 * size)
        source = str(kind(body[:size])), ports[0]
        destination = str(kind(body[size : 2 * size])), ports[1]
        body = body[2 * size + 4 :]
    extensions = {}
    while body:
        kind_of, size = struct.unpack_from(">BH", body)
        extensions[kind_of] = body[3 : 3 + size]
        assert len(extensions[kind_of]) == size
        body = body[3 + size :]
    return ProxyHeader(source, destination, extensions), rest
