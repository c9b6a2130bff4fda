"""``mesh can`` and ``mesh who-can``: who may do what, and why or why not, before anything is tried."""

from typing import Final

import click

from mesh.agent.cli import completing
from mesh.agent.cli.asking import Agent, asks_agent, not_empty
from mesh.agent.cli.whole import wanted_rows
from mesh.agent.control.access_rows import AccessRow
from mesh.agent.control.requests import ACCESS

_MARKS: Final = {"yes": "yes", "no": "NO", "depends": "?"}


@click.command()
@click.argument("name", metavar="AGENT", callback=not_empty, shell_complete=completing.agents)
@click.argument("key", required=False, shell_complete=completing.offered_keys)
@asks_agent
def can(agent: Agent, name: str, key: str | None) -> None:
    """Say what AGENT may do, or whether it may use KEY, and why or why not.

    It follows from certificates, records and the configuration of the agent that is asked, before anything is
    tried. Whom an endpoint lets in by its allow: only its own agent knows: ask that, with --at.

    \b
    mesh can laptop
    mesh can laptop postgres-main
    """
    _tell(agent, wanted_rows(agent.client, ACCESS, AccessRow, agent=name, key=key or ""))


@click.command("who-can")
@click.argument("key", callback=not_empty, shell_complete=completing.offered_keys)
@asks_agent
def who_can(agent: Agent, key: str) -> None:
    """Say of every agent whether it may use KEY, and why or why not.

    \b
    mesh who-can postgres-main
    mesh who-can postgres-main --at hq
    """
    _tell(agent, wanted_rows(agent.client, ACCESS, AccessRow, key=key))


def _tell(agent: Agent, rows: list[AccessRow]) -> None:
    agent.tell(rows, lambda: "\n".join(f"{_MARKS[row.may]:<4} {row.sentence}" for row in rows))
