"""What this agent knows of the whole mesh, as lists; kept for as long as nothing in it changes."""

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from itertools import islice
from typing import Final

from mesh.agent.control.mesh_rows import (
    AgentRow,
    CertificateRow,
    LinkRow,
    ListenedRow,
    OfferRow,
    RouteRow,
    ServiceRow,
)
from mesh.agent.control.own_rows import ExitRow
from mesh.agent.dashboard.status import DashboardSnapshot, MemberView, RouteView
from mesh.routing.pairings import Pairing, Pairings
from mesh.rtt_steps import RTT_UNIT_S
from mesh.trust.certificates import Certificate, issuer_of
from mesh.trust.identity import AgentId, display_id, encode_public_key, short_id

MAX_OF_A_KEY: Final = 64
"""Agents that a service names as offering it, and listeners; of more it gives the number."""

MAX_KEYS_OF_AN_AGENT: Final = 8
"""That it names; of more it gives the number."""


class MeshView:
    """Lists made of one answer of the actors, each when it is first asked for."""

    def __init__(self, snapshot: DashboardSnapshot, pairings: Pairings) -> None:
        self._own_id = snapshot.agent_id
        self._routes = snapshot.routes
        self._own_targets = snapshot.own_targets
        self._pairings = pairings
        records = snapshot.routes.records
        self._names = {each.agent_id: each.name for each in records.values()}

    @cached_property
    def agents(self) -> tuple[AgentRow, ...]:
        """Every agent that is known."""
        hops = self._routes.hop_counts
        peers = self._routes.records[self._own_id].round_trips
        return tuple(
            AgentRow(
                id=display_id(each.agent_id),
                short_id=short_id(each.agent_id),
                name=each.name,
                is_local=each.agent_id == self._own_id,
                is_peer=each.agent_id in peers,
                hop_count=hops.get(each.agent_id),
                carries_transit=each.carries_transit,
                draining=each.draining,
                links=len(each.round_trips),
                endpoints=sum(1 for _ in each.endpoints),
                listeners=sum(1 for _ in each.listeners),
                keys=tuple(offered.key for offered in islice(each.endpoints, MAX_KEYS_OF_AN_AGENT)),
                certificate_not_after=each.certificate.not_after,
                version=each.version,
            )
            for each in self._members()
        )

    @cached_property
    def links(self) -> tuple[LinkRow, ...]:
        """Every link that both of its agents tell of, once."""
        records = self._routes.records
        return tuple(
            LinkRow(
                display_id(each.agent_id),
                each.name,
                display_id(peer),
                self._name(peer),
                RTT_UNIT_S * 2**step * 1000,
            )
            for each in self._members()
            for peer, step in sorted(each.round_trips.items())
            if each.agent_id < peer and peer in records and each.agent_id in records[peer].round_trips
        )

    @cached_property
    def services(self) -> tuple[ServiceRow, ...]:
        """Every key that is offered or listened for, here even if the mesh is not told of it."""
        offers: defaultdict[str, dict[AgentId, OfferRow]] = defaultdict(dict)
        listeners: defaultdict[str, dict[tuple[AgentId, str], ListenedRow]] = defaultdict(dict)
        for endpoint in self._pairings.unmatched_endpoints:
            offers[endpoint.key][endpoint.agent_id] = self._offer(
                endpoint.agent_id, endpoint.agent_name, endpoint.target, endpoint.reason
            )
        for listener in self._pairings.unmatched_listeners:
            listeners[listener.key][listener.agent_id, listener.address] = ListenedRow(
                display_id(listener.agent_id),
                listener.agent_name,
                listener.address,
                listener.reason,
                exit_id=None,
                exit=None,
                hop_count=None,
                path=(),
            )
        nearest: dict[tuple[str, AgentId, str], Pairing] = {}
        for each in self._pairings.matched:
            nearest.setdefault((each.key, each.ingress_id, each.listener_address), each)
        for member in self._members():
            own = self._own_targets if member.agent_id == self._own_id else {}
            for offered in member.endpoints:
                target = own.get(offered.key, offered.target)
                row = self._offer(member.agent_id, member.name, target, None)
                offers[offered.key].setdefault(member.agent_id, row)
            for wanted in member.listeners:
                place = member.agent_id, wanted.address
                listened = _listened(member, wanted.address, nearest.get((wanted.key, *place)))
                listeners[wanted.key].setdefault(place, listened)
        return tuple(
            _service(key, offers[key].values(), listeners[key].values())
            for key in sorted(offers.keys() | listeners.keys())
        )

    def _offer(self, agent_id: AgentId, name: str, target: str | None, problem: str | None) -> OfferRow:
        hop_count = self._routes.hop_counts.get(agent_id)
        return OfferRow(display_id(agent_id), name, target, hop_count, problem)

    @cached_property
    def routes(self) -> tuple[RouteRow, ...]:
        """Listeners with the endpoints that they reach: of each the nearest."""
        return tuple(
            RouteRow(
                key=each.key,
                ingress_id=display_id(each.ingress_id),
                ingress=each.ingress_name,
                listener_address=each.listener_address,
                exit_id=display_id(each.exit_id),
                exit=each.exit_name,
                target=each.target,
                hop_count=each.hop_count,
                path_ids=tuple(map(display_id, each.path_ids)),
                path=each.path_names,
            )
            for each in self._pairings.matched
        )

    @cached_property
    def own_exits(self) -> Mapping[tuple[str, str], tuple[ExitRow, ...]]:
        """To whom the listeners of this agent lead, by key and address: the nearest first."""
        found: defaultdict[tuple[str, str], tuple[ExitRow, ...]] = defaultdict(tuple)
        for each in self._pairings.matched:
            if each.ingress_id == self._own_id:
                row = ExitRow(display_id(each.exit_id), each.exit_name, each.target, each.hop_count)
                found[each.key, each.listener_address] += (row,)
        return found

    @cached_property
    def own_users(self) -> Mapping[str, int]:
        """How many listeners lead to each endpoint of this agent, by key."""
        return Counter(each.key for each in self._pairings.matched if each.exit_id == self._own_id)

    @cached_property
    def certificates(self) -> tuple[CertificateRow, ...]:
        """Those of all agents that are known, the own one first."""
        members = sorted(self._members(), key=lambda each: each.agent_id != self._own_id)
        return tuple(
            _certificate(each.certificate, is_local=each.agent_id == self._own_id) for each in members
        )

    def is_of(self, routes: RouteView) -> bool:
        """Whether it was made of these."""
        return self._routes is routes

    def agent(self, agent_id: str) -> AgentRow | None:
        """The one with this ID, if it is known."""
        return self._agents_by_id.get(agent_id)

    @cached_property
    def _agents_by_id(self) -> Mapping[str, AgentRow]:
        return {each.id: each for each in self.agents}

    def _members(self) -> list[MemberView]:
        return sorted(self._routes.records.values(), key=lambda each: (each.name, each.agent_id))

    def _name(self, agent_id: AgentId) -> str:
        return self._names.get(agent_id) or short_id(agent_id)


def _service(key: str, offers: Iterable[OfferRow], listeners: Iterable[ListenedRow]) -> ServiceRow:
    by_distance = sorted(offers, key=_distance)
    by_name = sorted(listeners, key=lambda each: (each.agent, each.address))
    return ServiceRow(
        key=key,
        offers=tuple(by_distance[:MAX_OF_A_KEY]),
        offer_count=len(by_distance),
        listeners=tuple(by_name[:MAX_OF_A_KEY]),
        listener_count=len(by_name),
    )


def _listened(member: MemberView, address: str, way: Pairing | None) -> ListenedRow:
    return ListenedRow(
        display_id(member.agent_id),
        member.name,
        address,
        None,
        exit_id=None if way is None else display_id(way.exit_id),
        exit=None if way is None else way.exit_name,
        hop_count=None if way is None else way.hop_count,
        path=() if way is None else way.path_names,
    )


def _distance(offer: OfferRow) -> tuple[object, ...]:
    return offer.hop_count is None, offer.hop_count or 0, offer.agent, offer.agent_id


def _certificate(certificate: Certificate, *, is_local: bool) -> CertificateRow:
    issuer = issuer_of(certificate)
    return CertificateRow(
        agent_id=display_id(certificate.agent_id),
        name=certificate.name,
        is_local=is_local,
        public_key=encode_public_key(certificate.subject),
        authority=encode_public_key(certificate.authority),
        not_before=certificate.not_before,
        not_after=certificate.not_after,
        may_register=certificate.may_register,
        may_use=certificate.may_use,
        may_relay=certificate.may_relay,
        may_manage=certificate.may_manage,
        groups=certificate.groups,
        may_issue=certificate.may_issue is not None,
        issuer_id=None if issuer is None else display_id(issuer.agent_id),
        issuer=None if issuer is None else issuer.name,
    )


class MeshViews:
    """The view of now: the last one if nothing that it shows has changed.

    Args:
        pairings: who reaches whom.
    """

    def __init__(self, pairings: Callable[[DashboardSnapshot], Pairings]) -> None:
        self._pairings = pairings
        self._lock = threading.Lock()
        self._shown: tuple[object, ...] = ()
        self._view: MeshView | None = None

    def of(self, snapshot: DashboardSnapshot) -> MeshView:
        """The view of ``snapshot``."""
        shown = snapshot.portless, snapshot.withheld, snapshot.disbelieved, snapshot.own_targets
        with self._lock:
            if self._view is None or not self._view.is_of(snapshot.routes) or self._shown != shown:
                self._shown, self._view = shown, MeshView(snapshot, self._pairings(snapshot))
            return self._view
