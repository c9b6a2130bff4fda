"""Read the configuration again and have the running agent be as it says.

All of it is applied or named as taking effect at the next start; a file with mistakes changes nothing.
"""

import enum
import logging
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
import pykka

from actors.messages import agent as agent_messages
from actors.runtime.reference import AskRef
from mesh.agent.actor_status import ActorStatus
from mesh.agent.config_source import ConfigSource
from mesh.agent.files import AgentFileError
from mesh.agent.http import HttpSide
from mesh.agent.logs import LogOutput, logger
from mesh.config import ConfigError
from mesh.config.difference import Difference, applied, difference
from mesh.config.schema import Config

TIMEOUT_S: Final = 15.0
"""For the actors to be as they are to: each that goes has 5 s at most."""

NAMED: Final = 10
"""Services and keys that one line names; of more it gives the number."""

UNFINISHED: Final = f"not all of the new configuration is in effect after {TIMEOUT_S:g} s; that goes on"
GONE: Final = "the agent's actors are gone"

log: Final = logger("agent")


class Verdict(enum.Enum):
    """What has become of a new configuration."""

    DONE = "done"
    PARTLY = "done as far as it could be"
    REFUSED = "refused: the agent goes on as it was"


class Outcome(msgspec.Struct, frozen=True):
    """What came of a reload, in lines for people."""

    verdict: Verdict
    lines: tuple[str, ...] = ()
    """What is different now, and what will be."""
    problems: tuple[str, ...] = ()
    """Why something or all of it is not."""


class Reloader:
    """Carries a reload out, on the thread that calls it; one at a time."""

    def __init__(
        self,
        source: ConfigSource,
        config: Config,
        *,
        root: AskRef[agent_messages.Inbound],
        status: ActorStatus,
        http: HttpSide,
        output: LogOutput,
    ) -> None:
        self.config = config
        """What the agent runs with."""
        self._number = 0
        """Of the latest reload: equal lines would be held back."""
        self._source = source
        self._root = root
        self._status = status
        self._http = http
        self._output = output

    def reload(self) -> Outcome:
        """Do it and log what came of it; on return it has been done, or what is left is told as a problem."""
        self._number += 1
        outcome = self._reload()
        for line in outcome.lines:
            log.info("reload %d: %s", self._number, line)
        for problem in outcome.problems:
            log.error("reload %d: %s", self._number, problem)
        level = logging.INFO if outcome.verdict is Verdict.DONE else logging.ERROR
        log.log(level, "reload %d %s", self._number, outcome.verdict.value)
        self._output.apply(self.config.logging)  # not before: who wants only errors shall see this, too
        return outcome

    def _reload(self) -> Outcome:
        try:
            config, written = self._source.read()
            self._http.change(config.http, written)
        except (ConfigError, AgentFileError) as error:
            return Outcome(Verdict.REFUSED, problems=tuple(str(error).splitlines()))
        asked: pykka.Future[pykka.Future[agent_messages.Configured]] = self._root.ask(
            agent_messages.Configure(config), block=False
        )
        made = difference(self.config, config)
        try:
            problems = asked.get(timeout=TIMEOUT_S).get(timeout=TIMEOUT_S).problems
        except pykka.Timeout:
            problems = (UNFINISHED,)
        except pykka.ActorDeadError:
            return Outcome(Verdict.REFUSED, problems=(GONE,))
        self.config = applied(self.config, config)
        self._status.configured(self.config, written)
        return Outcome(Verdict.PARTLY if problems else Verdict.DONE, tuple(told(made)), problems)


def told(made: Difference) -> Iterator[str]:
    """What has become of a new configuration, for people."""
    if made.is_empty:
        yield "nothing is different"
    yield from _line("added", tuple(made.added))
    yield from _line("changed", (*made.changed, *made.live))
    yield from _line("removed", tuple(made.removed))
    yield from _line("in effect when the agent is started anew, and not before:", made.at_start)


def _line(what: str, names: Sequence[str]) -> Iterator[str]:
    if names:
        yield f"{what} {_some(names)}"


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:NAMED])
    return shown if len(names) <= NAMED else f"{shown} and {len(names) - NAMED} more"
