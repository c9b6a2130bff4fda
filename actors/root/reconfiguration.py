"""One change of a running agent's configuration, as it is carried out by its supervisor.

Services that go are gone before others come: who comes may want the port of one who goes.
"""

import enum
from collections.abc import Sequence
from typing import Final

from actors.messages.agent import Configured
from actors.runtime.supervisor_messages import ChildSettled, Inbound
from mesh.config.difference import Difference

LEAVING: Final = "the agent is leaving"
BUSY: Final = "another change is being carried out"
STARTED_ANEW: Final = "an actor died meanwhile: everything is being started anew, as configured now"


class Stage(enum.Enum):
    """What is being waited for."""

    REMOVING = "services that shall go"
    ADDING = "services that change and come"
    DONE = "nothing"


class Reconfiguration:
    """What is left to do.

    Args:
        made: what the change consists of.
        removals: the commands that remove services, one for each.
        others: those that change or add one, one for each.
    """

    __slots__ = ("_left", "_next", "_problems", "made", "stage")

    def __init__(self, made: Difference, removals: Sequence[Inbound], others: Sequence[Inbound]) -> None:
        self.made = made
        self.stage = Stage.REMOVING
        self._next = (tuple(removals), tuple(others))
        self._left = 0
        self._problems: list[str] = []

    def go_on(self) -> tuple[Inbound, ...]:
        """What to tell the supervisor next: to be asked at first, and after each :meth:`settled`."""
        if self._left:
            return ()
        removals, others = self._next
        if self.stage is Stage.REMOVING and removals:
            self._next = ((), others)
            self._left = len(removals)
            return removals
        if self.stage is Stage.REMOVING:
            self.stage = Stage.ADDING
            self._left = len(others)
            self._next = ((), ())
            if others:
                return others
        self.stage = Stage.DONE
        return ()

    def settled(self, child: ChildSettled) -> None:
        """Take note of what the supervisor says of one child."""
        self._left -= 1
        if child.problem is not None:
            self._problems.append(f"{child.name}: {child.problem}")

    def result(self) -> Configured:
        """How it went."""
        return Configured(self.made, tuple(self._problems))
