"""The connection table: which connections end at this agent, and the link each of them sends by.

Frames for this agent come here from its links and go on to the connection they belong to. An OPEN from an
ingress becomes an exit connection here, once it has passed every check that needs no Diffie-Hellman.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias, assert_never

from actors.connections.arrived_open import ArrivedOpen, PairKeys
from actors.connections.farewell_keeper import FarewellKeeper
from actors.connections.pair_keeper import PairKeeper
from actors.connections.remote_certificates import ConnectionId, OfRemote, RemoteCertificates
from actors.connections.waiting_opens import OPENS_PER_TURN, WaitingOpens
from actors.messages import connection as connection_messages
from actors.messages import connection_table as messages
from actors.messages import peer_link as link_messages
from actors.messages import route_table as route_table_messages
from actors.messages.connection import REFUSED
from actors.meters import Meters
from actors.runtime.actor import Actor
from actors.runtime.alarm import Alarm
from actors.runtime.seam import Dispatcher, Ref
from mesh.alarms import AlarmKind
from mesh.connection.connection_numbers import FIRST_NUMBER, ConnectionNumbers
from mesh.connection.open_admission import OpenAdmission
from mesh.connection.pair_sessions import PairSessions
from mesh.connection.party import Party
from mesh.connection.pending_open import PendingOpen
from mesh.connection.replay_windows import ReplayWindows
from mesh.connection.session_handshake import read_open_instances
from mesh.connection.short_open import SHORT_OPEN, read_pair_name
from mesh.link.frames import Frame, FrameType
from mesh.link.unknown import UnknownAnswers
from mesh.routing.detours import Detours
from mesh.routing.records import Record, refused_of
from mesh.routing.routes import RouteSnapshot
from mesh.sampling import alarming, sampled
from mesh.trust.certificates import TrustStore
from mesh.trust.identity import NO_AGENT, AgentId, Instance
from mesh.trust.naming import named
from mesh.trust.policy import Policy

log = logging.getLogger("mesh.connections")

StartExit: TypeAlias = Callable[
    [ArrivedOpen, Ref[link_messages.SendFrames], PendingOpen], Ref[connection_messages.ExitInbound]
]
"""Starts an exit connection for an OPEN, answering by this link."""


class ConnectionTable(Actor[messages.Inbound]):
    """Delivers frames to the connections that end here; admits new ones."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        own_id: AgentId,
        instance: Instance,
        numbers: ConnectionNumbers,
        pairs: PairSessions,
        start_exit: StartExit,
        max_pending_opens: int,
        policy: Policy,
        meters: Meters,
    ) -> None:
        super().__init__(dispatcher)
        self._own_id = own_id
        self._instance = instance
        self._numbers = numbers
        self._start_exit = start_exit
        self._admission = OpenAdmission(max_pending_opens)
        self._meters = meters
        self._connections: dict[ConnectionId, Ref[connection_messages.EndInbound]] = {}
        self._by_remote: dict[AgentId, OfRemote] = {}
        """By the other end's agent."""
        self._windows = ReplayWindows()
        self._pairs = PairKeeper(pairs, self.schedule)
        self._links: Mapping[AgentId, Ref[link_messages.SendFrames]] = MappingProxyType({})
        self._records: Mapping[AgentId, Record] = MappingProxyType({})
        self._refused: set[AgentId] = set()
        """Those whom nobody is to be connected to that has still heard of their offers."""
        self._alarm = Alarm(self.schedule, messages.CertificateTimerFired())
        self._certificates = RemoteCertificates(
            own_id, dispatcher, self._alarm, policy=policy, connections=self._by_remote, tell=self.tell
        )
        self._report_to: Ref[messages.ConnectionsGone] | None = None
        self._unknowns = UnknownAnswers()
        self._farewells = FarewellKeeper(self.schedule)
        self._later = WaitingOpens(meters)
        self._detours: Detours[ConnectionId] = Detours(self._suspected)

    def on_receive(self, message: messages.Inbound) -> messages.ConnectionCounts | None:
        """Handle one message."""
        match message:
            case messages.FramesArrived(frames=frames, via=via):
                self._deliver(frames, via)
            case messages.RegisterIngress():
                self._register_ingress(message)
            case messages.ConnectionEnded(remote=remote, connection=number, is_exit=is_exit):
                self._ended((remote, number, is_exit))
                if message.farewell:
                    self._farewells.keep((remote, number, is_exit), message.farewell, self.now())
            case messages.FarewellsOver():
                self._farewells.expire(self.now())
            case messages.OpensWaiting():
                self._go_on_opening()
            case messages.BodiesForged(remote=remote, via=via, connection=number, count=count):
                if via == NO_AGENT:
                    via = self._admission.via_of(remote, number, NO_AGENT)
                self._forged(remote, via, count)
            case link_messages.ForwardingChanged(links=links):
                self._forwarding_changed(links)
            case route_table_messages.RoutesChanged(snapshot=snapshot):
                self._routes_changed(snapshot)
            case messages.PathFailed(remote=remote, connection=number, is_exit=is_exit):
                self._path_failed((remote, number, is_exit))
            case messages.PathProved(remote=remote, connection=number, is_exit=is_exit, proof=proof):
                self._detours.proved((remote, number, is_exit), self.now(), proof)
            case messages.PathRetried(remote=remote, connection=number, is_exit=is_exit):
                self._start_again((remote, number, is_exit))
            case messages.GetConnectionCounts():
                return self._counts()
            case messages.CertificateTimerFired():
                self._alarm.disarm()
                self._certificates.end_expired()
            case messages.PairAgreed():
                self._pairs.added(self.now())
            case messages.PairTimerFired():
                self._pairs.expire(self.now())
            case messages.ReportEmpty(reply_to=reply_to):
                self._report_to = reply_to
                self._report_if_empty()
            case messages.TrustChanged(trust=trust):
                self._change_trust(trust)
            case messages.PolicyChanged(policy=policy):
                self._certificates.change_policy(policy)
            case messages.ChangeLimits(max_pending_opens=most):
                self._admission.limit(most)
            case messages.CloseConnections(reason=reason):
                self._close_connections(reason)
            case _:
                assert_never(message)
        return None

    def release(self) -> None:
        """Without the table no frame reaches a connection any more."""
        self._close_connections("the agent starts anew, or leaves in disorder")
        self._alarm.end()
        self._farewells.end()
        self._pairs.end()

    def _counts(self) -> messages.ConnectionCounts:
        exits = sum(is_exit for _, _, is_exit in self._connections)
        return messages.ConnectionCounts(
            ingress=len(self._connections) - exits - sum(map(self._stands_by, self._connections)),
            exit=exits,
            pending_opens=len(self._admission),
        )

    def _stands_by(self, key: ConnectionId) -> bool:
        """Whether it waits for a client to come, and is nobody's connection yet."""
        return not key[2] and self._numbers.is_reserved(key[1])

    def _close_connections(self, reason: str) -> None:
        for connection in self._connections.values():
            self.tell(connection, connection_messages.CloseConnection(reason))

    # -- frames ----------------------------------------------------------------------------------------------

    def _deliver(self, frames: tuple[Frame, ...], via: AgentId) -> None:
        """Hand each connection one message with all its frames, in order."""
        if len(frames) == 1:
            self._deliver_to((frames[0].source, frames[0].connection, not frames[0].from_exit), frames, via)
            return
        batches: defaultdict[ConnectionId, list[Frame]] = defaultdict(list)
        for frame in frames:
            batches[frame.source, frame.connection, not frame.from_exit].append(frame)
        if len(batches) > OPENS_PER_TURN and self._later.hold_back(
            batches, via, self._connections, self._records
        ):
            self.schedule(0.0, messages.OpensWaiting())
        for key, batch in batches.items():
            self._deliver_to(key, tuple(batch), via)

    def _go_on_opening(self) -> None:
        for key, batch, via in self._later.take():
            self._deliver_to(key, batch, via)
        if self._later:
            self.schedule(0.0, messages.OpensWaiting())

    def _deliver_to(self, key: ConnectionId, frames: tuple[Frame, ...], via: AgentId) -> None:
        connection = self._connections.get(key)
        if connection is not None:
            if self.tell(connection, connection_messages.SegmentsArrived(frames, via)):
                return
            self._ended(key)
        elif key[2] and frames[0].type == FrameType.OPEN:
            after = 0  # the second may be its other form, and of more use
            while after < len(frames) and key not in self._connections:
                if frames[after].type == FrameType.OPEN:
                    self._open(key, frames[after], via)
                after += 1
            if after < len(frames):
                self.tell(self._connections[key], connection_messages.SegmentsArrived(frames[after:], via))
            return
        self._answer_unknown(key, frames, via)

    def _answer_unknown(self, key: ConnectionId, frames: tuple[Frame, ...], via: AgentId) -> None:
        link = self._links.get(key[0])
        answers = self._farewells.answer(key, frames[-1])
        if not answers:
            self._meters.frames_unknown += len(frames)
            answers = () if link is None else self._unknowns.to(frames[0], via, self.now())
        if link is not None and answers:
            self.tell(link, link_messages.SendFrames(answers))

    def _forged(self, remote: AgentId, via: AgentId, count: int) -> None:
        """Tell once of bodies that did not authenticate: somebody on the path that they came by made them."""
        peer, who = self._named(via), self._named(remote)
        self._meters.alarms.count(AlarmKind.TAMPERING, peer, count)
        line = "tampering: forged bodies of connections with %(agent)s came from peer %(peer)s; dropped"
        log.warning(line, {"agent": who, "peer": peer}, extra=alarming(AlarmKind.TAMPERING, peer))

    def _named(self, agent_id: AgentId) -> str:
        record = self._records.get(agent_id)
        return named("" if record is None else record.name, agent_id)

    # -- opening ---------------------------------------------------------------------------------------------

    def _register_ingress(self, wish: messages.RegisterIngress) -> None:
        key = (wish.exit_id, wish.number, False)
        self._add(key, wish.connection, wish.exit_instance)
        record = self._records.get(wish.exit_id)
        rights = None if record is None else self._certificates.rights(wish.exit_id, record.certificate)
        registered = connection_messages.IngressRegistered(
            wish.exit_id, wish.number, self._link_for(key), rights
        )
        if not self.tell(wish.connection, registered):
            self._ended(key)
            return
        if wish.exit_id in self._refused:
            self.tell(wish.connection, connection_messages.PeerExpired(wish.exit_id, REFUSED))
        elif record is not None and record.instance != wish.exit_instance:
            self.tell(wish.connection, connection_messages.PeerRestarted(wish.exit_id))

    def _open(self, key: ConnectionId, frame: Frame, via: AgentId) -> None:
        """Start an exit connection, or drop the OPEN: the ingress repeats it and then looks elsewhere."""
        source, number, _ = key
        record, link = self._records.get(source), self._links.get(source)
        if record is None or link is None:
            self._meters.opens_ignored += 1
            return
        instance = record.instance
        is_meant = number >= FIRST_NUMBER and read_open_instances(frame.body) == (instance, self._instance)
        window = self._windows.of(source, instance) if is_meant else None
        if window is None or not window.fresh(number):
            self._meters.opens_ignored += 1
            return
        refusal = self._admission.admit(source, number, via, self.now())
        if refusal is not None:
            self._meters.opens_ignored += 1
            if self._admission.is_to_be_told(via, self.now()):
                peer = self._named(via)
                facts = {"reason": refusal, "agent": named(record.name, source), "peer": peer}
                log.warning(
                    "%(reason)s; ignoring one of %(agent)s by peer %(peer)s", facts, extra=sampled(peer)
                )
            return
        party = Party(id=source, instance=instance, session_key=record.session_key)
        pending = PendingOpen(self._admission, window, source, number)
        keys: PairKeys = None
        if frame.number == SHORT_OPEN:
            keys = self._pairs.pairs.of_exit.keys(party, read_pair_name(frame.body), number, self.now())
            if keys is None:
                pending.settled(is_in_use=False)
                self._meters.opens_unknown_pair += 1
                if answers := self._unknowns.to_open(frame, via, self.now()):  # it sends a full one instead
                    self.tell(link, link_messages.SendFrames(answers))
                return
        detour = self._detour_for(key)  # kept until the connection ends: only for one that there will be
        arrived = ArrivedOpen(frame, party, record, keys)
        exit_ = self._start_exit(arrived, link if detour is None else detour, pending)
        self._add(key, exit_, instance)

    # -- bookkeeping -----------------------------------------------------------------------------------------

    def _add(
        self, key: ConnectionId, connection: Ref[connection_messages.EndInbound], instance: Instance
    ) -> None:
        self._connections[key] = connection
        self._farewells.forget(key)  # of another instance, which used the same number
        of_remote = self._by_remote.get(key[0])
        if of_remote is None:
            of_remote = self._by_remote[key[0]] = {}
            if (record := self._records.get(key[0])) is not None:
                self._certificates.note(record)
        of_remote[key] = (connection, instance)

    def _ended(self, key: ConnectionId) -> None:
        if self._connections.pop(key, None) is None:
            return
        self._detours.forget(key)
        remote, number, is_exit = key
        of_remote = self._by_remote[remote]
        del of_remote[key]
        if not of_remote:
            del self._by_remote[remote]
            self._certificates.forget(remote)
        if is_exit:
            self._admission.settled(remote, number, is_in_use=False)
        else:
            self._numbers.use(number)
        self._report_if_empty()

    def _report_if_empty(self) -> None:
        if self._report_to is not None and all(map(self._stands_by, self._connections)):
            self.tell(self._report_to, messages.ConnectionsGone())
            self._report_to = None

    def _forwarding_changed(self, links: Mapping[AgentId, Ref[link_messages.SendFrames]]) -> None:
        before, self._links = self._links, links
        for remote, connections in self._by_remote.items():
            link = links.get(remote)
            if link is not before.get(remote):
                for key, (connection, _) in connections.items():
                    self.tell(connection, connection_messages.PathChanged(remote, self._link_for(key)))
        for key in self._detours.stale(links):
            self._start_again(key)

    # -- first hops that lose things -------------------------------------------------------------------------

    def _link_for(self, key: ConnectionId) -> Ref[link_messages.SendFrames] | None:
        """The link that this connection is to send by; nobody has failed it yet."""
        detour = self._detour_for(key)
        return self._links.get(key[0]) if detour is None else detour

    def _detour_for(self, key: ConnectionId) -> Ref[link_messages.SendFrames] | None:
        """The link round a suspected first hop; ``None`` if the usual one is to be taken."""
        hop = self._detours.start(key, key[0], self.now())
        if hop is None:
            return None
        detour = self._links.get(hop)
        if detour is None:
            self._detours.forget(key)
        return detour

    def _path_failed(self, key: ConnectionId) -> None:
        hop = self._detours.failed(key, key[0], self.now()) if key in self._connections else None
        link = None if hop is None else self._links.get(hop)
        if link is not None:
            self.tell(self._connections[key], connection_messages.PathChanged(key[0], link))

    def _start_again(self, key: ConnectionId) -> None:
        connection = self._connections.get(key)
        if connection is not None:
            self.tell(connection, connection_messages.PathChanged(key[0], self._link_for(key)))

    def _suspected(self, destination: AgentId, hop: AgentId) -> None:
        self._meters.first_hops_suspected += 1
        who, whom = self._named(hop), self._named(destination)
        line = "%(peer)s loses, or holds up, what goes to %(agent)s through it; avoiding it"
        log.warning(line, {"peer": who, "agent": whom}, extra=sampled(who))
        for key in self._by_remote.get(destination, ()):
            if key not in self._detours:
                self._start_again(key)

    def _routes_changed(self, snapshot: RouteSnapshot) -> None:
        self._certificates.end_expired()  # those whose certificates have just ended are still known by name
        before, self._records = self._records, snapshot.records
        self._refused -= self._records.keys()
        for key in self._detours.routes_changed(snapshot):
            self._start_again(key)
        for remote, connections in self._by_remote.items():
            record = self._records.get(remote)
            if record is not None:
                self._certificates.note(record)
                if (known := before.get(remote)) is None or known.instance != record.instance:
                    self._tell_restarted(remote, record.instance, connections)
        self._pairs.judge(self._records)
        self._pairs.forget(self._windows.let_go(self._records))

    def _tell_restarted(self, remote: AgentId, instance: Instance, connections: OfRemote) -> None:
        for connection, opened_with in connections.values():
            if opened_with != instance:
                self.tell(connection, connection_messages.PeerRestarted(remote))

    # -- what becomes of the other ends' certificates --------------------------------------------------------

    def _change_trust(self, trust: TrustStore) -> None:
        """Reset connections with those who are refused now, and open none with them."""
        ended = self._certificates.end_refused(trust)
        self._refused |= {*refused_of(self._records, trust), *ended} - {self._own_id}
        self._pairs.forget(self._refused)
        kept = {each: record for each, record in self._records.items() if each not in self._refused}
        self._records = MappingProxyType(kept)
