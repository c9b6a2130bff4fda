"""The numbers of SOCKS5 and where they stand: RFC 1928 and, for a password, RFC 1929.

::

    greeting    05 | number of methods | methods
    password    01 | length | user | length | password
    request     05 | command | 00 | kind of address | address | port (2 bytes)
    reply       05 | code | 00 | 01 | 0.0.0.0 | port 0

The method ``WITNESSED`` is one of those that RFC 1928 leaves to private use, and unix sockets have it only,
whose reset looks like an end. The answer brings the read end of a pipe (``SCM_RIGHTS``). One byte comes by it
if the stream ends in order; if it ends without that, it was cut off.
"""

import enum
from typing import Final

VERSION: Final = 5
PASSWORD_VERSION: Final = 1
CONNECT: Final = 1


class Method(enum.IntEnum):
    """How a client shows who it is."""

    NONE = 0
    PASSWORD = 2
    WITNESSED = 0x80
    UNACCEPTABLE = 0xFF


class AddressKind(enum.IntEnum):
    """What the address of a request is."""

    IPV4 = 1
    NAME = 3
    IPV6 = 4


class Reply(enum.IntEnum):
    """The code of a reply."""

    SUCCEEDED = 0
    FAILED = 1
    NOT_ALLOWED = 2
    NETWORK_UNREACHABLE = 3
    HOST_UNREACHABLE = 4
    REFUSED = 5
    TTL_EXPIRED = 6
    COMMAND_UNKNOWN = 7
    ADDRESS_KIND_UNKNOWN = 8


def reply(code: Reply) -> bytes:
    """What a client is told of its request; there is no address to be told."""
    return bytes((VERSION, code, 0, AddressKind.IPV4, 0, 0, 0, 0, 0, 0))
