"""Which target is fuzzed next, and for how long: every target gets as much time as any other.

A target's executions differ in cost by a factor of a hundred, so an equal part of the executions would leave
nearly all of the time to the slowest. Each has a minimum of executions; what is left goes to where the least
time has been spent.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

MIN_PART: Final = 100
"""Each target gets at least this part of all executions: a hundredth."""

FIRST_SLICE: Final = 2_000
"""Executions that show how fast a target is."""

SLICE_S: Final = 60.0
"""CPU seconds of one slice: each begins by reading the corpus, which takes some of them."""


class Slice(msgspec.Struct, frozen=True):
    """What is to be run next."""

    name: str
    runs: int


class Tally(msgspec.Struct):
    """What has been done for one target."""

    executions: int = 0
    cpu_s: float = 0.0
    """Of these executions."""
    set_up_s: float = 0.0
    """CPU seconds that its processes took to set up."""
    has_failed: bool = False
    """Something was found: it is not run again."""

    @property
    def rate(self) -> float:
        """Executions in a CPU second, at least one."""
        return max(1.0, self.executions / self.cpu_s) if self.cpu_s > 0 else 1.0


class Campaign:
    """Divides ``runs`` executions among ``names``."""

    def __init__(self, names: Sequence[str], runs: int) -> None:
        self.tallies: Final = {name: Tally() for name in names}
        self.runs: Final = runs
        self._minimum: Final = max(1, runs // max(MIN_PART, len(names)))

    @property
    def executions(self) -> int:
        """Of all targets so far."""
        return sum(tally.executions for tally in self.tallies.values())

    def took(self, name: str, *, executions: int, cpu_s: float, set_up_s: float, has_failed: bool) -> None:
        """A slice of ``name`` has ended."""
        tally = self.tallies[name]
        tally.executions += executions
        tally.cpu_s += cpu_s
        tally.set_up_s += set_up_s
        tally.has_failed = has_failed

    def next(self) -> Slice | None:
        """What to run next; None once all is done, or every target has failed."""
        left = self.runs - self.executions
        active = {name: tally for name, tally in self.tallies.items() if not tally.has_failed}
        if left <= 0 or not active:
            return None
        for name, tally in active.items():
            missing = self._minimum - tally.executions
            if missing > 0:
                most = int(SLICE_S * tally.rate) if tally.executions else FIRST_SLICE
                return Slice(name, min(missing, most, left))
        name = min(active, key=lambda each: active[each].cpu_s)
        tally = active[name]
        seconds = min(SLICE_S, _level(list(active.values()), left) - tally.cpu_s)
        return Slice(name, min(left, max(1, FIRST_SLICE, int(seconds * tally.rate))))


def _level(tallies: Sequence[Tally], left: int) -> float:
    """CPU seconds that each of ``tallies`` has had at the end, if ``left`` executions even them out."""
    level, rates, spent = 0.0, 0.0, 0.0
    for tally in sorted(tallies, key=lambda each: each.cpu_s):
        if rates and tally.cpu_s >= level:
            break
        rates += tally.rate
        spent += tally.rate * tally.cpu_s
        level = (left + spent) / rates
    return level
