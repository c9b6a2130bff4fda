"""``mesh authorities`` and ``mesh renew``: whom agents trust, who depends on that, and renewing now."""

from collections.abc import Iterator, Sequence
from typing import Final

import click

from mesh.agent.cli import completing
from mesh.agent.cli.asking import Agent, asks_agent_or_all
from mesh.agent.cli.times import counted
from mesh.agent.cli.whole import all_rows
from mesh.agent.control.authority_routes import RenewRequest
from mesh.agent.control.authority_rows import AuthorityRow, RenewedRow, SignedRow
from mesh.agent.control.own_rows import Status
from mesh.agent.control.requests import AUTHORITIES, RENEWALS, STATUS
from mesh.agent.expiry import day
from mesh.escaping import escaped

NAMES_SHOWN: Final = 16
"""Of each signer."""


@click.command()
@asks_agent_or_all
def authorities(agent: Agent) -> None:
    """List the authorities that an agent trusts, and which agents have certificates of each.

    An authority that has signed nobody any more can be taken out of trust.authorities everywhere. Agents that
    have been away for some minutes are not counted: see that you know of none.

    \b
    mesh authorities
    mesh --at all authorities
    """
    found = all_rows(agent, AUTHORITIES, AuthorityRow)
    agent.tell(found, lambda: escaped_lines(_authorities(found)))


@click.command()
@click.option("--issuer", default="", shell_complete=completing.agents, help="The issuer that is to sign.")
@asks_agent_or_all
def renew(agent: Agent, *, issuer: str) -> None:
    """Have an agent renew its certificate now, through an issuer; otherwise it does so by itself in time.

    Name, rights and groups stay as they are, and so do links and connections. The new certificate is of the
    authority that has signed the issuer's, and is valid for as long as the old one was, or as the issuer may
    grant if that is less: then it may end sooner than the old one would have. An issuer's own certificate is
    signed by the authority.

    \b
    mesh renew
    mesh --at all renew --issuer hq2
    """
    before = agent.client.get(STATUS, Status).agent.certificate_ends.timestamp()
    found = agent.client.post(RENEWALS, RenewedRow, RenewRequest(issuer))
    agent.tell(found, lambda: escaped(_renewed(found, before)))


def _renewed(found: RenewedRow, before: float) -> str:
    """What has come of it; ``before`` is the end of the old certificate, in Unix seconds."""
    told = f"renewed by {found.issuer}, until {day(found.not_after)}"
    if found.not_after >= before:
        return told
    why = "an issuer grants no more than its own certificate lets it"
    return f"{told}, sooner than {day(before)} as before: {why}"


def escaped_lines(lines: Iterator[str]) -> str:
    """Lines for people, of names that others have chosen."""
    return "\n".join(map(escaped, lines))


def _authorities(found: Sequence[AuthorityRow]) -> Iterator[str]:
    for each in found:
        whom = counted(each.agents, "agent") if each.agents else "nobody"
        own = "; this agent's own certificate is of it" if each.is_own else ""
        yield f"{each.authority}  has signed {whom}{own}"
        yield from map(_signed, each.signed)


def _signed(signed: SignedRow) -> str:
    names = ", ".join(signed.names[:NAMES_SHOWN])
    more = signed.agents - min(NAMES_SHOWN, len(signed.names))
    by = "itself" if signed.issuer_id is None else f"by issuer {signed.issuer} {signed.issuer_id[:8]}"
    return f"  {by}: {names}{f' and {more:,} more' if more > 0 else ''}"
