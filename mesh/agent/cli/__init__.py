"""The command line: every command of ``mesh``."""

from importlib.metadata import PackageNotFoundError, version
from typing import Final

import click

from mesh.agent.cli.agent_command import agent, check
from mesh.agent.cli.certificate_command import certificate
from mesh.agent.cli.connection_command import connections
from mesh.agent.cli.diagnosis_commands import bench, ping, test, trace
from mesh.agent.cli.drain_command import drain
from mesh.agent.cli.event_command import events
from mesh.agent.cli.init_command import init
from mesh.agent.cli.key_commands import authority, identity
from mesh.agent.cli.reload_command import plan, reload
from mesh.agent.cli.service_commands import expose, listen, unexpose, unlisten
from mesh.agent.cli.status_command import peers, services, status
from mesh.agent.cli.token_command import token
from mesh.agent.cli.top_command import top
from mesh.agent.connect_command import connect


def _version() -> str:
    try:
        return version("mesh-agent")
    except PackageNotFoundError:
        return "(not installed)"


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(_version(), prog_name="mesh")
def main() -> None:
    """Reach any TCP service by its key, through any number of agents, encrypted end to end.

    Start with "mesh init": it makes keys, certificates and configurations for a whole mesh.
    """


COMMANDS: Final = (
    *(init, agent, check),
    *(status, services, peers, connections, events, top),
    *(listen, unlisten, expose, unexpose, connect),
    *(ping, trace, test, bench),
    *(reload, plan, drain),
    *(authority, identity, certificate, token),
)

for command in COMMANDS:
    main.add_command(command)

__all__ = ["main"]
