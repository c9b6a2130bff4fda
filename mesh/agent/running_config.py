"""What the agent runs with, and having its actors run with something else."""

from collections.abc import Iterable
from typing import Final

import pykka

from actors.messages import agent as agent_messages
from actors.runtime.reference import AskRef
from mesh.agent.actor_status import ActorStatus
from mesh.agent.audit.audit_log import AuditLog
from mesh.agent.audit.configured import note_outcome
from mesh.agent.outcome import Outcome
from mesh.config.difference import applied, difference
from mesh.config.loading import Written
from mesh.config.schema import Config

TIMEOUT_S: Final = 15.0
"""For the actors to be as they are to: each that goes has 5 s at most."""

UNFINISHED: Final = f"not all of the new configuration is in effect after {TIMEOUT_S:g} s; that goes on"
GONE: Final = "the agent's actors are gone"

NO_NAMES: Final = frozenset[str]()


class RunningConfig:
    """Changed on one thread."""

    def __init__(
        self,
        config: Config,
        written: Written,
        *,
        root: AskRef[agent_messages.Inbound],
        status: ActorStatus,
        audit: AuditLog,
    ) -> None:
        self.config = config
        """What the agent runs with."""
        self.written = written
        """Where what is in the file stands there."""
        self._root = root
        self._status = status
        self._audit = audit

    def carry_out(self, config: Config, clashes: Iterable[str], resets: frozenset[str] = NO_NAMES) -> Outcome:
        """Have the actors be as ``config`` says, and write down what came of it.

        Args:
            config: what is desired; what only another start brings into effect is told, and left as it is.
            clashes: what has been left out of it, and why.
            resets: names of listeners whose connections are reset, if they go.
        """
        asked: pykka.Future[pykka.Future[agent_messages.Configured]] = self._root.ask(
            agent_messages.Configure(config, resets), block=False
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
        self.show(applied(self.config, config))
        outcome = Outcome.of(made, (*problems, *clashes))
        note_outcome(self._audit, outcome)
        return outcome

    def show(self, config: Config) -> None:
        """The agent runs with this now; its pages show it."""
        self.config = config
        self._status.configured(config, self.written)
