"""Reaching an address: look its name up, then connect to what it stands for, with staggered attempts.

A pure machine. The next address is tried beside those that are silent, and at once when one fails; the first
to accept wins. Dialers, exits and health checks all reach out this way, through :mod:`actors.reaching`.

Source: RFC 8305, sections 4 (order) and 5 (attempts).
"""

import enum
import errno
from collections.abc import Collection, Sequence
from itertools import zip_longest
from math import inf
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

from mesh.addresses import SocketAddress, TcpAddress, UnixAddress, is_ipv4
from mesh.errors import LocalProtocolError

NEXT_ADDRESS_AFTER_S: Final = 0.25
"""Silence after which the next address is tried beside the silent one: RFC 8305, section 8."""

LEAST_NEXT_ADDRESS_AFTER_S: Final = 0.01
"""The same for a name with so many addresses that the last would never be tried: the least that RFC 8305,
section 8 allows."""


class State(enum.Enum):
    """Where it stands."""

    RESOLVING = "looking the name up"
    CONNECTING = "connecting"
    REACHED = "reached"
    FAILED = "failed"


class Kind(enum.Enum):
    """Why an address could not be reached, the most telling kind first."""

    OWN_LIMIT = "own limit"
    """This process lacks descriptors or memory, so it knows nothing of the address."""
    REFUSED = "refused"
    """The host answered: nobody listens there."""
    SILENT = "silent"
    UNREACHABLE = "unreachable"
    UNRESOLVED = "unresolved"
    """The name has no address, or nobody said."""
    EXCLUDED = "excluded"
    """None of its addresses was to be tried."""


OWN_LIMITS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""What accept(2) and connect(2) answer when this process or this host lacks descriptors or memory."""

_KINDS: Final = MappingProxyType(
    {
        errno.ECONNREFUSED: Kind.REFUSED,
        errno.ENOENT: Kind.REFUSED,
        errno.ETIMEDOUT: Kind.SILENT,
        **dict.fromkeys(OWN_LIMITS, Kind.OWN_LIMIT),
    }
)
_RANKS: Final = MappingProxyType({kind: rank for rank, kind in enumerate(Kind)})


class Failure(NamedTuple):
    """Why nothing was reached."""

    kind: Kind
    reason: str
    """For people."""


class Connect(NamedTuple):
    """Effect: connect to ``address``, and report the result under ``number``."""

    number: int
    address: SocketAddress


class Unreachable(NamedTuple):
    """Effect: there is nothing left to try, or no time; what is under way is to be cancelled."""

    failure: Failure


Effect: TypeAlias = Connect | Unreachable

_ENDED: Final = (State.REACHED, State.FAILED)


class Reaching:
    """The attempts to reach one address.

    Args:
        address: a name to look up, an IP literal (one of IPv6 is "looked up" too), or a unix socket.
        now: monotonic seconds.
        within_s: for all of it, the look-up included.
        last: addresses to be tried after all others: they accepted before, and were of no use.
        without: addresses not to be tried.
    """

    __slots__ = (
        "_address",
        "_deadline",
        "_failure",
        "_last",
        "_next_at",
        "_number",
        "_remaining",
        "_stagger_s",
        "_under_way",
        "_within_s",
        "_without",
        "state",
    )

    def __init__(
        self,
        address: SocketAddress,
        now: float,
        within_s: float,
        last: Collection[SocketAddress] = (),
        without: Collection[SocketAddress] = (),
    ) -> None:
        self._address = address
        self._within_s = within_s
        self._deadline = now + within_s
        self._last = last
        self._without = without
        self._failure: Failure | None = None
        self._remaining: list[SocketAddress] = []
        self._under_way: dict[int, SocketAddress] = {}
        self._number = 0
        self._stagger_s = NEXT_ADDRESS_AFTER_S
        self._next_at = inf
        self.state = State.RESOLVING

    @property
    def due_at(self) -> float:
        """When to call :meth:`timeout`; infinite once it has ended."""
        return inf if self.state in _ENDED else min(self._deadline, self._next_at)

    def start(self, now: float) -> tuple[Effect, ...]:
        """Begin with what needs no look-up; nothing for the rest, which the caller is to look up."""
        address = self._address
        # An address that is not to be tried is looked up, so that the failure comes as that of any other.
        if isinstance(address, UnixAddress) or (is_ipv4(address.host) and address not in self._without):
            self.state = State.CONNECTING
            self._remaining = [address]
            return self._try_next(now)
        return ()

    def resolved(self, addresses: Sequence[SocketAddress], reason: str, now: float) -> tuple[Effect, ...]:
        """Take the answer of the look-up: no address means that it failed, and ``reason`` says why."""
        if self.state in _ENDED:
            return ()
        if self.state is not State.RESOLVING:
            raise LocalProtocolError("a name is looked up once")
        if not addresses:
            return self._fail(Failure(Kind.UNRESOLVED, reason or f"{self._address} has no address"))
        if self._without:
            addresses = [address for address in addresses if address not in self._without]
        if not addresses:
            return self._fail(Failure(Kind.EXCLUDED, f"no address of {self._address} is to be tried"))
        self.state = State.CONNECTING
        if len(addresses) == 1:  # as it is with most targets, for each connection
            self._remaining = [*addresses]
            return self._try_next(now)
        last = [address for address in self._last if address in addresses]
        self._remaining = [*interleaved([each for each in addresses if each not in last]), *last]
        # All are to have been tried when half of the time has passed.
        pace_s = (self._deadline - now) / 2 / len(self._remaining)
        self._stagger_s = max(LEAST_NEXT_ADDRESS_AFTER_S, min(NEXT_ADDRESS_AFTER_S, pace_s))
        return self._try_next(now)

    def failed(self, number: int, error_number: int, reason: str, now: float) -> tuple[Effect, ...]:
        """Take note that the attempt ``number`` failed: what comes next need not wait for its time."""
        if self._under_way.pop(number, None) is None or self.state is not State.CONNECTING:
            return ()
        failure = self._noted(Failure(_KINDS.get(error_number, Kind.UNREACHABLE), reason))
        if self._remaining:
            return self._try_next(now)
        if self._under_way:
            return ()
        return self._fail(failure)

    def connected(self, number: int) -> SocketAddress | None:
        """Take note that the attempt ``number`` succeeded, and return its address.

        ``None`` if another was faster; else what is still under way is to be cancelled.
        """
        address = self._under_way.pop(number, None)
        if address is None or self.state is not State.CONNECTING:
            return None
        self.state = State.REACHED
        return address

    def timeout(self, now: float) -> tuple[Effect, ...]:
        """Do what is due; too early is no harm."""
        if self.state in _ENDED:
            return ()
        if now >= self._deadline:
            if self.state is State.RESOLVING:
                return self._fail(
                    Failure(
                        Kind.UNRESOLVED, f"no answer to the look-up of its name within {self._within_s:g} s"
                    )
                )
            return self._fail(self._noted(Failure(Kind.SILENT, f"no answer within {self._within_s:g} s")))
        if now >= self._next_at:
            return self._try_next(now)
        return ()

    def _try_next(self, now: float) -> tuple[Effect, ...]:
        self._number += 1
        address = self._under_way[self._number] = self._remaining.pop(0)
        self._next_at = now + self._stagger_s if self._remaining else inf
        return (Connect(self._number, address),)

    def _noted(self, failure: Failure) -> Failure:
        """Take note of ``failure``; return the most telling one so far."""
        known = self._failure
        if known is None or _RANKS[failure.kind] < _RANKS[known.kind]:
            self._failure = known = failure
        return known

    def _fail(self, failure: Failure) -> tuple[Effect, ...]:
        self.state = State.FAILED
        return (Unreachable(failure),)


def interleaved(addresses: Sequence[SocketAddress]) -> list[SocketAddress]:
    """The addresses with their families taking turns, each in its own order: RFC 8305, section 4.

    The family of the first goes first. So a host whose IPv6 is dead costs one attempt and not all of them.
    """
    families: dict[bool, list[SocketAddress]] = {}
    for address in addresses:
        is_ipv6 = isinstance(address, TcpAddress) and ":" in address.host
        families.setdefault(is_ipv6, []).append(address)
    turns = zip_longest(*families.values())
    return [address for turn in turns for address in turn if address is not None]
