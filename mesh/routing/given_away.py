"""What is shown to some agents only and told to all the same: warned of, as nothing else would show it."""

from collections.abc import Collection, Iterator
from typing import Final

from mesh.routing.counterparts import some_of
from mesh.routing.records import ListenerEntry, Shown
from mesh.routing.routes import RouteSnapshot

MAX_TOLD: Final = 4
"""Keys that are warned of, of each kind."""


def given_away(routes: RouteSnapshot, own: Shown, listeners: Collection[ListenerEntry]) -> Iterator[str]:
    """A line for people of each way in which the mesh hears of keys that are not for all of it.

    Args:
        routes: of this agent.
        own: what it shows to some agents only.
        listeners: of which it tells the whole mesh.
    """
    told = {entry.key for entry in listeners}
    by_listener: dict[str, list[str]] = {}
    for record in routes.records.values() if told else ():
        for key in told.intersection(entry.key for entry in record.shown.endpoints):
            by_listener.setdefault(key, []).append(record.name)
    for key, names in sorted(by_listener.items())[:MAX_TOLD]:
        yield (
            f"the whole mesh is told of the listener of {key!r}, which {some_of(sorted(names))} shows to "
            "those only that may use it: give it visibility: granted"
        )
    by_certificate: dict[str, list[str]] = {}
    hidden = {entry.key for entry in own.endpoints}
    for record in routes.records.values() if hidden else ():
        certificate = record.certificate
        for key in hidden.intersection((*certificate.may_use, *certificate.may_register)):
            by_certificate.setdefault(key, []).append(record.name)
    for key, names in sorted(by_certificate.items())[:MAX_TOLD]:
        yield (
            f"{key!r} has visibility: granted, and the whole mesh reads it in the certificate of "
            f"{some_of(sorted(names))}: sign it for a pattern that does not spell the key"
        )
