"""Loopback ports that nobody else gets, and whether a program listens at one."""

import socket
from pathlib import Path
from typing import Final

LOOPBACK: Final = "127.0.0.1"

_LISTEN: Final = "0A"
"""A state of the kernel's table."""


class Ports:
    """Loopback ports that stay reserved until ``close``.

    A bound socket that does not listen keeps the kernel from giving the port away, and SO_REUSEADDR lets the
    program under test listen on it all the same.
    """

    def __init__(self) -> None:
        self._reserved: list[socket.socket] = []

    def reserve(self, host: str = LOOPBACK) -> int:
        """A port that was free, and is now reserved."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        reserved = socket.socket(family, socket.SOCK_STREAM)
        self._reserved.append(reserved)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind((host, 0))
        port: int = reserved.getsockname()[1]
        return port

    def close(self) -> None:
        """Give all of them back."""
        for reserved in self._reserved:
            reserved.close()
        self._reserved.clear()


def is_listening(port: int) -> bool:
    """Whether a program listens at a port, by the kernel's table: iperf3 takes a connection for a client."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(row[1].endswith(f":{port:04X}") and row[3] == _LISTEN for row in rows)
