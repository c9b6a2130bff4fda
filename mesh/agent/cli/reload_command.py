"""``mesh reload`` and ``mesh plan``: have a running agent be as its file says, and what that would do."""

import sys
from pathlib import Path

import click

from mesh.agent.cli.asking import EXIT_FAILED, Agent, asks_agent, asks_agent_or_all
from mesh.agent.control.requests import PLANS, RELOAD, PlanRequest
from mesh.agent.outcome import Outcome, Verdict
from mesh.escaping import escaped


@click.command()
@asks_agent_or_all
def reload(agent: Agent) -> None:
    """Have a running agent read its configuration again.

    Services come, change and go; what is equal runs on. A file with a mistake changes nothing.

    \b
    mesh reload
    mesh reload --config hq.yaml
    """
    _tell(agent, agent.client.post(RELOAD, Outcome), tense="")


@click.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@asks_agent
def plan(agent: Agent, *, file: Path | None) -> None:
    """Say what a reload would do, with FILE in the place of the agent's own configuration.

    \b
    mesh plan
    mesh plan new.yaml
    """
    request = PlanRequest(None if file is None else str(file.absolute()))
    _tell(agent, agent.client.post(f"{PLANS}?dry_run=true", Outcome, request), tense="would be ")


def _tell(agent: Agent, outcome: Outcome, tense: str) -> None:
    agent.tell(outcome, lambda: "\n".join(map(escaped, (*outcome.lines(tense), *outcome.problems))))
    if outcome.verdict is not Verdict.DONE:
        sys.exit(EXIT_FAILED)
