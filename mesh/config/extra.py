"""Services beside those of the configuration file: saved at run time, or held by a command that runs.

They are merged into a configuration before anything looks at it; what cannot stand beside it is told here.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import TypeAlias

import msgspec

from mesh.addresses import surely_reaches
from mesh.config.local_ports import LocalPorts, port_or_path
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
    return _Standing(config).clash(extra)


def merged_or_clashes(config: Config, extras: Iterable[Extra]) -> tuple[Config, tuple[str, ...]]:
    """``config`` with those of ``extras`` that can stand beside it, and what is wrong with the others."""
    standing, fitting, clashes = _Standing(config), list[Extra](), list[str]()
    for extra in extras:
        why = standing.clash(extra)
        if why is None:
            standing.add(extra)
            fitting.append(extra)
        else:
            clashes.append(f"{service_name(extra)}: {why}")
    return merged(config, fitting), tuple(clashes)


class _Standing:
    """What there is already, to be compared with a newcomer without going through all of it."""

    def __init__(self, config: Config) -> None:
        self._by_key: dict[str, EndpointSection] = {}
        self._by_target: defaultdict[int | str, list[EndpointSection]] = defaultdict(list)
        self._listeners: defaultdict[int | str, list[ListenerSection]] = defaultdict(list)
        self._ports: LocalPorts[str] = LocalPorts()
        for acceptor in config.accept:
            self._ports.add(acceptor.address, "an acceptor")
        for endpoint in config.forward.endpoints:
            self.add(endpoint)
        for listener in config.forward.listeners:
            self.add(listener)
        for socks in config.forward.socks:
            self._ports.add(socks.address, "a SOCKS listener")
        if config.http is not None:
            self._ports.add(config.http.address, "http.address")

    def add(self, service: Extra) -> None:
        """It stands from now on."""
        match service:
            case EndpointSection(key=key, target=target):
                self._by_key[key] = service
                self._by_target[port_or_path(target)].append(service)
            case ListenerSection(key=key, address=address):
                self._listeners[port_or_path(address)].append(service)
                self._ports.add(address, f"the listener of {key}")

    def clash(self, extra: Extra) -> str | None:
        """As :func:`clash`."""
        match extra:
            case EndpointSection(key=key, target=target):
                if key in self._by_key:
                    return f"this agent offers {key} already: it is {self._by_key[key].target}"
                for listener in self._listeners[port_or_path(target)]:
                    if surely_reaches(target, listener.address):
                        return (
                            f"{target} is this agent's own listener of {listener.key}: a circle for clients"
                        )
            case ListenerSection(address=address):
                holder = self._ports.holder(address)
                if holder is not None:
                    has = f"{holder.who} of this agent has {holder.address} already"
                    return f"{has}: choose another port or path"
                for endpoint in self._by_target[port_or_path(address)]:
                    if surely_reaches(endpoint.target, address):
                        return f"{address} is the target of this agent's endpoint {endpoint.key}"
        return None
