"""How the listeners and endpoints of this agent are, as its operator sees them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from actors.connections.endpoint import WITHDRAWN
from actors.listener_meter import ListenerMeter, NamedMeter, Refusals
from actors.messages.agent import PartState
from mesh.agent.dashboard.states import ServiceState
from mesh.agent.dashboard.status import AsideExit, ServiceStatus
from mesh.agent.disbelieved import disbelieved
from mesh.agent.findings import Finding, FindingKind
from mesh.config.schema import Config, EndpointSection, ListenerSection
from mesh.config.services import services
from mesh.connection.candidates import SetAside
from mesh.escaping import escaped
from mesh.routing.counterparts import NO_REGISTER, NO_USE, why_unoffered
from mesh.routing.routes import RouteSnapshot
from mesh.trust.certificates import Certificate

NOT_YET: Final = "not open yet"

BY_NAME: Final = "socks"
"""Stands for the address of what serves the clients that ask for a key by name."""

_LOOK_THERE: Final = "look at the target and the log of the exits that it names"


class OwnServices:
    """Puts together what is known of them.

    Args:
        config: what the agent runs with.
        certificate: this agent's own.
        parts: what has been reported, by name.
        meters: of the listeners, by name.
        named: of the keys that SOCKS clients ask for; several have one key, if they ask for certain exits.
        routes: of this agent.
        unix_s_of: Unix seconds of a time of the actors.
    """

    def __init__(
        self,
        *,
        config: Config,
        certificate: Certificate,
        parts: Mapping[str, PartState],
        meters: Mapping[str, ListenerMeter],
        routes: RouteSnapshot,
        unix_s_of: Callable[[float], float],
        named: Sequence[NamedMeter] = (),
    ) -> None:
        self._certificate = certificate
        self._parts = parts
        self._meters = meters
        self._routes = routes
        self._unix_s_of = unix_s_of
        self._disbelieved = disbelieved(config, routes)
        found = services(config).items()
        self.listeners = tuple(
            msgspec.structs.replace(self._listener(name, section), configured=str(section.address))
            for name, section in found
            if isinstance(section, ListenerSection)
        )
        self.endpoints = tuple(
            self._endpoint(name, section) for name, section in found if isinstance(section, EndpointSection)
        )
        worst = sorted(named, key=lambda each: (-each.meter.refusals.clients, each.meter.is_open))
        self.named = tuple(self._named(key, meter) for key, meter in dict(reversed(worst)).items())

    def _listener(self, name: str, section: ListenerSection) -> ServiceStatus:
        part, meter = self._parts.get(name), self._meters.get(name)
        key, address = section.key, (meter.address if meter is not None else "") or str(section.address)
        if part is None or part.trouble is not None or meter is None:
            since = None if part is None else self._unix_s_of(part.since_s)
            reason = NOT_YET if part is None else part.trouble or NOT_YET
            return ServiceStatus(key, address, ServiceState.CLOSED, since, reason)
        if not self._certificate.allows_use(key):
            since = self._unix_s_of(meter.since_s)
            return ServiceStatus(key, address, ServiceState.NOT_PERMITTED, since, _not_permitted(meter))
        since = self._unix_s_of(meter.since_s)
        aside = tuple(self._aside(each) for each in meter.aside)
        if not meter.is_open:
            reason = self._disbelieved.get(key) or why_unoffered(self._routes, key)
            return ServiceStatus(key, address, ServiceState.PARKED, since, reason, aside)
        refusals = meter.refusals
        if refusals.clients:
            since = self._unix_s_of(refusals.since_s)
            reason, clients = _refused(refusals), refusals.clients
            return ServiceStatus(
                key, address, ServiceState.REFUSING, since, reason, aside, refused_clients=clients
            )
        return ServiceStatus(key, address, ServiceState.OPEN, since, aside=aside)

    def _named(self, key: str, meter: ListenerMeter) -> ServiceStatus:
        refusals = meter.refusals
        state, since_s, reason = ServiceState.OPEN, meter.since_s, ""
        if refusals.clients:
            state, since_s, reason = ServiceState.REFUSING, refusals.since_s, _refused(refusals)
        elif not meter.is_open:
            state, reason = ServiceState.PARKED, why_unoffered(self._routes, key)
        return ServiceStatus(
            key=key,
            address=BY_NAME,
            state=state,
            since_unix_s=self._unix_s_of(since_s),
            reason=reason,
            aside=tuple(self._aside(each) for each in meter.aside),
            refused_clients=refusals.clients,
        )

    def _aside(self, each: SetAside) -> AsideExit:
        record = self._routes.records.get(each.agent_id)
        return AsideExit(
            agent_id=each.agent_id,
            name="" if record is None else record.name,
            reason=escaped(each.code),
            since_unix_s=self._unix_s_of(each.since_s),
            until_unix_s=self._unix_s_of(each.until_s),
        )

    def _endpoint(self, name: str, section: EndpointSection) -> ServiceStatus:
        part, key, target = self._parts.get(name), section.key, str(section.target)
        since = None if part is None else self._unix_s_of(part.since_s)
        if part is not None and part.trouble is not None:
            is_down = part.trouble.startswith(WITHDRAWN)
            state = ServiceState.WITHDRAWN if is_down else ServiceState.WITHHELD
            return ServiceStatus(key, target, state, since, part.trouble)
        if not self._certificate.allows_register(key):
            return ServiceStatus(key, target, ServiceState.NOT_PERMITTED, since, NO_REGISTER)
        return ServiceStatus(key, target, ServiceState.OFFERED, since)

    def closed(self) -> list[Finding]:
        """Each listener without a port."""
        return [
            Finding(
                FindingKind.LISTENER,
                f"listener {each.key} at {each.address}: {each.reason}",
                since_unix_s=each.since_unix_s,
            )
            for each in self.listeners
            if each.state is ServiceState.CLOSED
        ]

    def refusing(self) -> list[Finding]:
        """Each listener, or key asked for by name, whose last clients found nobody to serve them."""
        return [
            Finding(
                FindingKind.REFUSING,
                f"{_what(each)} {each.state}: {each.reason}",
                _LOOK_THERE,
                each.since_unix_s,
            )
            for each in (*self.listeners, *self.named)
            if each.state is ServiceState.REFUSING
        ]

    def withdrawn(self) -> list[Finding]:
        """Each endpoint whose target is down."""
        return [
            Finding(
                FindingKind.ENDPOINT, f"endpoint {each.key} is {each.reason}", since_unix_s=each.since_unix_s
            )
            for each in self.endpoints
            if each.state is ServiceState.WITHDRAWN
        ]


def _what(service: ServiceStatus) -> str:
    by_name = service.address == BY_NAME
    return f"key {service.key}, asked for by name," if by_name else f"listener {service.key}"


def _not_permitted(meter: ListenerMeter) -> str:
    """Why, and who is in all the same: a right that is taken away cuts nobody off."""
    count = meter.connected()
    if not count:
        return NO_USE
    many = "one connection is" if count == 1 else f"{count:,} connections are"
    return f"{NO_USE}; {many} open from before: mesh connections --close ID ends one"


def _refused(refusals: Refusals) -> str:
    one = "one client" if refusals.clients == 1 else f"{refusals.clients:,} clients in a row"
    return f"{one}, the latest because of: {refusals.why}"
