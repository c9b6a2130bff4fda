"""What the route table is told by the configuration."""

from typing import Protocol


class RoutingSettings(Protocol):
    """What the configuration says of routes; see :class:`mesh.config.schema.RoutingSection`."""

    @property
    def advertise_interval_s(self) -> float:
        """How often the own record is refreshed."""
        ...

    @property
    def route_ttl_s(self) -> float:
        """The age at which a record expires."""
        ...

    @property
    def max_hops(self) -> int:
        """Links on a path, at most."""
        ...
