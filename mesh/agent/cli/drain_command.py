"""``mesh drain``: have the mesh prefer other agents, without stopping this one."""

import click

from mesh.agent.cli.asking import Agent, asks_agent_or_all
from mesh.agent.control.drain_routes import DrainState
from mesh.agent.control.requests import DRAIN


@click.command()
@click.option("--off", is_flag=True, help="End it: use this agent like others again.")
@asks_agent_or_all
def drain(agent: Agent, *, off: bool) -> None:
    """Have the mesh prefer other agents to a running one, which serves on whoever has no other.

    Nothing is closed and nobody is refused. A restart of the agent ends it, too.

    \b
    mesh drain
    mesh drain --off
    """
    if off:
        agent.client.delete(DRAIN)
        agent.tell({"draining": False}, lambda: "not draining: the mesh uses this agent like others")
        return
    state = agent.client.post(DRAIN, DrainState)
    agent.tell(state, lambda: _draining(state.open_connections))


def _draining(count: int) -> str:
    left = f"{count} connection{'' if count == 1 else 's'} open"
    return f"draining: the mesh prefers others; {left}; mesh drain --off ends it"
