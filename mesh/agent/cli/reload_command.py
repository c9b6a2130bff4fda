"""``mesh reload`` and ``mesh plan``: have a running agent be as its file says, and what that would do."""

import sys
from pathlib import Path

import click

from mesh.agent.cli.asking import EXIT_FAILED, Agent, asks_agent, asks_agent_or_all
from mesh.agent.cli.failure import Failure
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

    With --at, FILE is read here; nothing of the other agent's environment is filled into it.

    \b
    mesh plan
    mesh plan new.yaml
    mesh --at hq plan new-hq.yaml
    """
    if file is None:
        request = PlanRequest()
    elif agent.client.asks_another:
        request = PlanRequest(config=_text(file))
    else:
        request = PlanRequest(file=str(file.absolute()))
    _tell(agent, agent.client.post(f"{PLANS}?dry_run=true", Outcome, request), tense="would be ")


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise Failure(f"{file}: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError as error:
        raise Failure(f"{file}: expected UTF-8: {error}") from None


def _tell(agent: Agent, outcome: Outcome, tense: str) -> None:
    agent.tell(outcome, lambda: "\n".join(map(escaped, (*outcome.lines(tense), *outcome.problems))))
    if outcome.verdict is not Verdict.DONE:
        sys.exit(EXIT_FAILED)
