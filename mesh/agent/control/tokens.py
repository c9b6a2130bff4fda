"""Bearer tokens: who may read and change an agent by ``http.address``. The agent knows only their hashes.

A token is 32 random bytes, so a plain hash of it tells nothing and no guess succeeds: the limit on failures
spares the log and the processor, and a bearer whose token is right never waits for others' failures.
"""

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

from mesh.config.schema import TokenSection
from mesh.token_bucket import TokenBucket

TOKEN_BYTES: Final = 32
TOKEN_PREFIX: Final = "mesh_"  # noqa: S105 - what a token begins with, so that people and scanners know it

FAILURES_PER_S: Final = 1.0
FAILURES_BURST: Final = 10.0
"""Of all clients together: more of them hear that they are to wait."""


def new_token() -> str:
    """A token that nobody has had before."""
    return TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)


def token_hash(token: str) -> bytes:
    """What the configuration has of it: SHA-256, 32 bytes."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


class Tokens:
    """Those that are good now; any thread may ask."""

    def __init__(
        self,
        tokens: Iterable[TokenSection] = (),
        clock: Callable[[], float] = time.monotonic,
        unix_clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock, self._unix_clock = clock, unix_clock
        self._lock = threading.Lock()
        self._failures = TokenBucket(FAILURES_PER_S, FAILURES_BURST)
        self.revision = 0
        """Another one each time that others are good."""
        self.allow(tokens)

    def allow(self, tokens: Iterable[TokenSection], *, guard_reading: bool = False) -> None:
        """Have these be good and no others from now on, and be needed for reading too or not."""
        self._good = tuple(tokens)
        self.guard_reading = guard_reading
        self.revision += 1

    @property
    def is_empty(self) -> bool:
        """Whether none is good."""
        return not self._good

    def found(self, token: str) -> TokenSection | None:
        """What is known of a token, if anything. How long it takes tells nothing of the others."""
        given, found = token_hash(token), None
        for each in self._good:
            if hmac.compare_digest(given, each.hash):
                found = each
        return found

    def is_over(self, token: TokenSection) -> bool:
        """Whether its time is."""
        return self._unix_clock() >= token.expires_unix_s

    def may_fail(self) -> bool:
        """Whether another failure may be looked into, and be logged."""
        with self._lock:
            return self._failures.take(self._clock())
