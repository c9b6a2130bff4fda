"""What a look at an agent has found, each with its remedy."""

import enum
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec


class Level(enum.StrEnum):
    """How bad it is."""

    OK = "ok"
    NOTE = "note"
    """Worth knowing; nothing is wrong."""
    WARNING = "warning"
    """Somebody should look at it, though the agent serves or would."""
    PROBLEM = "problem"
    """The agent does not serve, or would not."""


WRONG: Final = (Level.WARNING, Level.PROBLEM)


class About(enum.StrEnum):
    """What was looked at; the order is that in which it is told."""

    CONFIGURATION = "configuration"
    CERTIFICATES = "certificates"
    PERMISSIONS = "permissions"
    PORTS = "ports"
    DESCRIPTORS = "descriptors"
    CLOCK = "clock"
    AGENT = "agent"
    PEERS = "peers"
    REVOCATIONS = "revocations"
    VERSIONS = "versions"
    EVENTS = "events"


class Check(msgspec.Struct, frozen=True):
    """One thing that was found, or that all is well."""

    about: About
    level: Level
    what: str
    remedy: str = ""
    """What to do; empty if it is plain, or stands in ``what``."""


def in_order(checks: Iterable[Check]) -> Iterator[Check]:
    """``checks`` as they are told: by what they are about, and the worst of each first, none twice."""
    levels = {level: -place for place, level in enumerate(Level)}
    places = {about: place for place, about in enumerate(About)}
    yield from sorted(dict.fromkeys(checks), key=lambda each: (places[each.about], levels[each.level]))
