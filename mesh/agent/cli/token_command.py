"""``mesh token``: who may change an agent by its ``http.address``."""

import json
from pathlib import Path

import click

from mesh.agent.cli.failure import Failure, told_plainly
from mesh.agent.cli.standard_streams import say
from mesh.agent.control.tokens import new_token, token_hash
from mesh.config.kinds import Context, Name, Scalar


@click.group()
def token() -> None:
    """Tokens, whose bearers may change an agent by its http.address."""


@token.command("new")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@told_plainly
def new(*, name: str, as_json: bool) -> None:
    """Make a token for NAME, a program or a person, and print it with the line for the configuration.

    The token is shown this once. The configuration gets its hash only; put the line there, then mesh reload.

    \b
    mesh token new deployment
    curl -H "Authorization: Bearer TOKEN" -X POST http://127.0.0.1:8080/api/v1/reload
    """
    try:
        Name().parse(Scalar(name, "str"), Context(Path()))
    except ValueError as error:
        raise Failure(f"NAME: expected {error}") from None
    made = new_token()
    hashed = token_hash(made).hex()
    if as_json:
        say(json.dumps({"name": name, "token": made, "hash": hashed}, indent=2))
        return
    line = f"    - {{name: {json.dumps(name, ensure_ascii=False)}, hash: {hashed}}}"
    say(f"{made}\n\nhttp:\n  tokens:\n{line}")
