"""Services beside those of the configuration file: saved at run time, or held by a command that runs.

They are merged into a configuration before anything looks at it; what cannot stand beside it is told here.
"""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import msgspec

from mesh.addresses import SocketAddress, cannot_both_listen, surely_reaches
from mesh.config.schema import Config, EndpointSection, ListenerSection
from mesh.config.services import service_name

Extra: TypeAlias = EndpointSection | ListenerSection
"""One service that is not in the file."""


def merged(config: Config, extras: Iterable[Extra]) -> Config:
    """``config`` with these services, which do not clash with it or with each other."""
    endpoints = list(config.forward.endpoints)
    listeners = list(config.forward.listeners)
    for extra in extras:
        match extra:
            case EndpointSection():
                endpoints.append(extra)
            case ListenerSection():
                listeners.append(extra)
    forward = msgspec.structs.replace(config.forward, endpoints=tuple(endpoints), listeners=tuple(listeners))
    return msgspec.structs.replace(config, forward=forward)


def clash(config: Config, extra: Extra) -> str | None:
    """Why ``extra`` cannot stand beside what ``config`` has; ``None`` if it can. For people."""
    match extra:
        case EndpointSection(key=key, target=target):
            for endpoint in config.forward.endpoints:
                if endpoint.key == key:
                    return f"this agent offers {key} already: it is {endpoint.target}"
            for listener in config.forward.listeners:
                if surely_reaches(target, listener.address):
                    return f"{target} is this agent's own listener of {listener.key}: a circle for clients"
        case ListenerSection(address=address):
            for what, other in _ports(config):
                if cannot_both_listen(address, other):
                    return f"{what} of this agent has {other} already: choose another port or path"
            for endpoint in config.forward.endpoints:
                if surely_reaches(endpoint.target, address):
                    return f"{address} is the target of this agent's endpoint {endpoint.key}"
    return None


def merged_or_clashes(config: Config, extras: Iterable[Extra]) -> tuple[Config, tuple[str, ...]]:
    """``config`` with those of ``extras`` that can stand beside it, and what is wrong with the others."""
    clashes = []
    for extra in extras:
        why = clash(config, extra)
        if why is None:
            config = merged(config, (extra,))
        else:
            clashes.append(f"{service_name(extra)}: {why}")
    return config, tuple(clashes)


def _ports(config: Config) -> Iterator[tuple[str, SocketAddress]]:
    for acceptor in config.accept:
        yield "an acceptor", acceptor.address
    for listener in config.forward.listeners:
        yield f"the listener of {listener.key}", listener.address
    for socks in config.forward.socks:
        yield "a SOCKS listener", socks.address
    if config.http is not None:
        yield "http.address", config.http.address
