"""``mesh listen``, ``unlisten``, ``expose`` and ``unexpose``: services without an editor."""

import http.client
import signal
import threading
from collections.abc import Callable, Iterable, Mapping
from types import FrameType
from typing import Final
from urllib.parse import urlencode

import click

from mesh.agent.cli import completing
from mesh.agent.cli.asking import Agent, asks_agent, not_empty
from mesh.agent.cli.following import PASSING
from mesh.agent.cli.service_remarks import Entry, remark_on_endpoint, remark_on_listener
from mesh.agent.control.client import NotRunning, Refused
from mesh.agent.control.requests import ENDPOINTS, LEASES, LISTENERS, RenewRequest, ServiceRequest
from mesh.agent.outcome import Added
from mesh.config.schema import MESH, VISIBILITIES
from mesh.escaping import escaped

HOLD_S: Final = 15.0
"""For so long the agent holds a service of a command that was killed, or whose machine sleeps."""

RENEW_S: Final = 5.0
"""How often the command says that it is still there; also how often it looks for an agent that has gone."""

ANY_PORT: Final = "127.0.0.1:0"

_at_most = click.option(
    "--max-connections", type=click.IntRange(0), default=0, help="At one time; 0: any number."
)
_visibility = click.option(
    "--visibility",
    type=click.Choice(VISIBILITIES),
    default=MESH,
    help="Who sees it: the whole mesh, or those only that may use it (granted).",
)
_now = click.option("--now", is_flag=True, help="Reset the connections that are open, too.")
_save = click.option("--save", is_flag=True, help="Keep it for good, also after a restart of the agent.")


@click.command()
@click.argument("key", shell_complete=completing.offered_keys)
@click.argument("address", default=ANY_PORT)
@click.option(
    "--agent",
    "agents",
    multiple=True,
    shell_complete=completing.agents,
    help="Believe offers of this agent, or of group:NAME, only; may be repeated.",
)
@_at_most
@_visibility
@_save
@asks_agent
def listen(
    agent: Agent,
    *,
    key: str,
    address: str,
    agents: Iterable[str],
    max_connections: int,
    visibility: str,
    save: bool,
) -> None:
    """Open a local port for KEY at ADDRESS, for as long as this command runs (Ctrl-C takes it back).

    Without ADDRESS, or with port 0, the system chooses a port of 127.0.0.1; it is printed alone. A path
    that begins with / is that of a unix socket.

    \b
    mesh listen postgres-main
    mesh listen postgres-main 127.0.0.1:5432 --save
    mesh listen postgres-main /run/app/postgres.sock
    """
    entry: dict[str, str | int | list[str]] = {"key": key, "address": address}
    if agents:
        entry["agents"] = list(agents)
    entry, shown = _narrowed(entry, max_connections, visibility), _port_of(address)
    _add(agent, LISTENERS, entry, save=save, shown=shown, remark=remark_on_listener)


@click.command()
@click.argument("key")
@click.argument("target")
@click.option(
    "--allow",
    "allowed",
    multiple=True,
    shell_complete=completing.agents,
    help="Let this agent, or group:NAME, use it only; may be repeated.",
)
@_at_most
@_visibility
@_save
@asks_agent
def expose(
    agent: Agent,
    *,
    key: str,
    target: str,
    allowed: Iterable[str],
    max_connections: int,
    visibility: str,
    save: bool,
) -> None:
    """Offer the service at TARGET as KEY, for as long as this command runs (Ctrl-C takes it back).

    \b
    mesh expose my-api localhost:3000
    mesh expose postgres-main localhost:5432 --allow branch --save
    """
    entry: dict[str, str | int | list[str]] = {"key": key, "target": target}
    if allowed:
        entry["allow"] = list(allowed)
    entry = _narrowed(entry, max_connections, visibility)
    _add(agent, ENDPOINTS, entry, save=save, shown=lambda added: added.name, remark=remark_on_endpoint)


@click.command()
@click.argument("key", callback=not_empty, shell_complete=completing.own_listeners)
@click.argument("address", required=False)
@_now
@asks_agent
def unlisten(agent: Agent, *, key: str, address: str | None, now: bool) -> None:
    """Close the local ports for KEY, or the one at ADDRESS, that mesh listen has opened.

    Connections that are open go on. A mesh listen that still holds one ends. What the configuration file
    has is taken out there.

    \b
    mesh unlisten postgres-main
    mesh unlisten postgres-main 127.0.0.1:5432 --now
    """
    wanted = {"key": key} if address is None else {"key": key, "address": address}
    _remove(agent, LISTENERS, wanted, now=now)


@click.command()
@click.argument("key", callback=not_empty, shell_complete=completing.own_endpoints)
@_now
@asks_agent
def unexpose(agent: Agent, *, key: str, now: bool) -> None:
    """Offer KEY no more, which mesh expose has offered. Connections that are open go on.

    A mesh expose that still holds it ends. What the configuration file has is taken out there.

    \b
    mesh unexpose my-api
    mesh unexpose my-api --now
    """
    _remove(agent, ENDPOINTS, {"key": key}, now=now)


def _renewed(agent: Agent, lease: str | None) -> bool:
    """Whether the agent holds it for longer; one that has been started anew does not know it."""
    try:
        agent.client.put(f"{LEASES}/{lease}", RenewRequest(HOLD_S))
    except Refused as refused:
        if refused.status != http.client.NOT_FOUND:
            raise
        return False
    return True


def _release(agent: Agent, lease: str | None) -> None:
    """Hold it no more; it may be gone already."""
    try:
        agent.client.delete(f"{LEASES}/{lease}")
    except Refused as refused:
        if refused.status != http.client.NOT_FOUND:
            raise


def _narrowed(
    entry: dict[str, str | int | list[str]], most: int, visibility: str
) -> dict[str, str | int | list[str]]:
    """``entry`` with what differs from the default."""
    if most:
        entry = entry | {"max_connections": most}
    return entry if visibility == MESH else entry | {"visibility": visibility}


def _port_of(address: str) -> Callable[[Added], str]:
    """What is printed of a listener: the port alone if it was chosen, for programs that read it."""
    is_chosen = address.rpartition(":")[2] == "0" and not address.startswith(("/", "unix:"))
    return (lambda added: added.address.rpartition(":")[2]) if is_chosen else (lambda added: added.name)


def _add(
    agent: Agent,
    place: str,
    entry: Entry,
    *,
    save: bool,
    shown: Callable[[Added], str],
    remark: Callable[[Agent, Entry, Added], None],
) -> None:
    request = ServiceRequest(dict(entry), save, HOLD_S)
    added = agent.client.post(place, Added, request)
    agent.tell(added, lambda: escaped(shown(added)))
    remark(agent, entry, added)
    if added.lease is not None:
        _hold(agent, place, entry, added)


def _remove(agent: Agent, place: str, wanted: Mapping[str, str], *, now: bool) -> None:
    how = {"now": "true"} if now else {}
    agent.client.delete(f"{place}?{urlencode({**wanted, **how})}")
    agent.tell({"removed": wanted}, lambda: f"{' '.join(wanted.values())}: taken out")


def _hold(agent: Agent, place: str, entry: Entry, added: Added) -> None:
    """Until a signal ends it: renew the lease, and ask anew if the agent has been started anew."""
    end = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        end.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    if place == LISTENERS:
        entry = {**entry, "address": added.address}  # the same port again
    lease, is_gone = added.lease, False
    while not end.wait(RENEW_S):
        try:
            if not _renewed(agent, lease):
                if not is_gone:
                    click.echo(f"{escaped(added.name)}: is not held any more; asking for it anew", err=True)
                lease = agent.client.post(place, Added, ServiceRequest(dict(entry), False, HOLD_S)).lease
                is_gone = True
            if is_gone:
                click.echo(f"{escaped(added.name)}: is there again", err=True)
            is_gone = False
        except (NotRunning, Refused) as absent:
            if isinstance(absent, Refused) and absent.status not in PASSING:
                click.echo(f"{escaped(added.name)}: is not held any more", err=True)
                raise
            if not is_gone:
                click.echo(f"{escaped(str(absent))}; waiting for it", err=True)
            is_gone = True
    if not is_gone:
        _release(agent, lease)
