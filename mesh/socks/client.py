"""The client's end of a SOCKS5 handshake without a password: what to send, and what the answers mean."""

from types import MappingProxyType
from typing import Final

from mesh.socks.numbers import CONNECT, VERSION, AddressKind, Method, Reply

MAX_NAME_BYTES: Final = 255

GREETING: Final = bytes((VERSION, 1, Method.NONE))

WITNESSED_GREETING: Final = bytes((VERSION, 2, Method.WITNESSED, Method.NONE))
"""Of a client that wants to know whether its stream was cut off."""

ANSWER_BYTES: Final = 2
"""To a greeting."""

REPLY_BYTES: Final = 10
"""To a request, of an agent, which always tells an IPv4 address."""

MEANINGS: Final = MappingProxyType(
    {
        Reply.FAILED: "the agent could not serve it",
        Reply.NOT_ALLOWED: "not permitted by a certificate or an endpoint's list; mesh who-can says by which",
        Reply.NETWORK_UNREACHABLE: "no path leads to an agent that offers it",
        Reply.HOST_UNREACHABLE: "nobody offers it",
        Reply.REFUSED: "its target refuses connections",
        Reply.TTL_EXPIRED: "no answer in time",
    }
)
"""Of the codes that an agent sends to a request that is well formed."""


def request(host: str) -> bytes:
    """The request to be connected to ``host``.

    Raises:
        ValueError: the name is empty or too long; the message is for people.
    """
    name = host.encode()
    if not 0 < len(name) <= MAX_NAME_BYTES:
        raise ValueError(f"expected a name of 1 to {MAX_NAME_BYTES} bytes, not of {len(name)}")
    return bytes((VERSION, CONNECT, 0, AddressKind.NAME, len(name))) + name + bytes(2)


def code_of(answer: bytes) -> Reply:
    """The code of a reply.

    Raises:
        ValueError: it is none.
    """
    if len(answer) < 2 or answer[0] != VERSION:
        raise ValueError("expected a reply of SOCKS5")
    return Reply(answer[1])
