"""A pair session: a secret of one ingress instance and one exit instance, and the keys that come of it.

It comes of the handshake of a full OPEN, whose hash contains both IDs, both instances and the connection::

    secret = HMAC-SHA256(chaining key, "mesh pair session" || handshake hash)
    name   = HKDF-Expand(secret, "mesh pair name", 16)
    keys   = HKDF-Expand(secret, "mesh pair key" || ingress instance || exit instance || connection u64, 64)

The first half of a connection's keys is for what the ingress sends, the second for what the exit sends. All
parts of what they are for have a fixed size, so no two connections have the same; and no two pair sessions
have the same secret. A key tells nothing of the secret, nor of another key.

Source: RFC 5869, section 2.3, with SHA-512: one block of output is all that is taken, so a connection costs
two hashes at each end. The RFC asks for a key as long as the hash; HMAC takes any, and
the secret has 256 bits as all keys here.
"""

import struct
from hashlib import sha512
from typing import Final

from mesh.trust.identity import Instance

SECRET_LABEL: Final = b"mesh pair session"
PAIR_NAME_BYTES: Final = 16
"""Of a pair session's name on the wire: no two that an exit knows have the same one, except by chance."""

_NAME_LABEL: Final = b"mesh pair name"
_KEY_LABEL: Final = b"mesh pair key"
_CONNECTION: Final = struct.Struct(">Q")
_KEY_BYTES: Final = 32

MAX_AHEAD: Final = 64
"""Connections whose keys are derived before they are wanted, the latest: one for each listener, mostly."""

_BLOCK_BYTES: Final = 128
_INNER_PAD: Final = bytes(each ^ 0x36 for each in range(256))
_OUTER_PAD: Final = bytes(each ^ 0x5C for each in range(256))
"""What HMAC makes of each byte of a key, in its two hashes."""


class PairSession:
    """What two instances share for a while.

    Args:
        secret: 32 bytes.
        ingress: instance of the ingress.
        exit_: instance of the exit.
    """

    __slots__ = ("_ahead", "_info", "_inner", "_outer", "name")

    def __init__(self, secret: bytes, ingress: Instance, exit_: Instance) -> None:
        # HMAC (RFC 2104) is written out: half of what two calls of hmac.digest() for each connection take.
        block = secret.ljust(_BLOCK_BYTES, b"\0")
        self._inner, self._outer = block.translate(_INNER_PAD), block.translate(_OUTER_PAD)
        self._info = _KEY_LABEL + ingress + exit_
        self.name = self._expand(_NAME_LABEL)[:PAIR_NAME_BYTES]
        """By which the exit finds it again; it tells nothing of the secret."""

        self._ahead: dict[int, tuple[bytes, bytes]] = {}

    def prepare(self, connection: int) -> None:
        """Derive the keys of a connection that is yet to come."""
        if len(self._ahead) >= MAX_AHEAD:
            del self._ahead[next(iter(self._ahead))]
        self._ahead[connection] = self._derive(connection)

    def keys(self, connection: int) -> tuple[bytes, bytes]:
        """The 32-byte keys of a connection: of what the ingress sends, of what the exit sends."""
        return self._ahead.pop(connection, None) or self._derive(connection)

    def _derive(self, connection: int) -> tuple[bytes, bytes]:
        keys = self._expand(self._info + _CONNECTION.pack(connection))
        return keys[:_KEY_BYTES], keys[_KEY_BYTES:]

    def _expand(self, info: bytes) -> bytes:
        """HKDF-Expand, its first block."""
        return sha512(self._outer + sha512(self._inner + info + b"\x01").digest()).digest()
