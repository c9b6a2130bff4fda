"""``mesh token``: who may change an agent by its ``http.address``."""

import json
import time
from pathlib import Path
from typing import Final

import click

from mesh.agent.cli.failure import Failure, told_plainly
from mesh.agent.cli.standard_streams import say
from mesh.agent.control.tokens import new_token, token_hash
from mesh.config.kinds import Context, Duration, Name, Scalar
from mesh.config.token_kinds import CHANGE, SCOPES, moment_text

_LONGEST_S: Final = 10 * 365 * 86_400.0


@click.group()
def token() -> None:
    """Tokens, whose bearers may read or change an agent by its http.address."""


@token.command("new")
@click.argument("name")
@click.option("--scope", type=click.Choice(SCOPES), default=CHANGE, help="What it is good for (change).")
@click.option("--for", "lifetime", metavar="DURATION", help="How long it is good, as 30d; for ever without.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@told_plainly
def new(*, name: str, scope: str, lifetime: str | None, as_json: bool) -> None:
    """Make a token for NAME, a program or a person, and print it with the line for the configuration.

    The token is shown this once. The configuration gets its hash only; put the line there, then mesh reload.
    Whoever may change the agent may read, too.

    \b
    mesh token new prometheus --scope read --for 365d
    mesh token new deployment
    curl -H "Authorization: Bearer TOKEN" -X POST http://127.0.0.1:8080/api/v1/reload
    """
    try:
        Name().parse(Scalar(name, "str"), Context(Path()))
    except ValueError as error:
        raise Failure(f"NAME: expected {error}") from None
    made = new_token()
    entry = {"name": name, "hash": token_hash(made).hex(), "scope": scope, **_end(lifetime)}
    if as_json:
        say(json.dumps({"token": made, **entry}, indent=2))
        return
    fields = ", ".join(f"{key}: {_written(key, value)}" for key, value in entry.items())
    say(f"{made}\n\nhttp:\n  tokens:\n    - {{{fields}}}")


def _end(lifetime: str | None) -> dict[str, str]:
    if lifetime is None:
        return {}
    try:
        seconds = Duration(60.0, _LONGEST_S).parse(Scalar(lifetime, "str"), Context(Path()))
    except ValueError as error:
        raise Failure(f"--for: expected {error}") from None
    return {"expires": moment_text(time.time() + seconds)}


def _written(key: str, value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if key in ("name", "expires") else value
