"""What an issuer may pass on: its certificate says it, and whoever reads what it signed holds it to that."""

from typing import Annotated, Final, TypeAlias

import msgspec

from mesh.trust.patterns import Comparison

MAX_PATTERN_CHARACTERS: Final = 255
MAX_GROUPS: Final = 16
"""Of one agent: its certificate is carried everywhere."""
MAX_GROUP_CHARACTERS: Final = 63

MAX_ISSUER_BYTES: Final = 1024
"""Of an issuer's certificate: half is left for what stands around it in another."""

MAX_LONGEST_S: Final = 2**38
"""Longer than any certificate can be valid."""

MAX_COMPARISONS: Final = 1024
"""Pairs of patterns, for one certificate; a usual one makes a handful."""

Pattern: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_PATTERN_CHARACTERS)]
Group: TypeAlias = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\Z",
        min_length=1,
        max_length=MAX_GROUP_CHARACTERS,
    ),
]
"""Needs no quotes in a configuration or a shell, and has one spelling."""
Groups: TypeAlias = Annotated[tuple[Group, ...], msgspec.Meta(max_length=MAX_GROUPS)]


class Passing(msgspec.Struct, frozen=True, kw_only=True):
    """What a certificate grants, of that which an issuer can pass on."""

    register: tuple[str, ...]
    use: tuple[str, ...]
    relay: bool
    manage: bool
    groups: tuple[str, ...]

    @property
    def rights(self) -> tuple[str, ...]:
        """Each as it is written on the command line."""
        return _written(self.register, self.use, self.groups, relay=self.relay, manage=self.manage)


class IssuingLimits(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What an issuer's certificates may grant at most; it need not have these rights itself."""

    longest_s: Annotated[int, msgspec.Meta(ge=1, le=MAX_LONGEST_S)]
    """For how many seconds one may be valid."""
    may_register: tuple[Pattern, ...] = ()
    may_use: tuple[Pattern, ...] = ()
    may_relay: bool = False
    may_manage: bool = False
    groups: tuple[Pattern, ...] = ()
    """Patterns of the groups that it may put agents into."""

    @property
    def rights(self) -> tuple[str, ...]:
        """Each as it is written on the command line."""
        return _written(
            self.may_register, self.may_use, self.groups, relay=self.may_relay, manage=self.may_manage
        )

    def excess(self, wanted: Passing) -> str:
        """What of ``wanted`` it may not pass on, to end a sentence; empty if there is nothing.

        A pattern may be passed on if one of these is certain to match all that it matches.
        """
        lists = (
            ("to register", wanted.register, self.may_register),
            ("to use", wanted.use, self.may_use),
            ("the group", wanted.groups, self.groups),
        )
        pairs = sum(len(patterns) * len(limits) for _, patterns, limits in lists)
        if pairs > MAX_COMPARISONS:
            return f"more than can be compared: {pairs:,} pairs of patterns, at most {MAX_COMPARISONS:,}"
        comparison = Comparison()
        for what, patterns, limits in lists:
            for pattern in patterns:
                if not any(comparison.is_within(pattern, limit) for limit in limits):
                    return f"{what} {pattern!r}"
        if wanted.relay and not self.may_relay:
            return "to relay"
        return "to manage others" if wanted.manage and not self.may_manage else ""


def _written(
    register: tuple[str, ...], use: tuple[str, ...], groups: tuple[str, ...], *, relay: bool, manage: bool
) -> tuple[str, ...]:
    """Rights as they are written on the command line."""
    lists = (("register", register), ("use", use), ("group", groups))
    plain = (("relay", relay), ("manage", manage))
    return (
        *(f"{word}={pattern}" for word, patterns in lists for pattern in patterns),
        *(word for word, granted in plain if granted),
    )
