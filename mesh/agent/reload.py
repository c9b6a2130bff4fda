"""Read the configuration again and have the running agent be as it says.

All of it is applied or named as taking effect at the next start; a file with mistakes changes nothing.
"""

import logging
from pathlib import Path
from typing import Final

import pykka

from actors.messages import agent as agent_messages
from actors.runtime.reference import AskRef
from mesh.agent.actor_status import ActorStatus
from mesh.agent.config_source import ConfigSource
from mesh.agent.files import AgentFileError
from mesh.agent.http import HttpSide
from mesh.agent.logs import LogOutput, logger
from mesh.agent.outcome import Outcome, Verdict
from mesh.config import ConfigError
from mesh.config.difference import applied, difference
from mesh.config.schema import Config

TIMEOUT_S: Final = 15.0
"""For the actors to be as they are to: each that goes has 5 s at most."""

UNFINISHED: Final = f"not all of the new configuration is in effect after {TIMEOUT_S:g} s; that goes on"
GONE: Final = "the agent's actors are gone"

log: Final = logger("agent")


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
        for line in outcome.lines():
            log.info("reload %d: %s", self._number, line)
        for problem in outcome.problems:
            log.error("reload %d: %s", self._number, problem)
        level = logging.INFO if outcome.verdict is Verdict.DONE else logging.ERROR
        log.log(level, "reload %d %s", self._number, outcome.verdict.value)
        self._output.apply(self.config.logging)  # not before: who wants only errors shall see this, too
        return outcome

    def plan(self, path: Path | None) -> Outcome:
        """What a reload would do if the file at ``path`` were the configuration; ``None`` is its own file."""
        source = self._source if path is None else self._source.at(path)
        try:
            config, _ = source.read()
        except ConfigError as error:
            return Outcome.refused(str(error).splitlines())
        return Outcome.of(difference(self.config, config))

    def _reload(self) -> Outcome:
        try:
            config, written = self._source.read()
            self._http.change(config.http, written)
        except (ConfigError, AgentFileError) as error:
            return Outcome.refused(str(error).splitlines())
        asked: pykka.Future[pykka.Future[agent_messages.Configured]] = self._root.ask(
            agent_messages.Configure(config), block=False
        )
        made = difference(self.config, config)
        try:
            done = asked.get(timeout=TIMEOUT_S).get(timeout=TIMEOUT_S)
        except pykka.Timeout:
            problems: tuple[str, ...] = (UNFINISHED,)
        except pykka.ActorDeadError:
            return Outcome.refused((GONE,))
        else:
            problems = done.problems
            if problems and done.made.is_empty:
                return Outcome.refused(problems)
        self.config = applied(self.config, config)
        self._status.configured(self.config, written)
        return Outcome.of(made, problems)
