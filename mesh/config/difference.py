"""What it takes to make a running agent, made from one configuration, into one made from another.

Services are added, changed and removed one by one, and what is equal is not touched. Of the other keys some
take effect while the agent runs and the rest when it starts anew: both are told by name.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from mesh.config.schema import Config
from mesh.config.services import Service, services

LIVE: Final = frozenset(
    {
        "agent.name",
        "agent.key_mode",
        "agent.drain_timeout",
        "agent.relay",
        "audit",
        "trust.authorities",
        "trust.certificate",
        "connections.timeout",
        "connections.open_timeout",
        "connections.reroute_timeout",
        "connections.idle_probe",
        "connections.congestion_control",
        "http",
        "limits.stream_buffer",
        "limits.relay_buffer",
        "limits.pending_opens",
        "limits.unauthenticated_links",
        "logging",
        "routing.advertise_interval",
        "routing.route_ttl",
        "routing.max_hops",
    }
)
"""Keys, and sections as a whole, that take effect while the agent runs."""

SERVICES: Final = frozenset({"accept", "peers", "forward"})
"""Sections whose entries are services."""


class Difference(msgspec.Struct, frozen=True):
    """From one configuration to another."""

    added: Mapping[str, Service]
    """By name, as in :func:`~mesh.config.services.services`."""
    changed: Mapping[str, Service]
    """As they are to be."""
    removed: Mapping[str, Service]
    """As they have been."""
    live: tuple[str, ...]
    """Paths of other keys that differ and take effect at once."""
    at_start: tuple[str, ...]
    """Paths of those that take effect when the agent starts anew."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do or to tell."""
        return not (self.added or self.changed or self.removed or self.live or self.at_start)


NOTHING: Final = Difference(added={}, changed={}, removed={}, live=(), at_start=())


def difference(before: Config, after: Config) -> Difference:
    """What there is to do for an agent that runs with ``before`` to be one with ``after``."""
    old, new = services(before), services(after)
    differing = tuple(_differing(before, after))
    return Difference(
        added={name: section for name, section in new.items() if name not in old},
        changed={name: section for name, section in new.items() if name in old and old[name] != section},
        removed={name: section for name, section in old.items() if name not in new},
        live=tuple(path for path in differing if is_live(path)),
        at_start=tuple(path for path in differing if not is_live(path)),
    )


def is_live(path: str) -> bool:
    """Whether a key outside of the services takes effect while the agent runs."""
    return path in LIVE or path.partition(".")[0] in LIVE


def applied(before: Config, after: Config) -> Config:
    """What an agent runs with that was started with ``before`` and told of ``after``.

    It has the keys of ``before`` that take effect at the start only: they are told at the next change, too.
    """
    kept: dict[str, dict[str, object]] = {}
    whole: dict[str, object] = {}
    for path in difference(before, after).at_start:
        section, _, key = path.partition(".")
        old = getattr(before, section)
        if not key:
            whole[section] = old
        else:
            field = _field_of(type(old), key)
            kept.setdefault(section, {})[field] = getattr(old, field)
    partly = {
        section: msgspec.structs.replace(getattr(after, section), **values)
        for section, values in kept.items()
    }
    return msgspec.structs.replace(after, **whole, **partly)


def _differing(before: Config, after: Config) -> Iterator[str]:
    """Paths of keys that differ, services aside; of a section that only one of them has, its own."""
    for name in Config.__struct_fields__:
        old, new = getattr(before, name), getattr(after, name)
        if name in SERVICES or old == new:
            continue
        if old is None or new is None:
            yield name
            continue
        for field in msgspec.structs.fields(type(old)):
            if getattr(old, field.name) != getattr(new, field.name):
                yield f"{name}.{field.encode_name}"


def _field_of(section: type[msgspec.Struct], key: str) -> str:
    return next(field.name for field in msgspec.structs.fields(section) if field.encode_name == key)
