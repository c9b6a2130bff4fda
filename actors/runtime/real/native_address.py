"""Addresses as Python's sockets have them, made from the mesh's own and told to people."""

import errno
import os
import socket
from typing import Any, TypeAlias

from mesh.addresses import SocketAddress, TcpAddress, UnixAddress, is_ipv4

Sockaddr: TypeAlias = Any
"""Python's own form of an address: a tuple for TCP, a path for unix sockets."""


def socket_name(sockaddr: Sockaddr) -> str:
    """An address for people: ``127.0.0.1:5432``, ``[::1]:5432`` or ``unix:/path``."""
    if isinstance(sockaddr, tuple):
        if len(sockaddr) == 2:  # IPv4, as most are
            return f"{sockaddr[0]}:{sockaddr[1]}"
        return str(TcpAddress(str(sockaddr[0]), int(sockaddr[1])))
    return f"unix:{os.fsdecode(sockaddr)}"


def native_address(address: SocketAddress) -> tuple[socket.AddressFamily, Sockaddr]:
    """The family and the kernel's form of a resolved address.

    Raises:
        OSError: the host is no IP literal.
    """
    if isinstance(address, UnixAddress):
        return socket.AF_UNIX, address.path
    if is_ipv4(address.host):
        return socket.AF_INET, (address.host, address.port)
    try:
        found = socket.getaddrinfo(
            address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
        )
    except (OSError, ValueError) as error:
        raise OSError(errno.EINVAL, f"{address.host!r} is not an IP address") from error
    return found[0][0], found[0][4]
