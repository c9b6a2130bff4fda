"""Places for those who have proven nothing yet, and who goes when there are too few.

Places are counted by bucket, for addresses cost their owner little within one: an IPv4 address, or the /64 of
an IPv6 address, which is what one host has at least. While there is room, a bucket may hold any number: many
honest agents share an address. When all places are taken, the bucket that holds most loses one, drawn at
random. So one that holds no more than others keeps what it has, whoever is newer; and the oldest, which an
honest peer far away is, goes no sooner than another.
"""

import ipaddress
from typing import Generic, TypeVar

K = TypeVar("K")


def bucket_of(host: str) -> str:
    """What an address is counted as.

    Args:
        host: an IP address, in brackets or not; anything else is a bucket of its own.
    """
    if ":" not in host:
        return host
    try:
        address = ipaddress.IPv6Address(host.strip("[]").partition("%")[0])
    except ValueError:
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Address(int(address) >> 64 << 64)) + "/64"


class Places(Generic[K]):
    """Who holds one of ``most`` places; each call costs the same, however many there are.

    Args:
        most: places there are.
    """

    __slots__ = ("_bucket_of", "_fullest", "_held", "_levels", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        """Places there are; of those that are taken beyond none is taken away."""
        self._bucket_of: dict[K, str] = {}
        self._held: dict[str, _Drawable[K]] = {}
        """Who holds places, by bucket."""
        self._levels: dict[int, _Drawable[str]] = {}
        """The buckets that hold so many places."""
        self._fullest = 0
        """The most that a bucket holds."""

    def __len__(self) -> int:
        return len(self._bucket_of)

    def take(self, key: K, bucket: str, draw: float) -> K | None:
        """Give ``key`` a place; return whose it was, if there was no other.

        Args:
            key: has no place yet.
            bucket: of :func:`bucket_of`.
            draw: uniform in [0, 1).
        """
        evicted = None
        if len(self._bucket_of) >= self.most:
            buckets = self._levels[self._fullest]
            place, member = divmod(int(draw * len(buckets) * self._fullest), self._fullest)
            evicted = self._held[buckets.at(place)].at(member)
            self.leave(evicted)
        self._bucket_of[key] = bucket
        held = self._held.setdefault(bucket, _Drawable())
        self._move(bucket, len(held), len(held) + 1)
        held.add(key)
        self._fullest = max(self._fullest, len(held))
        return evicted

    def leave(self, key: K) -> bool:
        """Take back the place of ``key``; whether it had one."""
        bucket = self._bucket_of.pop(key, None)
        if bucket is None:
            return False
        held = self._held[bucket]
        self._move(bucket, len(held), len(held) - 1)
        held.remove(key)
        if not held:
            del self._held[bucket]
        if self._fullest and self._fullest not in self._levels:
            self._fullest -= 1  # the bucket that was the fullest holds so many now
        return True

    def _move(self, bucket: str, before: int, after: int) -> None:
        if before:
            level = self._levels[before]
            level.remove(bucket)
            if not level:
                del self._levels[before]
        if after:
            self._levels.setdefault(after, _Drawable()).add(bucket)


class _Drawable(Generic[K]):
    """A set whose members have numbers, so that one can be drawn."""

    __slots__ = ("_members", "_number")

    def __init__(self) -> None:
        self._members: list[K] = []
        self._number: dict[K, int] = {}

    def __len__(self) -> int:
        return len(self._members)

    def at(self, number: int) -> K:
        return self._members[number]

    def add(self, member: K) -> None:
        self._number[member] = len(self._members)
        self._members.append(member)

    def remove(self, member: K) -> None:
        """The last takes its number."""
        number, last = self._number.pop(member), self._members.pop()
        if number < len(self._members):
            self._members[number] = last
            self._number[last] = number
