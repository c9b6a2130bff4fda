"""What commands that ask a running agent have in common: how they find it, what they print, how they end."""

import contextlib
import functools
import http.client
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NoReturn

import click
import msgspec

from mesh.agent.cli import completing
from mesh.agent.cli.failure import Failure, told_plainly
from mesh.agent.cli.standard_streams import json_text, say
from mesh.agent.control.client import AgentClient, NotRunning, NotUnderstood, Refused
from mesh.agent.finding import control_socket
from mesh.escaping import escaped

EXIT_FAILED: Final = 1
EXIT_NOT_RUNNING: Final = 3
EXIT_FORBIDDEN: Final = 4
"""By policy: a certificate, or an endpoint's ``allow``."""


ALL: Final = "all"
"""In the place of an agent's name: each that is known."""


class Agent:
    """The agent that a command asks, and how it prints."""

    def __init__(self, client: AgentClient, *, as_json: bool) -> None:
        self.as_json = as_json
        self.client = client

    def tell(self, document: object, text: Callable[[], str]) -> None:
        """Print ``document`` for programs, or ``text()`` for people."""
        if self.as_json:
            say(json_text(msgspec.json.format(msgspec.json.encode(document), indent=2)))
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


def asks_agent_for_people(command: Callable[..., None]) -> Callable[..., None]:
    """:func:`asks_agent` for a command that has nothing for programs, and says so if it is asked for that."""
    return _asking(command, "--config", "-c", hides_json=True)


def not_empty(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """An argument that names something.

    Raises:
        click.BadParameter: it is empty, as of a variable that is not set.
    """
    del context, parameter
    if not value:
        raise click.BadParameter("it is empty")
    return value


def _asking(
    command: Callable[..., None], *config_names: str, asks_all: bool = False, hides_json: bool = False
) -> Callable[..., None]:
    whom = f"Ask another agent of the mesh, by its name or ID{f', or {ALL}' if asks_all else ''}."

    @click.option("--at", metavar="AGENT", shell_complete=completing.agents, help=whom)
    @click.option(*config_names, type=click.Path(path_type=Path), help="The agent's configuration file.")
    @click.option("--socket", type=click.Path(path_type=Path), help="The agent's control socket.")
    @click.option("--json", "as_json", is_flag=True, hidden=hides_json, help="Print JSON.")
    @functools.wraps(command)
    @told_plainly
    def wrapper(
        *, at: str | None, config: Path | None, socket: Path | None, as_json: bool, **arguments: object
    ) -> None:
        at = agent_meant(at, asks_all=asks_all)
        client = AgentClient(control_socket(config, socket), at=None if at == ALL else at)
        with asking_agent():
            if at == ALL:
                from mesh.agent.cli.everywhere import ask_all  # noqa: PLC0415 -- few commands need it

                sys.exit(ask_all(client, lambda each: command(each, **arguments), as_json=as_json))
            command(Agent(client, as_json=as_json), **arguments)

    return wrapper


@contextlib.contextmanager
def asking_agent() -> Iterator[None]:
    """End the command with a line and its status if the agent does not answer, or says no."""
    try:
        yield
    except NotRunning as absent:
        _end(escaped(str(absent)), EXIT_NOT_RUNNING)
    except NotUnderstood as strange:
        _end(escaped(str(strange)), EXIT_FAILED)
    except Refused as refused:
        is_wrong = refused.status in (http.client.BAD_REQUEST, http.client.UNPROCESSABLE_ENTITY)
        by_policy = refused.status == http.client.FORBIDDEN
        _end(
            refused.text(),
            EXIT_FORBIDDEN if by_policy else Failure.exit_code if is_wrong else EXIT_FAILED,
        )


def agent_meant(at: str | None, *, asks_all: bool = False) -> str | None:
    """Whom ``--at`` names, before the command or behind it; ``None``: the agent that is asked first.

    Raises:
        click.UsageError: it names nobody, or more than the command can ask.
    """
    if at is None:
        at = click.get_current_context().find_root().params.get("at")
    if at is None:
        return None
    if not at:  # a variable that is not set, perhaps: whatever is meant, it is not this agent
        raise click.UsageError("--at is empty: name an agent")
    if at == ALL and not asks_all:
        raise click.UsageError("this command asks one agent at a time: name it")
    if "/" in at:
        raise click.UsageError("an agent with a slash in its name is named by its ID here")
    return at


def _end(text: str, status: int) -> NoReturn:
    click.echo(text, err=True)
    sys.exit(status)
