"""What commands that ask a running agent have in common: how they find it, what they print, how they end."""

import functools
import http.client
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NoReturn

import click
import msgspec

from mesh.agent.cli.failure import Failure, told_plainly
from mesh.agent.cli.standard_streams import say
from mesh.agent.control.client import AgentClient, NotRunning, NotUnderstood, Refused
from mesh.agent.control.mesh_rows import AgentRow
from mesh.agent.control.page_rows import Page
from mesh.agent.control.requests import AGENTS
from mesh.agent.finding import control_socket
from mesh.escaping import escaped

EXIT_FAILED: Final = 1
EXIT_NOT_RUNNING: Final = 3
EXIT_FORBIDDEN: Final = 4
"""By policy: a certificate, or an endpoint's ``allow``."""


ALL: Final = "all"
"""In the place of an agent's name: each that is known."""

AT_ONCE: Final = 4
"""Agents that are asked at one time if all are; as many as an agent asks for others."""


class Agent:
    """The agent that a command asks, and how it prints."""

    def __init__(self, client: AgentClient, *, as_json: bool) -> None:
        self.as_json = as_json

        self.client = client

    def tell(self, document: object, text: Callable[[], str]) -> None:
        """Print ``document`` for programs, or ``text()`` for people."""
        if self.as_json:
            say(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
        else:
            say(text())


def asks_agent(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that find an agent; its first argument is an :class:`Agent`."""
    return _asking(command, "--config", "-c")


def asks_agent_or_all(command: Callable[..., None]) -> Callable[..., None]:
    """:func:`asks_agent` for a command that ``--at all`` runs once for each agent."""
    return _asking(command, "--config", "-c", asks_all=True)


def asks_agent_at_length(command: Callable[..., None]) -> Callable[..., None]:
    """:func:`asks_agent` for a command to which ``-c`` means something else."""
    return _asking(command, "--config")


def _asking(command: Callable[..., None], *config_names: str, asks_all: bool = False) -> Callable[..., None]:
    whom = f"Ask another agent of the mesh, by its name or ID{f', or {ALL}' if asks_all else ''}."

    @click.option("--at", metavar="AGENT", help=whom)
    @click.option(*config_names, type=click.Path(path_type=Path), help="The agent's configuration file.")
    @click.option("--socket", type=click.Path(path_type=Path), help="The agent's control socket.")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    @functools.wraps(command)
    @told_plainly
    def wrapper(
        *, at: str | None, config: Path | None, socket: Path | None, as_json: bool, **arguments: object
    ) -> None:
        at = at or click.get_current_context().find_root().params.get("at")
        if at == ALL and not asks_all:
            raise click.UsageError("this command asks one agent at a time: name it")
        client = AgentClient(control_socket(config, socket), at=None if at == ALL else at)
        try:
            if at == ALL:
                sys.exit(_ask_all(client, command, arguments, as_json=as_json))
            command(Agent(client, as_json=as_json), **arguments)
        except NotRunning as absent:
            _end(str(absent), EXIT_NOT_RUNNING)
        except NotUnderstood as strange:
            _end(str(strange), EXIT_FAILED)
        except Refused as refused:
            if refused.status == http.client.FORBIDDEN:
                _end(str(refused), EXIT_FORBIDDEN)
            is_wrong = refused.status in (http.client.BAD_REQUEST, http.client.UNPROCESSABLE_ENTITY)
            text = "\n".join((*refused.problems, str(refused)))
            _end(text, Failure.exit_code if is_wrong else EXIT_FAILED)

    return wrapper


class _Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of a command at one of many agents."""

    agent: str
    id: str
    answer: object = None
    error: str = ""


class _Listening(Agent):
    """Keeps what a command tells."""

    def __init__(self, client: AgentClient) -> None:
        super().__init__(client, as_json=False)
        self.document: object = None
        self.text = ""

    def tell(self, document: object, text: Callable[[], str]) -> None:
        """Keep it."""
        self.document, self.text = document, text()


def _ask_all(
    client: AgentClient, command: Callable[..., None], arguments: Mapping[str, object], *, as_json: bool
) -> int:
    """Run a command at each agent that is known, and print a section of each; the exit status."""
    found: list[AgentRow] = []
    offset: int | None = 0
    while offset is not None:
        page = client.get(f"{AGENTS}?offset={offset}", Page[AgentRow])
        found += page.rows
        offset = page.next_offset

    def ask(row: AgentRow) -> tuple[_Told, str]:
        agent = _Listening(client.asking(row.id))
        error = ""
        try:
            command(agent, **arguments)
        except (NotRunning, NotUnderstood, Refused) as failure:
            error = str(failure)
        except SystemExit:  # the text says it
            error = agent.text
        return _Told(row.name, row.id, agent.document, error), agent.text or error

    with ThreadPoolExecutor(AT_ONCE) as threads:
        told = list(threads.map(ask, sorted(found, key=lambda row: (row.name, row.id))))
    if as_json:
        say(msgspec.json.format(msgspec.json.encode([each for each, _ in told]), indent=2).decode())
    else:
        sections = (f"== {escaped(each.agent)} {each.id}\n{text}" for each, text in told)
        say("\n\n".join(sections))
    return EXIT_FAILED if any(each.error for each, _ in told) else 0


def _end(text: str, status: int) -> NoReturn:
    click.echo(text, err=True)
    sys.exit(status)
