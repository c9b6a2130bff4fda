"""The header that tells a target who connects: PROXY protocol, version 2.

The addresses are what the ingress says of its client. The extensions are what the exit has verified: name, ID
and groups of the ingress's agent, as its certificate has them.

Source: "The PROXY protocol, versions 1 & 2", haproxy.org, sections 2.2 and 2.2.8.
"""

import ipaddress
import struct
from typing import Final

from mesh.connection.preface import Preface
from mesh.trust.certificates import Certificate
from mesh.trust.identity import display_id

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_PROXY: Final = 0x21
"""Version 2, on behalf of somebody."""
_TCP4: Final = 0x11
_TCP6: Final = 0x21
_NO_ADDRESS: Final = bytes(12)
"""0.0.0.0, port 0, twice: of a client by a unix socket, or of one that is not known. If family 0x00 said so,
HAProxy 2.6 would reset what has extensions."""

AGENT_NAME: Final = 0xE0
AGENT_ID: Final = 0xE1
AGENT_GROUPS: Final = 0xE2
"""Types that are free for any use. Values are UTF-8: the ID in hexadecimal digits, groups apart by commas."""

_HEAD: Final = struct.Struct(">12sBBH")
_EXTENSION: Final = struct.Struct(">BH")


def proxy_header(preface: Preface, ingress: Certificate) -> bytes:
    """The header for a client of the agent with this certificate."""
    family, addresses = _addresses(preface)
    extensions = b"".join(
        _EXTENSION.pack(kind, len(value)) + value
        for kind, value in (
            (AGENT_NAME, ingress.name.encode()),
            (AGENT_ID, display_id(ingress.agent_id).encode()),
            (AGENT_GROUPS, ",".join(ingress.groups).encode()),
        )
        if value
    )
    rest = addresses + extensions
    return _HEAD.pack(SIGNATURE, _PROXY, family, len(rest)) + rest


def _addresses(preface: Preface) -> tuple[int, bytes]:
    client, listener = _address(preface.client), _address(preface.listener)
    if client is None or listener is None or client[0].version != listener[0].version:
        return _TCP4, _NO_ADDRESS
    family = _TCP4 if client[0].version == 4 else _TCP6
    ports = struct.pack(">HH", client[1], listener[1])
    return family, client[0].packed + listener[0].packed + ports


def _address(name: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int] | None:
    """A host and port as sockets are named; ``None`` if it is none."""
    host, _, port = name.rpartition(":")
    try:
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]").partition("%")[0])
        number = int(port)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return (address, number) if 0 <= number <= 0xFFFF else None
