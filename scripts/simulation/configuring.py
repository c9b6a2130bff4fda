"""Agents of a simulated mesh are told of other configurations while they run."""

from collections.abc import Callable
from typing import Any, Final

import msgspec
import pykka

from actors.messages.agent import Configure
from actors.runtime.virtual.world import is_answered
from mesh.addresses import TcpAddress
from mesh.config.schema import Config
from scripts.simulation.changes import Change, Surroundings, changed
from scripts.simulation.invariants import InvariantError
from scripts.simulation.world import PEER_PORT, MeshWorld

RETRY_S: Final = 0.05
"""Until an agent that still carries out a change is told of the next."""


class Teller:
    """Tells agents what their configurations are now, one change after the other.

    Args:
        mesh: whose agents are all planned.
        config_of: what the configuration of an agent is to be.
        is_leaving: whether an agent takes no other configuration any more.
        on_told: an agent has been told, or will be started with it.
    """

    def __init__(
        self,
        mesh: MeshWorld,
        config_of: Callable[[str], Config],
        *,
        is_leaving: Callable[[str], bool] = lambda _: False,
        on_told: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._mesh = mesh
        self._config_of = config_of
        self._is_leaving = is_leaving
        self._on_told = on_told
        self._told: dict[str, pykka.Future[Any]] = {}
        """What each agent that has been told will answer, or has."""

    def judge(self) -> None:
        """Look at what all agents have answered.

        Raises:
            InvariantError: a change has not been made, or only in part.
        """
        for name in self._told:
            if not self._has_answered(name):
                raise InvariantError("changes are made", f"{name} has not answered")

    def tell(self, name: str) -> None:
        """Tell an agent, once it has answered what it was told before."""
        plan = self._mesh.plans[name]
        if not self._has_answered(name):
            self._mesh.world.at(self._mesh.world.now() + RETRY_S, lambda: self.tell(name))
            return
        config = self._config_of(name)
        plan.setup = msgspec.structs.replace(plan.setup, config=config)  # for its next process
        if self._is_leaving(name):
            return
        if plan.root is not None and plan.root.is_alive():
            self._told[name] = plan.root.ask(Configure(config), block=False)
        self._on_told(name)

    def _has_answered(self, name: str) -> bool:
        """Whether an agent is ready for another change; one that has ended is."""
        told = self._told.get(name)
        try:
            while isinstance(told, pykka.Future):
                if not is_answered(told):
                    return False
                told = told.get(timeout=0)
        except pykka.ActorDeadError:
            return True
        if told is not None and told.problems and not self._is_leaving(name):
            raise InvariantError("changes are made", f"{name}: {'; '.join(told.problems)}")
        return True


class Configuring:
    """Keeps what each agent's configuration is to be.

    Args:
        mesh: whose agents are all planned.
        other_target: of a key and an agent: the service that the endpoint leads to once it leads to another.
    """

    def __init__(self, mesh: MeshWorld, other_target: Callable[[str, str], TcpAddress]) -> None:
        self._other_target = other_target
        self._as_planned = {name: plan.setup.config for name, plan in mesh.plans.items()}
        self._changes: dict[str, set[Change]] = {name: set() for name in mesh.plans}
        self._teller = Teller(mesh, self._config_of)

    def change(self, name: str, change: Change) -> None:
        """Have one agent be different."""
        self._changes[name].add(change)
        self._teller.tell(name)

    def take_back(self, name: str, change: Change) -> None:
        """Have it be so no more."""
        self._changes[name].remove(change)
        self._teller.tell(name)

    def judge(self) -> None:
        """Look at what all agents have answered.

        Raises:
            InvariantError: a change has not been made, or only in part.
        """
        self._teller.judge()

    def _config_of(self, name: str) -> Config:
        around = Surroundings(
            agents=[other for other in self._as_planned if other != name],
            peer_port=PEER_PORT,
            other_target=lambda key: self._other_target(key, name),
        )
        return changed(self._as_planned[name], self._changes[name], around)
