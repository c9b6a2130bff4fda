"""Which ciphers are alive: each keeps the key that it was made with, where no search finds it."""

import gc
import weakref

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305


class LivingCiphers:
    """Those that a module makes from now on.

    Args:
        monkeypatch: that of the test.
        module: which makes them as ``ChaCha20Poly1305``.
    """

    def __init__(self, monkeypatch, module):
        self._alive = alive = weakref.WeakSet()

        class Cipher:
            def __init__(self, key):
                self.key, self._real = key, ChaCha20Poly1305(key)
                alive.add(self)

            def encrypt(self, *given):
                return self._real.encrypt(*given)

            def decrypt(self, *given):
                return self._real.decrypt(*given)

        monkeypatch.setattr(module, "ChaCha20Poly1305", Cipher)

    def keys(self):
        """The keys of those that are alive, sorted."""
        gc.collect()
        return sorted(cipher.key for cipher in self._alive)
