"""What is read of other agents' records to say who reaches whom, and why not."""

from collections.abc import Iterable
from typing import Protocol

from mesh.trust.identity import AgentId


class EndpointView(Protocol):
    """An endpoint as its agent advertises it."""

    @property
    def key(self) -> str:
        """The routing key."""
        ...

    @property
    def target(self) -> str | None:
        """The service's address; ``None`` where its agent hides it."""
        ...


class ListenerView(Protocol):
    """A listener as its agent advertises it."""

    @property
    def key(self) -> str:
        """The routing key."""
        ...

    @property
    def address(self) -> str:
        """The bound address, for people."""
        ...


class GrantView(Protocol):
    """What a certificate permits its agent."""

    def allows_register(self, key: str) -> bool:
        """Whether the agent may offer an endpoint for ``key``."""
        ...

    def allows_use(self, key: str) -> bool:
        """Whether the agent may open connections to ``key``."""
        ...


class NamedView(Protocol):
    """Who an agent is."""

    @property
    def agent_id(self) -> AgentId:
        """The agent's ID."""
        ...

    @property
    def name(self) -> str:
        """The agent's display name."""
        ...


class AgentView(NamedView, Protocol):
    """What the pairings need of an agent's record."""

    @property
    def certificate(self) -> GrantView:
        """What the agent may do."""
        ...

    @property
    def endpoints(self) -> Iterable[EndpointView]:
        """What the agent offers."""
        ...

    @property
    def listeners(self) -> Iterable[ListenerView]:
        """What the agent listens for."""
        ...
