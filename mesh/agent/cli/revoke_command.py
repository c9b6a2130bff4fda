"""``mesh revoke`` and ``mesh revocations``: taking agents out of the mesh, and who is."""

import base64
import shlex
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

import click

from mesh.agent.cli import completing
from mesh.agent.cli.asking import Agent, agent_meant, asking_agent, asks_agent
from mesh.agent.cli.certificate_command import Validity
from mesh.agent.cli.failure import Failure, told_plainly
from mesh.agent.cli.passphrases import read_authority, takes_passphrase
from mesh.agent.cli.standard_streams import say
from mesh.agent.cli.tables import table
from mesh.agent.cli.times import counted, moment
from mesh.agent.cli.whole import all_rows
from mesh.agent.control.client import AgentClient, NotUnderstood
from mesh.agent.control.mesh_rows import AgentRow
from mesh.agent.control.requests import AGENTS, REVOCATION_LISTS, REVOCATIONS, ListsRequest, RevokeRequest
from mesh.agent.control.revocation_rows import IssuerChange, ListRow, RevocationRow, Taken
from mesh.agent.finding import control_socket
from mesh.agent.revocation_changes import (
    Became,
    Change,
    NotSignedError,
    Wish,
    in_full,
    meant,
    newest_of,
    next_list,
)
from mesh.agent.revocation_file import read_lists, write_lists
from mesh.trust.identity import AgentId
from mesh.trust.naming import is_id

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
@click.option(
    "--authority", "authority_file", type=_FILE, help="Sign with this authority's key, not as an issuer."
)
@takes_passphrase
@click.option("--reason", default="", help="Why, for people: every agent shows it.")
@click.option(
    "--until",
    "for_s",
    type=Validity(),
    help="Leave it out of the list after this time: no certificate of it is valid for longer.",
)
@click.option("--undo", is_flag=True, help="Let it in again: it was a mistake.")
@click.option("--dry-run", is_flag=True, help="Only say what would be.")
@click.option("--offline", is_flag=True, help="Ask no agent: only write the authority's list beside its key.")
@click.option(
    "--at", metavar="AGENT", shell_complete=completing.agents, help="The issuer, by its name or ID."
)
@click.option("--config", "-c", type=_FILE, help="The configuration of a running agent, to tell the mesh.")
@click.option("--socket", type=_FILE, help="Or its control socket.")
@told_plainly
def revoke(
    *,
    agents: tuple[str, ...],
    authority_file: Path | None,
    passphrase_file: Path | None,
    reason: str,
    for_s: int | None,
    undo: bool,
    dry_run: bool,
    offline: bool,
    at: str | None,
    config: Path | None,
    socket: Path | None,
) -> None:
    """Take agents out of the mesh at once, each by its name or ID.

    Every agent that hears of it closes its links to them, ends connections with them, and forgets what they
    offer. An issuer revokes whom it has let in or renewed, and no certificate that others have signed: the
    agent that is asked signs with its own key. With --authority the key in that file signs, which revokes any
    agent, whatever certificate it shows; its list of all whom it has revoked is kept beside it. A machine
    that is to come back gets a new identity.

    \b
    mesh revoke laptop-7 --reason 'was stolen'
    mesh revoke laptop-7 --authority authority.key --reason 'was stolen'
    mesh revoke 0123456789abcdef0123456789abcdef --authority authority.key --offline
    """
    if authority_file is None and (offline or passphrase_file is not None):
        option = "--offline" if offline else "--passphrase-file"
        raise click.UsageError(f"{option} is of use with --authority only")
    at = agent_meant(at)
    wish = Wish(agents, reason, for_s, undo=undo, dry_run=dry_run)
    with asking_agent():
        if authority_file is None:
            _as_issuer(AgentClient(control_socket(config, socket), at=at), wish)
            return
        client = None if offline else AgentClient(control_socket(config, socket), at=at)
        _as_authority(authority_file, passphrase_file, client, wish)


def _as_issuer(client: AgentClient, wish: Wish) -> None:
    request = RevokeRequest(wish.agents, wish.reason, wish.for_s, undo=wish.undo, dry_run=wish.dry_run)
    made = client.post(REVOCATIONS, IssuerChange, request)
    with _understood():
        changes = [Change(_agent_id(row.agent_id), row.agent, row.became) for row in made.changes]
    _tell(changes, dry_run=wish.dry_run)
    if not wish.dry_run:
        say(
            f"the list of this issuer: {counted(made.revoked, 'agent')}; it tells the mesh, and says nothing "
            "of others' certificates"
        )


def _as_authority(
    authority_file: Path, passphrase_file: Path | None, client: AgentClient | None, wish: Wish
) -> None:
    signer = read_authority(authority_file, passphrase_file)
    file = authority_file.with_suffix(LIST_SUFFIX)
    known = _Known() if client is None else _known(Agent(client, as_json=False))
    now = time.time()
    try:
        held = newest_of(signer, (*read_lists(file), *known.lists), now)
        made = next_list(signer, held, wish, meant(wish.agents, known.names, held), now)
    except NotSignedError as error:
        raise Failure(str(error)) from None
    if not wish.dry_run:
        write_lists(file, (made.wire,))
    _tell(made.changes, dry_run=wish.dry_run)
    if wish.dry_run:
        return
    say(f"{file}: the list of this authority, {counted(made.revoked, 'agent')}")
    if client is None:
        if not made.follows:
            say(_FIRST)
        say(f"tell the mesh by any of its agents: mesh revocations --add {shlex.quote(str(file))}")
    else:
        client.post(REVOCATION_LISTS, Taken, ListsRequest([base64.b64encode(made.wire).decode()]))
        say("the agent here has it, and tells the mesh")


_WORDS: Final = MappingProxyType(
    {
        Became.REVOKED: ("is revoked", "would be revoked"),
        Became.AGAIN: ("was revoked before", "is revoked already"),
        Became.LIFTED: ("is revoked no more", "would be revoked no more"),
    }
)
"""Once it is so, and if it were."""


def _tell(changes: Iterable[Change], *, dry_run: bool) -> None:
    say("\n".join(f"{in_full(each.name, each.agent_id)} {_WORDS[each.became][dry_run]}" for each in changes))


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
            each.signer_in_words,
            each.reason,
        )
        for each in found
    ]
    yield from table(("agent", "id", "revoked", "by", "reason"), rows, none="nobody is revoked")


def _known(agent: Agent) -> _Known:
    lists, rows = all_rows(agent, REVOCATION_LISTS, ListRow), all_rows(agent, AGENTS, AgentRow)
    with _understood():
        names = {_agent_id(row.id): row.name for row in rows}
        return _Known(tuple(base64.b64decode(row.signed) for row in lists), names)


@contextmanager
def _understood() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise NotUnderstood(f"the agent answers what cannot be: {error}") from None


def _agent_id(text: str) -> AgentId:
    if not is_id(text):
        raise ValueError(f"expected an agent's ID, found {text!r}")
    return AgentId(bytes.fromhex(text))
