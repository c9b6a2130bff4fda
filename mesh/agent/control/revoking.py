"""How revocation lists get to the actors."""

import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import pykka

from actors.messages import agent as agent_messages
from actors.messages import route_table as route_messages
from actors.runtime.reference import AskRef
from mesh.agent.actor_questions import agent_refs, answer_by
from mesh.agent.dashboard.status import StatusUnavailable

ANSWER_S: Final = 5.0


class Revoking(Protocol):
    """Passes revocation lists on; any thread may call."""

    def take(self, lists: Sequence[bytes]) -> tuple[str, ...]:
        """Have the agent judge by these lists and tell the mesh of them.

        Returns:
            For each why not, or nothing if it was taken or is known.

        Raises:
            StatusUnavailable: the actors are being started anew, or busy.
        """
        ...


class NotRevoking:
    """There are no actors."""

    def take(self, lists: Sequence[bytes]) -> tuple[str, ...]:
        """Refuse."""
        raise StatusUnavailable("this agent passes no revocation lists on")


class ActorRevoking:
    """Implements :class:`Revoking` over the actors of this process."""

    def __init__(self, root: AskRef[agent_messages.Inbound]) -> None:
        self._root = root

    def take(self, lists: Sequence[bytes]) -> tuple[str, ...]:
        """Have the route table take them."""
        deadline = time.monotonic() + ANSWER_S
        route_table = agent_refs(self._root, deadline).route_table
        asked: pykka.Future[tuple[str, ...]] = route_table.ask(
            route_messages.TakeRevocations(tuple(lists)), block=False
        )
        return answer_by(asked, deadline)


class SettledRevoking:
    """The same, but on return the agent shows and keeps what was taken; not for the main thread.

    Args:
        revoking: passes lists on.
        root: hears from the route table what is known, and has it kept.
        settle: returns when the main thread has done what it was given before.
    """

    def __init__(
        self, revoking: Revoking, root: AskRef[agent_messages.Inbound], settle: Callable[[], None]
    ) -> None:
        self._revoking, self._root, self._settle = revoking, root, settle

    def take(self, lists: Sequence[bytes]) -> tuple[str, ...]:
        """Pass them on, and wait for what follows here."""
        said = self._revoking.take(lists)
        agent_refs(self._root, time.monotonic() + ANSWER_S)  # the root has had what the route table told it
        self._settle()
        return said
