"""``mesh invite`` and ``mesh invitations``: at an issuer, tokens by which agents join, and how they stand."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote

import click
import msgspec

from mesh.agent.cli.asking import Agent, asks_agent
from mesh.agent.cli.certificate_command import Validity
from mesh.agent.cli.failure import Failure
from mesh.agent.cli.right_options import takes_rights
from mesh.agent.cli.rights import Rights, told
from mesh.agent.cli.tables import table
from mesh.agent.cli.times import moment
from mesh.agent.cli.whole import all_rows
from mesh.agent.control.invitation_routes import InvitationRow, InviteRequest, Name
from mesh.agent.control.requests import INVITATIONS
from mesh.agent.enrolment.inviting import Invited, Standing
from mesh.config.address_kinds import Dial
from mesh.config.kinds import Context, Scalar
from mesh.escaping import escaped


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


@click.command()
@click.option("--withdraw", "withdrawn", metavar="NAME|ID", help="Let nobody join by this one any more.")
@asks_agent
def invitations(agent: Agent, *, withdrawn: str | None) -> None:
    """List the invitations of an issuer that have not expired: for whom, until when, and whether used.

    One that is withdrawn lets nobody in; who is linked by it is cut off. An agent that has joined by one is
    taken out by mesh revoke.

    \b
    mesh invitations
    mesh invitations --withdraw laptop
    """
    found = all_rows(agent, INVITATIONS, InvitationRow)
    if withdrawn is None:
        agent.tell(found, lambda: "\n".join(table(TITLES, map(_told, found), none="nobody is invited")))
        return
    meant = _meant(found, withdrawn)
    agent.client.delete(f"{INVITATIONS}/{quote(meant.id, safe='')}")
    what = f"the invitation of {meant.name} ({meant.id}) is withdrawn"
    agent.tell({"withdrawn": meant.id}, lambda: escaped(what))


TITLES: Final = ("agent", "id", "until", "state")


def _told(row: InvitationRow) -> tuple[str, ...]:
    by = f" by {row.used_by}" if row.used_by else ""
    return row.name, row.id, moment(row.expires), f"{row.standing}{by}"


def _meant(found: Sequence[InvitationRow], text: str) -> InvitationRow:
    """The invitation with this ID, or the one of this name that is pending.

    Raises:
        Failure: there is none, or there are several.
    """
    rows = [row for row in found if row.id == text]
    rows = rows or [row for row in found if row.name == text and row.standing is Standing.PENDING]
    if not rows:
        used = [escaped(row.used_by) for row in found if row.name == text and row.used_by]
        more = (
            f"; the agent {used[-1]} has joined by it: mesh revoke {used[-1]} takes that out" if used else ""
        )
        raise Failure(f"no invitation of {escaped(text)!r} is pending{more}")
    if len(rows) > 1:
        ids = ", ".join(escaped(row.id) for row in rows)
        raise Failure(f"{escaped(text)!r} is invited more than once: name one by its ID: {ids}")
    return rows[0]
