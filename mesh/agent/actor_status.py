"""The dashboard's door to the actors: asks them, with a time limit, and puts their answers together."""

import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import pykka

from actors.messages import agent as agent_messages
from actors.messages import connection_table as table_messages
from actors.messages import peer_directory as directory_messages
from actors.messages import route_table as route_messages
from actors.meters import Meters
from actors.runtime.reference import AskRef
from mesh.agent.audit.standing import TrailStanding, audit_warnings
from mesh.agent.dashboard.states import ServiceState
from mesh.agent.dashboard.status import (
    DashboardSnapshot,
    Measured,
    NoAnswer,
    PeerStatus,
    Stats,
    StatusUnavailable,
)
from mesh.agent.descriptor_watch import descriptor_use
from mesh.agent.disbelieved import disbelieved
from mesh.agent.draining import is_draining
from mesh.agent.findings import Finding
from mesh.agent.own_services import OwnServices
from mesh.agent.socks_status import socks_listeners, socks_problems
from mesh.agent.verdict import Seen, clock_of, problems, warnings
from mesh.agent.web_certificate import WebCertificate, WebCertificates
from mesh.config.loading import NOTHING_WRITTEN, Written
from mesh.config.schema import Config
from mesh.connection.stream import StreamBudget
from mesh.link.relay_budget import RelayBudget
from mesh.routing.effects import RouteCounts
from mesh.routing.pairings import UnmatchedEndpoint, UnmatchedListener
from mesh.routing.routes import RouteSnapshot
from mesh.trust.credentials import Credentials
from mesh.trust.identity import AgentId

T = TypeVar("T")


class _Running(NamedTuple):
    """What the agent runs with at present."""

    config: Config
    written: Written
    since_unix_s: float


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
        audit: Callable[[], tuple[TrailStanding, ...]],
        written: Written = NOTHING_WRITTEN,
    ) -> None:
        self._root = root
        self._running = _Running(config, written, time.time())
        self._credentials = credentials
        self._complaint = ""
        self._refused_reload: Finding | None = None
        self._meters = meters
        self._budget = budget
        self._relay_budget = relay_budget
        self._audit = audit
        self._web = WebCertificates()

    def configured(self, config: Config, written: Written) -> None:
        """This is what the agent runs with from now on."""
        self._running = _Running(config, written, time.time())

    def certified(self, credentials: Credentials, complaint: str) -> None:
        """These are the credentials from now on; and what is wrong with their file, or nothing."""
        self._credentials, self._complaint = credentials, complaint

    def reloaded(self, refusal: Finding | None) -> None:
        """The configuration has been read again; ``refusal`` tells of it if it was refused."""
        self._refused_reload = refusal

    def web_certificate(self) -> WebCertificate | None:
        """That of ``http.tls``, if the agent has one."""
        return self._web.of(self._running.config.http)

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
        ask_state: pykka.Future[agent_messages.AgentState] = self._root.ask(
            agent_messages.GetState(), block=False
        )
        ask_problems: pykka.Future[tuple[str, ...]] = refs.route_table.ask(
            route_messages.GetProblems(), block=False
        )
        ask_twins: pykka.Future[tuple[str, ...]] = refs.route_table.ask(
            route_messages.GetWarnings(), block=False
        )
        routes, route_counts = _answer(ask_routes, deadline), _answer(ask_counts, deadline)
        peers, connections = _answer(ask_peers, deadline), _answer(ask_connections, deadline)
        state, route_problems = _answer(ask_state, deadline), _answer(ask_problems, deadline)
        link_warnings, route_warnings = _answer(ask_warnings, deadline), _answer(ask_twins, deadline)
        counters = {f"{name}_total": value for name, value in self._meters.figures().items()}
        counters |= {field: getattr(route_counts, field) for field in route_counts.__struct_fields__}
        counters["pending_opens"] = connections.pending_opens
        counters["stream_buffer_bytes"] = self._budget.reserved_bytes
        counters["relay_buffer_bytes"] = self._relay_budget.held_bytes
        counters["queue_drops_total"] = self._relay_budget.dropped_frames
        audit = self._audit()
        counters["audit_entries_total"] = sum(each.written for each in audit)
        counters["audit_lost_total"] = sum(each.lost for each in audit)
        counters["certificate_expiry_timestamp_seconds"] = self._credentials.certificate.not_after
        web = self.web_certificate()
        counters["http_certificate_expiry_timestamp_seconds"] = 0 if web is None else int(web.ends)
        config, certificate, unix_s_of = running.config, self._credentials.certificate, clock_of(state)
        parts = {part.name: part for part in state.parts}
        socks = socks_listeners(config, {name: part.trouble for name, part in parts.items()})
        own = OwnServices(
            config=config,
            certificate=certificate,
            parts=parts,
            meters=self._meters.listeners,
            named=tuple(self._meters.named.values()),
            routes=routes,
            unix_s_of=unix_s_of,
        )
        seen = Seen(
            config=config,
            written=running.written,
            configured_unix_s=running.since_unix_s,
            certificate=certificate,
            revoked=self._credentials.trust.revocation(certificate),
            complaint=self._complaint,
            state=state,
            services=own,
            peers=peers,
            routes=routes,
            refused_reload=self._refused_reload,
            descriptors=descriptor_use(),
            route_problems=route_problems,
            route_warnings=route_warnings,
            link_warnings=link_warnings,
            web_certificate=web,
            now_unix_s=time.time(),
        )
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
                    since_unix_s=unix_s_of(peer.since_s),
                    clock_ahead_s=peer.clock_ahead_s,
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
                    key=each.key,
                    agent_id=self.own_id,
                    agent_name=certificate.name,
                    address=each.address,
                    reason=each.reason,
                )
                for each in own.listeners
                if each.state is ServiceState.CLOSED
            ),
            withheld=tuple(
                UnmatchedEndpoint(
                    key=each.key,
                    agent_id=self.own_id,
                    agent_name=certificate.name,
                    target=each.address,
                    reason=each.reason,
                )
                for each in own.endpoints
                if each.state in (ServiceState.WITHHELD, ServiceState.WITHDRAWN)
            ),
            disbelieved=disbelieved(config, routes),
            draining=is_draining(routes),
            socks=socks,
            problems=(*problems(seen, unix_s_of), *socks_problems(socks)),
            warnings=(*warnings(seen), *audit_warnings(audit)),
            listeners=own.listeners,
            endpoints=own.endpoints,
            named=own.named,
            measured=Measured(
                self._meters.listened.by_key(), self._meters.served.by_key(), self._meters.peers.by_peer()
            ),
            phase=state.phase,
            started_unix_s=unix_s_of(state.started_s),
            certificate_ends_unix_s=certificate.not_after,
            now_unix_s=seen.now_unix_s,
            awaits_at=tuple(str(each.address) for each in config.accept),
            revocations=self._credentials.trust.revocations,
            authorities=self._credentials.trust.authorities,
            alarms=self._meters.alarms.counts(),
            audit=audit,
        )


def _answer(future: pykka.Future[T], deadline: float) -> T:
    try:
        return future.get(timeout=max(0.0, deadline - time.monotonic()))
    except pykka.Timeout:
        raise NoAnswer("the agent's actors did not answer in time") from None
    except pykka.ActorDeadError:
        raise StatusUnavailable("an actor that knows the answer is gone") from None
