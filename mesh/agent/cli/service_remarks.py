"""What ``mesh listen`` and ``mesh expose`` tell a person at a terminal beside the answer: what comes next."""

import shlex
import sys
from collections.abc import Sequence

import click

from mesh.agent.cli.asking import Agent
from mesh.agent.cli.whole import all_rows
from mesh.agent.control.client import NotRunning, NotUnderstood, Refused
from mesh.agent.control.own_rows import ListenerRow
from mesh.agent.control.requests import LISTENERS
from mesh.agent.dashboard.states import ServiceState
from mesh.agent.outcome import Added
from mesh.escaping import escaped


def remark_on_listener(agent: Agent, key: str, added: Added) -> None:
    """Say what the local port leads to, or why it refuses clients."""
    if not _is_heard(agent):
        return
    for each in _listeners(agent):
        if (each.key, each.opened_at) == (key, added.address):
            _say(f"{added.address} {_leads(each)}", added)


def remark_on_endpoint(agent: Agent, key: str, added: Added) -> None:
    """Say how the service is reached from elsewhere."""
    if _is_heard(agent):
        _say(f"{key} is {added.address}; at another agent: mesh listen {shlex.quote(key)}", added)


def _is_heard(agent: Agent) -> bool:
    """Whether a person reads it: programs are told by the answer alone."""
    return not agent.as_json and sys.stderr.isatty()


def _listeners(agent: Agent) -> Sequence[ListenerRow]:
    """Those of the agent; it is no fault of the command if they are not told."""
    try:
        return all_rows(agent, LISTENERS, ListenerRow)
    except (NotRunning, NotUnderstood, Refused):
        return ()


def _leads(listener: ListenerRow) -> str:
    if listener.state is not ServiceState.OPEN:
        return (
            f"refuses clients: {listener.problem}"
            if listener.problem
            else "refuses clients until it is offered"
        )
    nearest = next(iter(listener.exits), None)
    return f"leads to {listener.key}" if nearest is None else f"leads to {listener.key} at {nearest.agent}"


def _say(text: str, added: Added) -> None:
    end = "" if added.lease is None else "; until Ctrl-C (for good: --save)"
    click.echo(f"{escaped(text)}{end}", err=True)
