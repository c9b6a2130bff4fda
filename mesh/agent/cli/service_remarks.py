"""What ``mesh listen`` and ``mesh expose`` tell a person at a terminal beside the answer: what comes next."""

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias, TypeVar

import click

from mesh.agent.cli.asking import Agent
from mesh.agent.cli.whole import all_rows
from mesh.agent.control.client import NotRunning, NotUnderstood, Refused
from mesh.agent.control.mesh_rows import AgentRow
from mesh.agent.control.own_rows import ListenerRow
from mesh.agent.control.requests import AGENTS, LISTENERS
from mesh.agent.dashboard.states import ServiceState
from mesh.agent.outcome import Added
from mesh.config.suggestions import did_you_mean
from mesh.escaping import escaped
from mesh.trust.naming import GROUP_PREFIX

T = TypeVar("T")


Entry: TypeAlias = Mapping[str, str | int | list[str]]
"""A listener or an endpoint, as the configuration has it."""


def remark_on_listener(agent: Agent, entry: Entry, added: Added) -> None:
    """Say what the local port leads to, or why it refuses clients."""
    if not _is_heard(agent):
        return
    for each in _listed(agent, LISTENERS, ListenerRow):
        if (each.key, each.opened_at) == (entry["key"], added.address):
            _say(f"{added.address} {_leads(each)}", added)


def remark_on_endpoint(agent: Agent, entry: Entry, added: Added) -> None:
    """Say how the service is reached from elsewhere, and whom of those that may use it nobody knows."""
    if not _is_heard(agent):
        return
    key, allowed = str(entry["key"]), entry.get("allow")
    _say(f"{key} is {added.address}; at another agent: mesh listen {shlex.quote(key)}", added)
    if isinstance(allowed, list):
        for line in _unknown(allowed, _listed(agent, AGENTS, AgentRow)):
            click.echo(escaped(line), err=True)


def _is_heard(agent: Agent) -> bool:
    """Whether a person reads it: programs are told by the answer alone."""
    return not agent.as_json and sys.stderr.isatty()


def _listed(agent: Agent, place: str, kind: type[T]) -> Sequence[T]:
    """What the agent has there; it is no fault of the command if that is not told."""
    try:
        return all_rows(agent, place, kind)
    except (NotRunning, NotUnderstood, Refused):
        return ()


def _unknown(allowed: Sequence[str], agents: Sequence[AgentRow]) -> Iterator[str]:
    """A line for each agent of ``allow`` that is not in the mesh now: a slip, or one that is away."""
    names = [each.name for each in agents]
    known = {*names, *(each.id for each in agents)}
    for entry in allowed if agents else ():
        if entry not in known and not entry.startswith(GROUP_PREFIX):
            hint = did_you_mean(entry, names)
            yield f"--allow {entry}: no agent of that name is in the mesh now{hint and f'; {hint}'}"


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
