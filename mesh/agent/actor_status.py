"""The dashboard's door to the actors: asks them, with a time limit, and puts their answers together."""

import time
from collections.abc import Mapping
from typing import Final, NamedTuple, TypeVar

import pykka

from actors.messages import agent as agent_messages
from actors.messages import connection_table as table_messages
from actors.messages import peer_directory as directory_messages
from actors.messages import route_table as route_messages
from actors.meters import Meters
from actors.runtime.reference import AskRef
from mesh.agent.credentials import Credentials
from mesh.agent.dashboard.status import DashboardSnapshot, NoAnswer, PeerStatus, Stats, StatusUnavailable
from mesh.agent.descriptor_watch import descriptor_use
from mesh.agent.disbelieved import disbelieved
from mesh.agent.draining import draining_problems, is_draining
from mesh.agent.grants import missing_grants
from mesh.agent.link_problems import link_problems
from mesh.agent.namesakes import namesake_warnings
from mesh.agent.validity import ends_soon, invalid
from mesh.config.loading import NOTHING_WRITTEN, Written
from mesh.config.schema import AcceptSection, Config, ListenerSection
from mesh.config.services import service_name, services
from mesh.connection.stream import StreamBudget
from mesh.link.relay_budget import RelayBudget
from mesh.routing.effects import RouteCounts
from mesh.routing.pairings import UnmatchedEndpoint, UnmatchedListener
from mesh.routing.routes import RouteSnapshot
from mesh.trust.identity import AgentId

T = TypeVar("T")

NOT_YET: Final = "not open yet"


class _Running(NamedTuple):
    """What the agent runs with at present."""

    config: Config
    written: Written


class ActorStatus:
    """Implements :class:`~mesh.agent.dashboard.status.StatusSource` over the actors of this process."""

    def __init__(
        self,
        root: AskRef[agent_messages.Inbound],
        *,
        config: Config,
        credentials: Credentials,
        meters: Meters,
        budget: StreamBudget,
        relay_budget: RelayBudget,
        written: Written = NOTHING_WRITTEN,
    ) -> None:
        self._root = root
        self._running = _Running(config, written)
        self._credentials = credentials
        self._meters = meters
        self._budget = budget
        self._relay_budget = relay_budget

    def configured(self, config: Config, written: Written) -> None:
        """This is what the agent runs with from now on."""
        self._running = _Running(config, written)

    @property
    def own_id(self) -> AgentId:
        """This agent."""
        return self._credentials.identity.id

    def dashboard_snapshot(self, timeout_s: float) -> DashboardSnapshot:
        """The state of now.

        Raises:
            NoAnswer: none within ``timeout_s`` seconds.
            StatusUnavailable: the actors are gone, or being started anew.
        """
        deadline, running = time.monotonic() + timeout_s, self._running
        asked: pykka.Future[agent_messages.AgentRefs | None] = self._root.ask(
            agent_messages.GetRefs(), block=False
        )
        refs = _answer(asked, deadline)
        if refs is None:
            raise StatusUnavailable("the agent's actors are being started anew")
        # All are asked before the first answers, so that the answers come together.
        ask_routes: pykka.Future[RouteSnapshot] = refs.route_table.ask(
            route_messages.GetSnapshot(), block=False
        )
        ask_counts: pykka.Future[RouteCounts] = refs.route_table.ask(route_messages.GetCounts(), block=False)
        ask_peers: pykka.Future[tuple[directory_messages.PeerStatus, ...]] = refs.directory.ask(
            directory_messages.GetPeers(), block=False
        )
        ask_warnings: pykka.Future[tuple[str, ...]] = refs.directory.ask(
            directory_messages.GetWarnings(), block=False
        )
        ask_connections: pykka.Future[table_messages.ConnectionCounts] = refs.connection_table.ask(
            table_messages.GetConnectionCounts(), block=False
        )
        ask_parts: pykka.Future[tuple[agent_messages.PartReported, ...]] = self._root.ask(
            agent_messages.GetParts(), block=False
        )
        ask_problems: pykka.Future[tuple[str, ...]] = refs.route_table.ask(
            route_messages.GetProblems(), block=False
        )
        ask_twins: pykka.Future[tuple[str, ...]] = refs.route_table.ask(
            route_messages.GetWarnings(), block=False
        )
        routes, route_counts = _answer(ask_routes, deadline), _answer(ask_counts, deadline)
        peers, connections = _answer(ask_peers, deadline), _answer(ask_connections, deadline)
        parts, untold = _answer(ask_parts, deadline), _answer(ask_problems, deadline)
        warnings = *_answer(ask_warnings, deadline), *_answer(ask_twins, deadline)
        counters = {f"{name}_total": value for name, value in self._meters.figures().items()}
        counters |= {field: getattr(route_counts, field) for field in route_counts.__struct_fields__}
        counters["pending_opens"] = connections.pending_opens
        counters["stream_buffer_bytes"] = self._budget.reserved_bytes
        counters["relay_buffer_bytes"] = self._relay_budget.held_bytes
        counters["queue_drops_total"] = self._relay_budget.dropped_frames
        counters["certificate_expiry_timestamp_seconds"] = self._credentials.certificate.not_after
        troubles = {part.name: part.trouble for part in parts}
        descriptors = descriptor_use()
        closed = closed_ports(running.config, troubles)
        return DashboardSnapshot(
            agent_id=self.own_id,
            name=self._credentials.certificate.name,
            instance=routes.records[self.own_id].instance,
            peers=tuple(
                PeerStatus(
                    agent_id=peer.peer_id,
                    name=peer.name,
                    state=peer.state,
                    rtt_ms=None if peer.rtt_s is None else round(peer.rtt_s * 1000, 3),
                    is_dialer=peer.is_dialer,
                    address=peer.address,
                    problem=peer.problem,
                )
                for peer in peers
            ),
            stats=Stats(
                stream_count=connections.ingress + connections.exit,
                open_connections=connections.ingress + connections.exit - connections.pending_opens,
                actors=len(pykka.ActorRegistry.get_all()),
                unacknowledged_segments=self._budget.unacknowledged_segments,
                counters=counters,
            ),
            routes=routes,
            portless=tuple(
                UnmatchedListener(
                    key=key,
                    agent_id=self.own_id,
                    agent_name=self._credentials.certificate.name,
                    address=address,
                    reason=trouble,
                )
                for key, address, trouble in closed
                if key is not None
            ),
            withheld=self._withheld(running.config, troubles),
            disbelieved=disbelieved(running.config, routes),
            draining=is_draining(routes),
            problems=(
                *draining_problems(routes),
                *self._validity(),
                *missing_grants(running.config, self._credentials.certificate, running.written),
                *link_problems(running.config, peers),
                *untold,
                *_lines(descriptors.shortage()),
                *(f"{_place(key)} at {at}: {trouble}" for key, at, trouble in closed),
            ),
            warnings=(
                *self._ending(),
                *namesake_warnings(routes),
                *warnings,
                *_lines(descriptors.scarcity()),
            ),
            alarms=self._meters.alarms.counts(),
        )

    def _validity(self) -> tuple[str, ...]:
        return _lines(invalid(self._credentials.certificate, time.time()))

    def _ending(self) -> tuple[str, ...]:
        return _lines(ends_soon(self._credentials.certificate, time.time()))

    def _withheld(self, config: Config, troubles: Mapping[str, str | None]) -> tuple[UnmatchedEndpoint, ...]:
        """The endpoints that keep their key to themselves for now."""
        found = ((entry, troubles.get(service_name(entry))) for entry in config.forward.endpoints)
        return tuple(
            UnmatchedEndpoint(
                key=entry.key,
                agent_id=self.own_id,
                agent_name=self._credentials.certificate.name,
                target=str(entry.target),
                reason=reason,
            )
            for entry, reason in found
            if reason is not None
        )


def closed_ports(config: Config, troubles: Mapping[str, str | None]) -> list[tuple[str | None, str, str]]:
    """Key (none for an acceptor), address and reason of each configured port that is not open."""
    closed = []
    for name, section in services(config).items():
        if isinstance(section, AcceptSection | ListenerSection):
            trouble = troubles.get(name, NOT_YET)
            if trouble is not None:
                key = section.key if isinstance(section, ListenerSection) else None
                closed.append((key, str(section.address), trouble))
    return closed


def _lines(line: str | None) -> tuple[str, ...]:
    """The one that there is, if there is one."""
    return () if line is None else (line,)


def _place(key: str | None) -> str:
    """What people call an acceptor, or the listener of a key."""
    return "acceptor" if key is None else f"listener {key}"


def _answer(future: pykka.Future[T], deadline: float) -> T:
    try:
        return future.get(timeout=max(0.0, deadline - time.monotonic()))
    except pykka.Timeout:
        raise NoAnswer("the agent's actors did not answer in time") from None
    except pykka.ActorDeadError:
        raise StatusUnavailable("an actor that knows the answer is gone") from None
