"""``mesh events``: what has happened at a running agent."""

from collections.abc import Iterator
from functools import partial
from typing import Final
from urllib.parse import urlencode

import click
import msgspec

from mesh.agent.cli.asking import Agent, asks_agent
from mesh.agent.cli.following import Patience, rounds, until_interrupted
from mesh.agent.cli.standard_streams import json_text, say
from mesh.agent.control.happenings import ToldEvent, ToldEvents
from mesh.agent.control.requests import EVENTS
from mesh.escaping import escaped
from mesh.journal import MAX_EVENTS, EventKind

EVERY_S: Final = 1.0

PAGE: Final = 500

LOST: Final = "(others in between are lost: too much happened, or the agent has been started anew)"


@click.command()
@click.option("--follow", "-f", is_flag=True, help="Go on with what happens from now on, until Ctrl-C.")
@click.option("--last", type=click.IntRange(0, MAX_EVENTS), default=50, help="How many (50).")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice([kind.value for kind in EventKind]),
    help="Of this kind; may be repeated. Without it all but connections.",
)
@asks_agent
def events(agent: Agent, *, follow: bool, last: int, kinds: tuple[str, ...]) -> None:
    """Tell what has happened at a running agent, the newest last: links, exits, alarms, reloads and more.

    With --json each event is an object on a line of its own. --follow waits for an agent that is started
    anew, for a minute at most.

    \b
    mesh events --follow
    mesh events --kind connection --last 1000
    """
    wanted = kinds or tuple(kind.value for kind in EventKind if kind is not EventKind.CONNECTION)
    with until_interrupted():
        for event in _events(agent, wanted, last, follow=follow):
            if isinstance(event, str):
                click.echo(event, err=True)
            elif agent.as_json:
                say(json_text(msgspec.json.encode(event)))
            else:
                say(_line(event))


def _events(agent: Agent, kinds: tuple[str, ...], last: int, *, follow: bool) -> Iterator[ToldEvent | str]:
    """Events, and a sentence where some are missing."""
    at: dict[str, str | int] = {"last": last}
    patience = Patience(lambda text: click.echo(text, err=True), follows=follow)
    told = 0
    for _ in rounds(EVERY_S, again=follow):
        count = PAGE
        while count == PAGE:
            query = urlencode([*at.items(), ("limit", PAGE), *(("kind", kind) for kind in kinds)])
            ask = partial(agent.client.get, f"{EVENTS}?{query}", ToldEvents)
            found = patience.ask(ask)
            if found.are_lost:
                yield LOST
            yield from found.events
            at, count = {"after": found.cursor}, len(found.events)
            told += count
            if told >= last and not follow:
                return  # what has come meanwhile was not asked for, and may come without end


def _line(event: ToldEvent) -> str:
    moment = event.time.astimezone().isoformat(" ", "seconds")
    return f"{moment} {event.kind.value:<13} {escaped(event.message)}"
