"""X25519 key pairs and the Diffie-Hellman function of Noise.

Source: RFC 7748; Noise revision 34, section 12.1.
"""

from dataclasses import dataclass, field
from typing import Final

import nacl.bindings
import nacl.exceptions

from mesh.errors import AuthenticationError

KEY_BYTES: Final = 32
"""Length of X25519 public, private and shared keys, and of ChaCha20-Poly1305 keys."""
TAG_BYTES: Final = 16
"""Length of a Poly1305 tag."""


@dataclass(frozen=True, slots=True, eq=False)
class KeyPair:
    """An X25519 key pair, 32 bytes each; the repr hides the private half. Make it with :func:`key_pair`."""

    private: bytes = field(repr=False)
    public: bytes


def key_pair(private: bytes) -> KeyPair:
    """The key pair of 32 random bytes.

    Raises:
        ValueError: the private key is not 32 bytes.
    """
    if len(private) != KEY_BYTES:
        raise ValueError(f"expected a private key of {KEY_BYTES} bytes, found {len(private)}")
    return KeyPair(private=private, public=nacl.bindings.crypto_scalarmult_base(private))


def dh(own: KeyPair, public: bytes) -> bytes:
    """The 32-byte secret that ``own`` shares with the owner of ``public``.

    Noise leaves it open whether an all-zero result is an error. Here it is: it comes of a public key of small
    order, which contributes nothing secret, and no honest agent has one (RFC 7748, section 6.1).

    Raises:
        AuthenticationError: ``public`` is not 32 bytes, or of small order.
    """
    # The binding reads 32 bytes whatever it is given, so the length is judged here.
    if len(public) != KEY_BYTES:
        raise AuthenticationError(f"expected a public key of {KEY_BYTES} bytes, found {len(public)}")
    try:
        return nacl.bindings.crypto_scalarmult(own.private, public)
    except nacl.exceptions.RuntimeError:  # libsodium's answer to an all-zero result
        raise AuthenticationError(
            "the public key is of small order: the shared secret would be zero"
        ) from None


MAX_SHARED_SECRETS: Final = 4_096
"""Static keys whose shared secret is kept; beyond, the one that came first is forgotten."""


class SharedSecrets:
    """What a static key shares with other static keys, worked out once for each.

    Between two agents that secret is the same in every handshake, and costs a fifth of one. Whoever has the
    static key can work it out, so keeping it gives nothing away that the key beside it does not.
    """

    __slots__ = ("_max_kept", "_own", "_secrets")

    def __init__(self, own: KeyPair, max_kept: int = MAX_SHARED_SECRETS) -> None:
        self._own = own
        self._max_kept = max_kept
        self._secrets: dict[bytes, bytes] = {}

    def with_owner_of(self, public: bytes) -> bytes:
        """The 32-byte secret shared with the owner of the static key ``public``.

        Raises:
            AuthenticationError: ``public`` is not 32 bytes, or of small order.
        """
        secret = self._secrets.get(public)
        if secret is None:
            secret = dh(self._own, public)
            if len(self._secrets) >= self._max_kept:
                del self._secrets[next(iter(self._secrets))]
            self._secrets[public] = secret
        return secret
