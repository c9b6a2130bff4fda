"""``mesh revoke`` and ``mesh revocations``: taking agents out of the mesh, and who is."""

import base64
import shlex
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

import click

from mesh.agent.cli import completing
from mesh.agent.cli.asking import Agent, asking_agent, asks_agent
from mesh.agent.cli.certificate_command import Validity
from mesh.agent.cli.failure import Failure, told_plainly
from mesh.agent.cli.passphrases import read_authority, takes_passphrase
from mesh.agent.cli.standard_streams import say
from mesh.agent.cli.tables import table
from mesh.agent.cli.times import counted, moment
from mesh.agent.cli.whole import all_rows
from mesh.agent.control.client import AgentClient
from mesh.agent.control.mesh_rows import AgentRow
from mesh.agent.control.requests import AGENTS, REVOCATION_LISTS, REVOCATIONS, ListsRequest
from mesh.agent.control.revocation_rows import ListRow, RevocationRow, Taken
from mesh.agent.finding import control_socket
from mesh.agent.revocation_file import read_lists, write_lists
from mesh.errors import RemoteProtocolError
from mesh.escaping import escaped
from mesh.trust.certificates import TrustStore
from mesh.trust.identity import AgentId, Identity, display_id
from mesh.trust.list_reader import read_revocations
from mesh.trust.naming import called, is_id, named
from mesh.trust.revocations import FOR_EVER, Revocation, Revocations, SignedList, next_number, sign_list

LIST_SUFFIX: Final = ".revocations"
"""Of an authority's own list, beside its key."""

_FIRST: Final = (
    "no earlier list is beside the key: if there is one elsewhere, put it there and do this again, "
    "or whoever it names is let in again"
)

_FILE = click.Path(path_type=Path)


class _Known(NamedTuple):
    """What the agent that is asked knows; nothing if none is."""

    lists: tuple[bytes, ...] = ()
    names: Mapping[AgentId, str] = MappingProxyType({})
    """Of all agents of the mesh."""


@click.command()
@click.argument("agents", nargs=-1, required=True, metavar="AGENT...", shell_complete=completing.agents)
@click.option("--authority", "authority_file", type=_FILE, required=True, help="The authority's key file.")
@takes_passphrase
@click.option("--reason", default="", help="Why, for people: every agent shows it.")
@click.option(
    "--until",
    "until_s",
    type=Validity(),
    help="Leave it out of the list after this time: no certificate of it is valid for longer.",
)
@click.option("--undo", is_flag=True, help="Let it in again: it was a mistake.")
@click.option("--offline", is_flag=True, help="Ask no agent: only write the list beside the key.")
@click.option("--config", "-c", type=_FILE, help="The configuration of a running agent, to tell the mesh.")
@click.option("--socket", type=_FILE, help="Or its control socket.")
@told_plainly
def revoke(
    *,
    agents: tuple[str, ...],
    authority_file: Path,
    passphrase_file: Path | None,
    reason: str,
    until_s: int | None,
    undo: bool,
    offline: bool,
    config: Path | None,
    socket: Path | None,
) -> None:
    """Take agents out of the mesh, each by its name or ID: at once, and whatever certificate they show.

    Every agent that hears of it closes its links to them, ends connections with them, and forgets what they
    offer. The authority's list of all whom it has revoked is kept beside its key, and a running agent tells
    the mesh of it. A machine that is to come back gets a new identity.

    \b
    mesh revoke laptop-7 --authority authority.key --reason 'was stolen'
    mesh revoke 0123456789abcdef0123456789abcdef --authority authority.key --offline
    """
    signer = read_authority(authority_file, passphrase_file)
    file = authority_file.with_suffix(LIST_SUFFIX)
    with asking_agent():
        client = None if offline else AgentClient(control_socket(config, socket))
        known = _Known() if client is None else _known(Agent(client, as_json=False))
        now = time.time()
        number, entries = _held(signer, (*read_lists(file), *known.lists), now)
        said = []
        for agent_id, name in _meant(agents, known.names, entries):
            who = f"{named(name, agent_id)} ({display_id(agent_id)})"
            if undo:
                if entries.pop(agent_id, None) is None:
                    raise Failure(f"{who} is not in the list of this authority")
                said.append(f"{who} is revoked no more")
            else:
                until = FOR_EVER if until_s is None else int(now) + until_s
                said.append(f"{who} {'was revoked before' if agent_id in entries else 'is revoked'}")
                entries[agent_id] = Revocation(agent_id, int(now), until, name, reason)
        try:
            wire = sign_list(signer, next_number(number, now), entries.values())
        except ValueError as error:
            raise Failure(f"cannot sign: {error}") from None
        write_lists(file, (wire,))
        say("\n".join((*said, f"{file}: the list of this authority, {counted(len(entries), 'agent')}")))
        if client is None:
            if not number:
                say(_FIRST)
            say(f"tell the mesh by any of its agents: mesh revocations --add {shlex.quote(str(file))}")
        else:
            client.post(REVOCATION_LISTS, Taken, ListsRequest([base64.b64encode(wire).decode()]))
            say("the agent here has it, and tells the mesh")


@click.command()
@click.option(
    "--add", "file", type=_FILE, help="Have the agent take the lists in this file, and tell the mesh."
)
@asks_agent
def revocations(agent: Agent, *, file: Path | None) -> None:
    """List the agents that were revoked: when, by whom and why; or pass on what was signed elsewhere.

    \b
    mesh revocations
    mesh revocations --add authority.revocations
    """
    if file is not None:
        lists = read_lists(file)
        if not lists:
            raise Failure(f"{file}: expected revocation lists, found none")
        given = ListsRequest([base64.b64encode(each).decode() for each in lists])
        taken = agent.client.post(REVOCATION_LISTS, Taken, given)
        agent.tell(taken, lambda: f"{counted(taken.lists, 'list')}: the agent has it, and tells the mesh")
        return
    found = all_rows(agent, REVOCATIONS, RevocationRow)
    agent.tell(found, lambda: "\n".join(_rows(found)))


def _rows(found: Sequence[RevocationRow]) -> Iterator[str]:
    rows = [
        (
            each.agent or "?",
            each.agent_id,
            moment(each.revoked_at),
            f"{each.by} {each.signer[:8]}",
            each.reason,
        )
        for each in found
    ]
    yield from table(("agent", "id", "revoked", "by", "reason"), rows, none="nobody is revoked")


def _known(agent: Agent) -> _Known:
    lists = [base64.b64decode(row.signed) for row in all_rows(agent, REVOCATION_LISTS, ListRow)]
    rows = all_rows(agent, AGENTS, AgentRow)
    return _Known(tuple(lists), {AgentId(bytes.fromhex(row.id)): row.name for row in rows})


def _held(
    signer: Identity, lists: Iterable[bytes], now_unix_s: float
) -> tuple[int, dict[AgentId, Revocation]]:
    """Number and entries of the newest of these lists that ``signer`` has signed; those that are over not."""
    store = TrustStore([signer.public_key])
    own: list[SignedList] = []
    for wire in lists:
        with suppress(RemoteProtocolError):  # others' too
            own.append(read_revocations(wire, store))
    newest = Revocations(own).lists.get(signer.public_key)
    if newest is None:
        return 0, {}
    kept = {entry.agent_id: entry for entry in newest.read.revoked if entry.until > now_unix_s}
    return newest.read.number, kept


def _meant(
    texts: Sequence[str], names: Mapping[AgentId, str], entries: Mapping[AgentId, Revocation]
) -> Iterator[tuple[AgentId, str]]:
    """Each agent that is meant, with its name."""
    known = {**{each.agent_id: each.name for each in entries.values()}, **names}
    for text in dict.fromkeys(texts):
        if is_id(text):
            agent_id = AgentId(bytes.fromhex(text))
            yield agent_id, known.get(agent_id, "")
            continue
        found = called(known.items(), text)
        if not found:
            raise Failure(
                f"no agent here is called {escaped(text)!r}: name it by its ID, which its certificate tells "
                "(mesh certificate show)"
            )
        if len(found) > 1:
            ids = ", ".join(map(display_id, found))
            raise Failure(f"{escaped(text)!r} may be any of these agents: {ids}; name one by its ID")
        yield found[0], known[found[0]]
