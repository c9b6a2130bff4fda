"""Whom a configuration lets use its endpoints, and whom its listeners believe."""

from collections.abc import Mapping
from types import MappingProxyType

from mesh.config.schema import GRANTED, Config, EndpointSection, ListenerSection
from mesh.config.services import services
from mesh.trust.policy import Policy


def policy_of(config: Config) -> Policy:
    """The lists of its endpoints and listeners that have one."""
    allowed: dict[str, frozenset[str]] = {}
    believed: dict[str, frozenset[str]] = {}
    granted = frozenset(each.key for each in config.forward.endpoints if each.visibility == GRANTED)
    for name, section in services(config).items():
        match section:
            case EndpointSection(key=key, allow=allow) if allow:
                allowed[key] = frozenset(allow)
            case ListenerSection(agents=agents) if agents:
                believed[name] = frozenset(agents)
            case _:
                pass
    return Policy(_frozen(allowed), _frozen(believed), granted)


def _frozen(lists: dict[str, frozenset[str]]) -> Mapping[str, frozenset[str]]:
    return MappingProxyType(lists)
