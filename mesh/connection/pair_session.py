"""A pair session: a secret of one ingress instance and one exit instance, and the keys that come of it.

It comes of the handshake of a full OPEN, whose hash contains both IDs, both instances and the connection::

    secret = HMAC-SHA256(chaining key, "mesh pair session" || handshake hash)
    name   = HKDF-Expand(secret, "mesh pair name", 16)
    key    = HKDF-Expand(secret, "mesh pair key" || ingress instance || exit instance || connection u64
                                 || direction u8, 32)

All parts of what a key is for have a fixed size, so no two connections and directions have the same; and no
two pair sessions have the same secret. A key tells nothing of the secret, nor of another key.

Source: RFC 5869, section 2.3, with SHA-256: one block of output is all that is taken.
"""

import hmac
import struct
from typing import Final

from mesh.trust.identity import Instance

SECRET_LABEL: Final = b"mesh pair session"
PAIR_NAME_BYTES: Final = 16
"""Of a pair session's name on the wire: no two that an exit knows have the same one, except by chance."""

_NAME_LABEL: Final = b"mesh pair name"
_KEY_LABEL: Final = b"mesh pair key"
_CONNECTION: Final = struct.Struct(">QB")
_TO_EXIT: Final = 0
_TO_INGRESS: Final = 1


class PairSession:
    """What two instances share for a while.

    Args:
        secret: 32 bytes.
        ingress: instance of the ingress.
        exit_: instance of the exit.
    """

    __slots__ = ("_info", "_secret", "name")

    def __init__(self, secret: bytes, ingress: Instance, exit_: Instance) -> None:
        self._secret = secret
        self._info = _KEY_LABEL + ingress + exit_
        self.name = _expand(secret, _NAME_LABEL)[:PAIR_NAME_BYTES]
        """By which the exit finds it again; it tells nothing of the secret."""

    def keys(self, connection: int) -> tuple[bytes, bytes]:
        """The 32-byte keys of a connection: of what the ingress sends, of what the exit sends."""
        secret, info = self._secret, self._info
        return (
            _expand(secret, info + _CONNECTION.pack(connection, _TO_EXIT)),
            _expand(secret, info + _CONNECTION.pack(connection, _TO_INGRESS)),
        )


def _expand(secret: bytes, info: bytes) -> bytes:
    """HKDF-Expand, its first block."""
    return hmac.digest(secret, info + b"\x01", "sha256")
