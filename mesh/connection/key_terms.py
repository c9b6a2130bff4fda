"""How long the keys of a connection serve, and what new ones are made from."""

from collections.abc import Callable
from math import inf
from typing import Final

import msgspec

from mesh.connection.session import Session
from mesh.remembered import Remembered
from mesh.token_bucket import TokenBucket
from mesh.trust.identity import AgentId
from mesh.trust.noise.primitives import KeyPair, SharedSecrets

KEY_AGE_S: Final = 3_600.0
KEY_BYTE_COUNT: Final = 64 * 1024**3
"""What one pair of keys serves for, both directions together."""

LEAST_KEY_AGE_S: Final = 10.0
"""No end asks sooner after a change; one that does is a flood. 64 GiB in so short a time no agent carries."""

REKEY_PATIENCE_S: Final = 120.0
"""An end that answers everything else, but does not change its keys for so long, will not."""

ANSWER_RATE: Final = 50.0
"""Requests for new keys a second, over all connections with one agent, that are answered: 1 % of a core. A
thousand connections that began together ask for less than five. One more is answered when it is repeated."""

ANSWER_BURST: Final = 200.0
"""At once: 40 ms of a core."""

INGRESS_SHARE: Final = 7 / 8
SPREAD: Final = 1 / 16
"""The ingress asks after the former share of the age, and up to the latter later, so that connections which
began together do not change their keys in one moment. An exit asks only if the ingress has not."""


class KeyLimits(msgspec.Struct, frozen=True):
    """How long one pair of keys serves, and what is borne of the other end."""

    age_s: float = KEY_AGE_S
    byte_count: int = KEY_BYTE_COUNT
    least_age_s: float = LEAST_KEY_AGE_S
    patience_s: float = REKEY_PATIENCE_S

    def of(self, session: Session) -> tuple[float, float]:
        """How old the keys of a connection become at this end, in seconds, and how many bytes they carry."""
        if not session.renews_keys:
            return inf, inf
        if session.is_exit:
            return self.age_s, float(self.byte_count)
        spread_share = INGRESS_SHARE + SPREAD * int(session.id[:2], 16) / 256
        return self.age_s * spread_share, float(int(self.byte_count * INGRESS_SHARE))


def _answer_budget() -> TokenBucket:
    return TokenBucket(ANSWER_RATE, ANSWER_BURST)


class KeyTerms(msgspec.Struct, frozen=True):
    """On what all connections of an agent agree on new keys."""

    static: KeyPair
    """Session key pair of this instance."""
    shared: SharedSecrets
    """Its secrets."""
    make_ephemeral: Callable[[], KeyPair]
    changed: Callable[[], None]
    """To be told of each end that has got new keys and let the former go."""
    limits: KeyLimits = KeyLimits()
    answers: Remembered[AgentId, TokenBucket] = msgspec.field(
        default_factory=lambda: Remembered(_answer_budget)
    )
    """By agent at the other ends: how many of its requests may be answered now."""
