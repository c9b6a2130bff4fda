"""``mesh invite``: at an issuer, make a token by which a new agent joins."""

from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from mesh.agent.cli.asking import Agent, asks_agent
from mesh.agent.cli.certificate_command import Validity
from mesh.agent.cli.right_options import takes_rights
from mesh.agent.cli.rights import Rights, told
from mesh.agent.control.invitation_routes import InviteRequest, Name
from mesh.agent.control.requests import INVITATIONS
from mesh.agent.enrolment.desk import Invited
from mesh.config.address_kinds import Dial
from mesh.config.kinds import Context, Scalar


class DialAddress(click.ParamType[str]):
    """The address of another agent."""

    name = "address"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The address."""
        try:
            return str(Dial().parse(Scalar(str(value), "str"), Context(Path())))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class AgentName(click.ParamType[str]):
    """The name of a new agent."""

    name = "name"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name."""
        try:
            return msgspec.convert(value, Name)
        except msgspec.ValidationError:
            self.fail(
                "expected a name of 1 to 63 letters, digits, dots, dashes or underscores, which begins and "
                f"ends with a letter or digit, found {str(value)!r}",
                param,
                ctx,
            )


@click.command()
@click.argument("name", type=AgentName())
@takes_rights
@click.option(
    "--for", "valid_for", type=Validity(), help="How long its certificate is to last; it renews it by itself."
)
@click.option(
    "--dial",
    "addresses",
    type=DialAddress(),
    multiple=True,
    metavar="HOST:PORT",
    help="An agent that it is to dial. Repeatable, four at most. Default: this one, and those that it dials.",
)
@asks_agent
def invite(
    agent: Agent,
    *,
    name: str,
    relay: bool,
    use: tuple[str, ...],
    register: tuple[str, ...],
    manage: bool,
    groups: tuple[str, ...],
    valid_for: int | None,
    addresses: tuple[str, ...],
) -> None:
    """Invite the new agent NAME: print a token, with which its machine joins by mesh join.

    The agent that is asked runs on this machine, and is an issuer. The token is a secret, good for one hour
    and one agent, which gets the rights that are named here and no others.

    \b
    mesh invite laptop --use 'web-*'
    mesh invite db-2 --register 'postgres-*' --group databases --for 30d
    """
    wish = InviteRequest(name, register, use, relay, manage, groups, valid_for, addresses)
    invited = agent.client.post(INVITATIONS, Invited, wish)
    until = f"{datetime.fromtimestamp(invited.expires, UTC):%H:%M UTC}"
    agent.tell(invited, lambda: invited.token)
    rights = Rights(register, use, relay, manage, groups)
    click.echo(
        f"{told(name, rights)}\nGood until {until}, once. On its machine: mesh join TOKEN --start", err=True
    )
