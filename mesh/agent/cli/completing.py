"""What a shell may complete: keys, agents and connections, as the running agent knows them.

Whoever presses Tab waits, so it is asked once and briefly, and where nobody answers nothing is offered. What
others in the mesh have chosen becomes part of a command line: only names that mean nothing to a shell are
offered.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

import click
import msgspec

from mesh.agent.control.requests import AGENTS, CONNECTIONS, ENDPOINTS, LISTENERS, SERVICES

PATIENCE_S: Final = 1.0
"""For the answer."""

MAX_ROWS: Final = 1_000

_PLAIN: Final = re.compile(r"[\w@%+./][\w@%+./-]*", re.ASCII)
"""What no shell takes for anything else, nor a command for an option."""

Completer = Callable[[click.Context, click.Parameter, str], list[str]]


class _Named(msgspec.Struct, frozen=True):
    """A row of any list: what it is called there."""

    key: str = ""
    name: str = ""
    id: str = ""
    is_local: bool = False
    origin: str = ""
    offer_count: int = 0


class _Rows(msgspec.Struct, frozen=True):
    """A list; connections have a name of their own for it."""

    rows: tuple[_Named, ...] = ()
    connections: tuple[_Named, ...] = ()


def _offering(names: Callable[[click.Context], Iterable[str]]) -> Completer:
    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
        del parameter
        found = dict.fromkeys(name for name in names(context) if _PLAIN.fullmatch(name))
        return sorted(name for name in found if name.startswith(incomplete))

    return complete


def _asked(context: click.Context, place: str) -> _Rows:
    """The list at ``place``; an empty one if nobody answers."""
    # Not above: nobody who gives a command needs these.
    from mesh.agent.control.client import AgentClient, NotRunning, NotUnderstood, Refused  # noqa: PLC0415
    from mesh.agent.finding import control_socket  # noqa: PLC0415
    from mesh.errors import MeshError  # noqa: PLC0415

    try:
        path = control_socket(_given(context, "config"), _given(context, "socket", "place"))
        return AgentClient(path, PATIENCE_S, at=_at(context)).get(place, _Rows)
    except (MeshError, NotRunning, NotUnderstood, Refused, OSError):
        return _Rows()


def _given(context: click.Context, *names: str) -> Path | None:
    """The first of these options that the command line has."""
    given = (context.params.get(name) for name in names)
    return next((Path(each) for each in given if each is not None), None)


def _at(context: click.Context) -> str | None:
    """Which other agent the command line means."""
    at = context.params.get("at") or context.find_root().params.get("at")
    return None if at is None else str(at)


def _services(context: click.Context) -> Iterator[str]:
    rows = _asked(context, f"{SERVICES}?limit={MAX_ROWS}").rows
    return (each.key for each in rows if each.offer_count)


def _agents(context: click.Context) -> Iterator[str]:
    rows = _asked(context, f"{AGENTS}?limit={MAX_ROWS}").rows
    return (each.name for each in rows if not each.is_local)


def _own(place: str) -> Callable[[click.Context], Iterator[str]]:
    def names(context: click.Context) -> Iterator[str]:
        rows = _asked(context, f"{place}?limit={MAX_ROWS}").rows
        return (each.key for each in rows if each.origin != "file")

    return names


def _connections(context: click.Context) -> Iterator[str]:
    return (each.id for each in _asked(context, f"{CONNECTIONS}?limit=200").connections)


def _both(context: click.Context) -> Iterator[str]:
    yield from _services(context)
    yield from _agents(context)


offered_keys: Final = _offering(_services)
"""Keys that somebody offers."""
agents: Final = _offering(_agents)
"""Other agents, by name."""
keys_and_agents: Final = _offering(_both)
own_listeners: Final = _offering(_own(LISTENERS))
"""Keys of this agent's listeners that are not in its file."""
own_endpoints: Final = _offering(_own(ENDPOINTS))
"""The same of its endpoints."""
connections: Final = _offering(_connections)
"""IDs of open connections."""
