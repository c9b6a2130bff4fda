"""How the SOCKS listeners of an agent are, for people."""

from collections.abc import Mapping

from mesh.agent.dashboard.status import SocksStatus
from mesh.agent.findings import Finding, FindingKind
from mesh.agent.own_services import NOT_YET
from mesh.config.schema import Config, SocksSection
from mesh.config.services import services


def socks_listeners(config: Config, troubles: Mapping[str, str | None]) -> tuple[SocksStatus, ...]:
    """Each of those that are configured.

    Args:
        config: what the agent runs with.
        troubles: what each service has reported, by name; ``None`` means that it has its port.
    """
    return tuple(
        SocksStatus(str(section.address), troubles.get(name, NOT_YET))
        for name, section in services(config).items()
        if isinstance(section, SocksSection)
    )


def socks_problems(listeners: tuple[SocksStatus, ...]) -> tuple[Finding, ...]:
    """A line for each that is not open."""
    closed = (each for each in listeners if each.problem is not None)
    return tuple(
        Finding(FindingKind.SOCKS, f"SOCKS listener at {each.address}: {each.problem}") for each in closed
    )
