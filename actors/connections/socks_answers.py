"""What a SOCKS5 client is told of its request, whoever has its socket by then."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from actors.runtime.seam import StreamSocket
from mesh.connection.reject_codes import IngressVerdict, RejectCode
from mesh.socks.numbers import Reply, reply

_CODES: Final[Mapping[str, Reply]] = MappingProxyType(
    {
        RejectCode.NOT_PERMITTED: Reply.NOT_ALLOWED,
        RejectCode.UNKNOWN_KEY: Reply.HOST_UNREACHABLE,
        RejectCode.UNRESOLVED: Reply.HOST_UNREACHABLE,
        RejectCode.UNREACHABLE: Reply.HOST_UNREACHABLE,
        RejectCode.UNAVAILABLE: Reply.REFUSED,
        RejectCode.RESTARTING: Reply.REFUSED,
        RejectCode.REFUSED: Reply.REFUSED,
        RejectCode.TIMED_OUT: Reply.TTL_EXPIRED,
        RejectCode.SLOW: Reply.TTL_EXPIRED,
        IngressVerdict.SILENT: Reply.TTL_EXPIRED,
        IngressVerdict.EXPIRED: Reply.NOT_ALLOWED,
        IngressVerdict.NOT_BELIEVED: Reply.NOT_ALLOWED,
    }
)

MAX_DISCARDED_READS: Final = 4
"""Of what a client that is refused has sent already: closing a socket with something unread resets it, and
the client might not see why."""


def reply_of(code: str, *, is_unanswered: bool) -> Reply:
    """What a client is told.

    Args:
        code: the last refusal's, as REJECT or the ingress itself says it.
        is_unanswered: somebody who might have served it had not answered when the time was over.
    """
    if is_unanswered:
        return Reply.TTL_EXPIRED
    return _CODES.get(code, Reply.FAILED)


def say(socket: StreamSocket, data: bytes) -> bool:
    """Send a few bytes to a client that reads; whether they are on their way."""
    try:
        return socket.send((data,)) == len(data)
    except OSError:
        return False  # it has gone, or does not read what it has asked for


def turn_away(socket: StreamSocket, last_words: bytes, buffer: memoryview) -> None:
    """Say it and close.

    Args:
        socket: the client's.
        last_words: what it is told.
        buffer: for what it has sent and nobody wants.
    """
    if not say(socket, last_words):
        socket.abort()
        return
    socket.shutdown_write()
    try:
        for _ in range(MAX_DISCARDED_READS):
            if not socket.recv_into(buffer):
                break
    except OSError:
        pass
    socket.close()


def refuse(socket: StreamSocket, code: Reply, buffer: memoryview) -> None:
    """Answer a request with ``code`` and close."""
    turn_away(socket, reply(code), buffer)
