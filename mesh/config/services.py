"""The services of a configuration by name: each runs by itself, and comes, changes and goes by itself.

A name survives a reload. An endpoint has its key, a listener its key and address, the others their
address. Where the system chooses the port several may have these in common: a number tells them apart.
"""

from collections.abc import Mapping
from typing import TypeAlias, assert_never

from mesh.addresses import TcpAddress
from mesh.config.schema import (
    AcceptSection,
    Config,
    EndpointSection,
    ListenerSection,
    PeerSection,
    SocksSection,
)

Service: TypeAlias = EndpointSection | ListenerSection | SocksSection | AcceptSection | PeerSection


def services(config: Config) -> Mapping[str, Service]:
    """All that ``config`` asks for, in the order of their start."""
    found: dict[str, Service] = {}
    numbers: dict[str, int] = {}
    sections: tuple[Service, ...] = (
        *config.forward.endpoints,
        *config.forward.listeners,
        *config.forward.socks,
        *config.accept,
        *config.peers,
    )
    for section in sections:
        name = service_name(section)
        if _may_repeat(section):
            numbers[name] = number = numbers.get(name, 0) + 1
            name = f"{name} ({number})"
        found[name] = section
    return found


def service_name(section: Service) -> str:
    """What an agent calls a service, without the number of one among several; people read it too."""
    match section:
        case EndpointSection(key=key):
            return f"endpoint {key}"
        case ListenerSection(key=key, address=address):
            return f"listener {key} {address}"
        case SocksSection(address=address):
            return f"socks {address}"
        case AcceptSection(address=address):
            return f"acceptor {address}"
        case PeerSection(address=address):
            return f"peer {address}"
        case _:
            assert_never(section)


def _may_repeat(section: Service) -> bool:
    match section:
        case (
            ListenerSection(address=TcpAddress(port=0))
            | SocksSection(address=TcpAddress(port=0))
            | AcceptSection(address=TcpAddress(port=0))
        ):
            return True
        case _:
            return False
