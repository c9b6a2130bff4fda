"""What a listener says in the log, and how often."""

import logging
from typing import Final

from mesh.journal import EventKind
from mesh.sampling import sampled
from mesh.telling import event

log: Final = logging.getLogger("mesh.forward")

_LISTENER: Final = event(EventKind.LISTENER)


class ListenerReports:
    """The lines of one listener; clients, exits and members of the mesh can cause most of them at will.

    Args:
        key: the routing key.
        by: the door by which its clients come, if they name the key there; else the listener has its own.
    """

    __slots__ = ("_facts", "_key")

    def __init__(self, key: str, by: str = "") -> None:
        self._key = key
        self._facts = {"key": key, "what": f"{by} for {key}" if by else f"listener {key}"}

    def not_permitted(self) -> None:
        """Nobody will ever be let in."""
        line = "%(what)s refuses: this agent's certificate does not permit the use of it"
        log.error(line, self._facts, extra=_LISTENER)

    def bound(self, address: str) -> None:
        """It has its port."""
        facts = self._facts | {"address": address}
        log.info("%(what)s at %(address)s", facts, extra=_LISTENER)

    def changed(self, address: str) -> None:
        """Its configuration is another one."""
        facts = self._facts | {"address": address}
        log.info("%(what)s at %(address)s has been changed", facts, extra=_LISTENER)

    def opened(self, exit_: str) -> None:
        """The key is offered."""
        facts = self._facts | {"exit": exit_}
        log.info("%(what)s open: offered by %(exit)s", facts, extra=sampled(self._key) | _LISTENER)

    def refuses(self, why: str) -> None:
        """Nobody offers it."""
        facts = self._facts | {"reason": why}
        log.info("%(what)s refuses: %(reason)s", facts, extra=sampled(self._key) | _LISTENER)

    def prefers(self, exit_: str, before: str) -> None:
        """New clients are led to another exit first; places of its own, for any member can cause it."""
        line = "%(what)s prefers %(exit)s from now on, and not %(before)s"
        facts = self._facts | {"exit": exit_, "before": before}
        log.info(line, facts, extra=sampled(f"{self._key} prefers") | event(EventKind.EXIT))

    def sets_aside(self, exit_: str, why: str) -> None:
        """This exit has failed."""
        facts = self._facts | {"exit": exit_, "reason": why}
        extra = sampled(self._key) | event(EventKind.EXIT)
        log.info("%(what)s sets %(exit)s aside: %(reason)s", facts, extra=extra)

    def serves_again(self, exit_: str) -> None:
        """It serves again."""
        facts = self._facts | {"exit": exit_}
        extra = sampled(self._key) | event(EventKind.EXIT)
        log.info("%(what)s: %(exit)s serves again", facts, extra=extra)

    def offered_too(self, agent: str, by: str) -> None:
        """Another agent offers the key, which others offered before."""
        line = (
            "%(what)s: %(agent)s offers the key too, from now on, which was offered by %(before)s; "
            "who is believed can be named in agents:"
        )
        facts = self._facts | {"agent": agent, "before": by}
        log.warning(line, facts, extra=sampled(self._key) | event(EventKind.OFFER))

    def ignores(self, agent: str) -> None:
        """An offer is not believed."""
        line = "%(what)s ignores the offer of %(agent)s, which is not in its agents:"
        facts = self._facts | {"agent": agent}
        log.warning(line, facts, extra=sampled(self._key) | event(EventKind.OFFER))

    def cut(self, why: str) -> None:
        """A client would run in a circle; equal lines are held back."""
        log.warning("%(what)s resets a client: %(reason)s", self._facts | {"reason": why})

    def full(self, most: int, client: str) -> None:
        """There is no room for this client."""
        line = (
            "%(what)s is at max_connections (%(max_connections)d); "
            "resetting %(client)s and others until there is room"
        )
        facts = self._facts | {"max_connections": most, "client": client}
        log.warning(line, facts, extra=sampled(self._key))
