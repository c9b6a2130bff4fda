"""What ``mesh listen`` and ``mesh expose`` tell a person at a terminal beside the answer: what comes next."""

import shlex
import sys

import click

from mesh.agent.cli.asking import Agent
from mesh.agent.cli.documents import Document, Service
from mesh.agent.cli.status_command import PLACE
from mesh.agent.control.client import NotRunning, NotUnderstood, Refused
from mesh.agent.dashboard.states import ServiceState
from mesh.agent.outcome import Added
from mesh.escaping import escaped


def remark_on_listener(agent: Agent, key: str, added: Added) -> None:
    """Say what the local port leads to, or why it refuses clients."""
    if not _is_heard(agent):
        return
    document = _document(agent)
    for each in document.listeners if document else ():
        if (each.key, each.address) == (key, added.address):
            _say(f"{added.address} {_leads(each, document)}", added)


def remark_on_endpoint(agent: Agent, key: str, added: Added) -> None:
    """Say how the service is reached from elsewhere."""
    if _is_heard(agent):
        _say(f"{key} is {added.address}; at another agent: mesh listen {shlex.quote(key)}", added)


def _is_heard(agent: Agent) -> bool:
    """Whether a person reads it: programs are told by the answer alone."""
    return not agent.as_json and sys.stderr.isatty()


def _document(agent: Agent) -> Document | None:
    """What the agent says of itself; it is no fault of the command if that does not come."""
    try:
        return agent.client.get(PLACE, Document)
    except (NotRunning, NotUnderstood, Refused):
        return None


def _leads(listener: Service, document: Document | None) -> str:
    if listener.state is not ServiceState.OPEN:
        return (
            f"refuses clients: {listener.reason}"
            if listener.reason
            else "refuses clients until it is offered"
        )
    exits = {
        route.exit_agent: route.hop_count
        for route in (document.forward_routes if document else ())
        if (route.key, route.listener_address) == (listener.key, listener.address)
    }
    nearest = min(exits, key=lambda name: exits[name], default="")
    return f"leads to {listener.key} at {nearest}" if nearest else f"leads to {listener.key}"


def _say(text: str, added: Added) -> None:
    end = "" if added.lease is None else "; until Ctrl-C (for good: --save)"
    click.echo(f"{escaped(text)}{end}", err=True)
