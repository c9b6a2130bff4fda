"""An ephemeral key pair that is made before it is needed."""

from collections.abc import Callable
from typing import Final

from mesh.trust.noise.primitives import KeyPair, key_pair

EPHEMERAL_AGE_S: Final = 60.0
"""How old a key pair that was made ahead may be when it is used. An older one is not used; it is not erased
before the next is wanted."""


class KeyStock:
    """One ephemeral key pair in stock, for the next that needs it; each is given once.

    Making one takes 17 us, which nobody waits for while a connection opens.
    """

    __slots__ = ("_made_at", "_now", "_pair", "_random_bytes")

    def __init__(self, random_bytes: Callable[[int], bytes], now: Callable[[], float]) -> None:
        self._random_bytes = random_bytes
        self._now = now
        self._pair: KeyPair | None = None
        self._made_at = 0.0

    def take(self) -> KeyPair:
        """The pair in stock; a new one if there is none or it is too old."""
        pair, self._pair = self._pair, None
        if pair is None or self._now() - self._made_at > EPHEMERAL_AGE_S:
            pair = self.make()
        return pair

    def make(self) -> KeyPair:
        """A new pair, leaving the stock alone: for callers that make theirs ahead and keep it."""
        return key_pair(self._random_bytes(32))

    def refill(self) -> None:
        """Have one in stock again: to be called when nobody waits."""
        if self._pair is None:
            self._pair = self.make()
            self._made_at = self._now()
