"""The command line: every command of ``mesh``."""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Final

import click

from mesh.agent.software import software_version

MODULES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "init": "cli.init_command",
        **dict.fromkeys(("agent", "check"), "cli.agent_command"),
        **dict.fromkeys(("status", "peers"), "cli.status_command"),
        **dict.fromkeys(("services", "agents"), "cli.mesh_command"),
        "connections": "cli.connection_command",
        "events": "cli.event_command",
        "top": "cli.top_command",
        "doctor": "cli.doctor_command",
        **dict.fromkeys(("listen", "unlisten", "expose", "unexpose"), "cli.service_commands"),
        "connect": "connect_command",
        **dict.fromkeys(("ping", "trace", "test", "bench"), "cli.diagnosis_commands"),
        **dict.fromkeys(("reload", "plan"), "cli.reload_command"),
        "drain": "cli.drain_command",
        **dict.fromkeys(("authority", "identity"), "cli.key_commands"),
        "certificate": "cli.certificate_command",
        "token": "cli.token_command",
    }
)
"""Where each command is, in the order in which they are shown."""


class Commands(click.Group):
    """Loads a command when it is asked for: all of them together take longer than most take to run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names."""
        del ctx
        return list(MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, if there is one."""
        del ctx
        if cmd_name not in MODULES:
            return None
        found = getattr(import_module(f"mesh.agent.{MODULES[cmd_name]}"), cmd_name)
        return found if isinstance(found, click.Command) else None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(software_version(), prog_name="mesh")
@click.option("--at", metavar="AGENT", help="Ask another agent of the mesh, by its name or ID.")
@click.pass_context
def main(ctx: click.Context, *, at: str | None) -> None:
    """Reach any TCP service by its key, through any number of agents, encrypted end to end.

    Start with "mesh init": it makes keys, certificates and configurations for a whole mesh.
    """
    command = None if ctx.invoked_subcommand is None else main.get_command(ctx, ctx.invoked_subcommand)
    if at is not None and command is not None and "at" not in (each.name for each in command.params):
        raise click.UsageError(f"mesh {command.name} asks no running agent: it has no --at")


__all__ = ["main"]
