"""The command line: every command of ``mesh``."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

import click

from mesh.agent.importing import imported
from mesh.agent.software import VERSION, software_build


class Place(NamedTuple):
    """Where a command is, and what it is for in a few words."""

    module: str
    """Below ``mesh.agent``."""
    summary: str
    function: str = ""
    """Its name, if it is not that of the command."""


SECTIONS: Final[Mapping[str, Mapping[str, Place]]] = MappingProxyType(
    {
        "Begin": {
            "init": Place("cli.init_command", "Make keys, certificates and configurations for a whole mesh."),
            "agent": Place("cli.agent_command", "Run an agent."),
            "check": Place("cli.agent_command", "Validate a configuration and its files."),
        },
        "See what is": {
            "status": Place("cli.status_command", "How the agent is, on one screen."),
            "services": Place("cli.mesh_command", "Every key of the mesh: offered by whom, used where."),
            "agents": Place("cli.mesh_command", "Every agent of the mesh."),
            "authorities": Place("cli.authority_commands", "Who is trusted, and who depends on that."),
            "peers": Place("cli.status_command", "The agent's peers, with round trips."),
            "connections": Place("cli.connection_command", "Who is connected to what; closing one."),
            "audit": Place("cli.audit_command", "Who changed what; whether that record is whole."),
            "events": Place("cli.event_command", "What has happened: links, exits, alarms, reloads."),
            "top": Place("cli.top_command", "Who transfers most, live."),
        },
        "Find out what is wrong": {
            "can": Place("cli.access_command", "What an agent may do, and why or why not."),
            "who-can": Place("cli.access_command", "Who may use a key, and why or why not.", "who_can"),
            "doctor": Place("cli.doctor_command", "Look at everything about an agent, with remedies."),
            "ping": Place("cli.diagnosis_commands", "Is an agent, or a key's, there; how long does it take?"),
            "trace": Place("cli.diagnosis_commands", "The same for each agent on the way."),
            "test": Place("cli.diagnosis_commands", "Can every agent and key be reached?"),
            "bench": Place("cli.diagnosis_commands", "How much goes through to a key, each way."),
        },
        "Use and offer services": {
            "connect": Place("connect_command", "Carry standard input and output to a key."),
            "listen": Place("cli.service_commands", "Open a local port for a key."),
            "unlisten": Place("cli.service_commands", "Close it."),
            "expose": Place("cli.service_commands", "Offer a service as a key."),
            "unexpose": Place("cli.service_commands", "Offer it no more."),
        },
        "Change a running agent": {
            "plan": Place("cli.reload_command", "What a reload would do."),
            "reload": Place("cli.reload_command", "Read the configuration again, and be as it says."),
            "drain": Place("cli.drain_command", "Have the mesh prefer other agents."),
        },
        "Let agents in": {
            "invite": Place("cli.invite_command", "At an issuer: a token by which a new agent joins."),
            "invitations": Place("cli.invite_command", "Who is invited, and has joined; withdrawing one."),
            "join": Place("cli.join_command", "On its machine: become an agent by that token."),
        },
        "Keys, certificates, tokens": {
            "authority": Place("cli.key_commands", "The key that signs certificates."),
            "identity": Place("cli.key_commands", "The key that an agent is."),
            "certificate": Place("cli.certificate_command", "Sign a certificate; show what one says."),
            "renew": Place("cli.authority_commands", "Renew an agent's certificate through an issuer, now."),
            "revoke": Place("cli.revoke_command", "Take an agent out of the mesh, at once."),
            "revocations": Place("cli.revoke_command", "Who was taken out, when, by whom and why."),
            "token": Place("cli.token_command", "Who may change an agent by its http.address."),
        },
        "For your shell": {
            "completion": Place("cli.completion_command", "Complete commands, keys and agents with Tab."),
        },
    }
)
"""Every command, by what people want, in the order in which they are shown."""

PLACES: Final[Mapping[str, Place]] = MappingProxyType(
    {name: place for commands in SECTIONS.values() for name, place in commands.items()}
)


class Commands(click.Group):
    """Loads a command when it is asked for: all of them together take longer than most take to run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names."""
        del ctx
        return list(PLACES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, if there is one."""
        del ctx
        if cmd_name not in PLACES:
            return None
        place = PLACES[cmd_name]
        found = getattr(imported(f"mesh.agent.{place.module}"), place.function or cmd_name)
        return found if isinstance(found, click.Command) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is meant, with its name and arguments; one that is misspelt is named."""
        name = args[0]
        if name not in PLACES and not name.startswith("-") and not ctx.resilient_parsing:
            from mesh.config.suggestions import closest  # noqa: PLC0415 -- hardly ever needed

            meant = closest(name, PLACES)
            hint = "" if meant is None else f" Did you mean {meant!r}?"
            raise click.UsageError(f"No such command {name!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List them by what people want."""
        del ctx
        for section, commands in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(name, place.summary) for name, place in commands.items()])


def _tell_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(f"mesh, version {VERSION}, {software_build()}")
        ctx.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_tell_version,
    help="Show the version and exit.",
)
@click.option("--at", metavar="AGENT", help="Ask another agent of the mesh, by its name or ID.")
@click.pass_context
def main(ctx: click.Context, *, at: str | None) -> None:
    """Reach any TCP service by its key, through any number of agents, encrypted end to end.

    Commands that ask a running agent find it by --config FILE, --socket PATH, the variable MESH_SOCKET, or
    a config.yaml in this folder, and with --at AGENT have it ask another agent of the mesh.

    \b
    mesh init my-mesh --agents branch:all,hq:all --local
    mesh agent my-mesh/hq/config.yaml
    mesh status --config my-mesh/hq/config.yaml

    The exit status is 0 if it is done, 1 if it failed, 2 if the command line or a configuration is wrong,
    3 if no agent answers, and 4 if a policy forbids it.
    """
    command = None if ctx.invoked_subcommand is None else main.get_command(ctx, ctx.invoked_subcommand)
    if at is not None and command is not None and not _asks_another(command):
        raise click.UsageError(f"mesh {command.name} has no --at: it asks no other agent")


def _asks_another(command: click.Command) -> bool:
    """Whether it, or a command of the group that it is, can ask another agent."""
    commands = [*command.commands.values(), command] if isinstance(command, click.Group) else [command]
    return any(parameter.name == "at" for each in commands for parameter in each.params)


__all__ = ["main"]
