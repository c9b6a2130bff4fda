"""The route table: flooding, origination and route computation as one pure state.

Every method takes the time and returns what to do. The caller keeps one timer, for
:meth:`RouteTableState.deadline`.

Here it is put together: what is known (``database.py``, ``page_table.py``), what peers pass on
(``record_intake.py``), who they are (``peers.py``), what this agent says (``origination.py``), what is told
to whom (``flooding.py``) and what follows (``route_computation.py``). Two new peers tell each other what they
hold (a digest) and send what the other lacks; links lose nothing, so that is all it takes.
"""

import math
from collections.abc import Sequence

from mesh.alarms import AlarmBook, AlarmKind
from mesh.link.bodies import (
    Digest,
    WantedList,
    WantedPages,
    WirePage,
    WireRecord,
    batch_digest,
    encode_digest,
    encode_want_pages,
)
from mesh.link.frames import FrameType
from mesh.routing.answers import Answers
from mesh.routing.database import LinkState
from mesh.routing.effects import Effects, RouteCounts, Send
from mesh.routing.figures import route_counts
from mesh.routing.flooding import FloodQueue
from mesh.routing.granted_offers import GrantedEndpoint, GrantedListener, GrantedOffers
from mesh.routing.granted_reader import GrantedReader
from mesh.routing.notices import Notices
from mesh.routing.origination import Originator, OwnAgent
from mesh.routing.own_record import OwnRecord
from mesh.routing.page_table import PageTable, Taken, Untrue
from mesh.routing.peers import Peers
from mesh.routing.record_intake import RecordIntake
from mesh.routing.record_reader import RecordReader
from mesh.routing.record_store import MAX_RECORDS
from mesh.routing.records import EndpointEntry, ListenerEntry
from mesh.routing.revocation_intake import RevocationIntake
from mesh.routing.route_computation import RouteComputation
from mesh.routing.routes import RouteSnapshot
from mesh.routing.settings import RoutingSettings
from mesh.trust.certificates import Certificate, TrustStore
from mesh.trust.credentials import Credentials
from mesh.trust.identity import AgentId, Identity, Instance, short_id
from mesh.trust.naming import named
from mesh.trust.noise.primitives import SharedSecrets


class RouteTableState:
    """All that one agent knows of the mesh, and what it tells its peers.

    Times: ``now`` is monotonic seconds, ``unix_now`` is Unix seconds.

    Args:
        identity: the agent's key.
        fixed: what the first record of this run says.
        certificate: what ``fixed.certificate`` holds, admitted.
        trust: who may take part.
        shared: what the session key shares with others'.
        unix_now: at the start.
        began_at: ``now`` at the start.
        reader: reads and verifies records; a simulation may pass one that remembers.
        settings: of the configuration.
        max_records: agents known, at most.
        alarms: counts what members do to others.
    """

    def __init__(
        self,
        identity: Identity,
        fixed: OwnAgent,
        certificate: Certificate,
        trust: TrustStore,
        *,
        shared: SharedSecrets,
        unix_now: float,
        began_at: float = -math.inf,
        reader: RecordReader = RecordReader(),  # noqa: B008 - keeps nothing
        settings: RoutingSettings,
        max_records: int = MAX_RECORDS,
        alarms: AlarmBook,
    ) -> None:
        self._own_id = identity.id
        self._link_state = LinkState(
            identity.id, trust, reader, ttl_s=settings.route_ttl_s, max_records=max_records
        )
        self._originator = Originator(
            identity,
            fixed,
            epoch=max(0, int(unix_now * 1000)),
            advertise_interval_s=settings.advertise_interval_s,
            began_at=began_at,
        )
        self._route_ttl_s = settings.route_ttl_s
        self._flood = FloodQueue()
        self._pages = PageTable(self._link_state.allowance)
        self._notices = Notices(alarms)
        self._granted = GrantedOffers(identity.id, fixed.session_key, shared)
        self._own = OwnRecord(
            certificate,
            self._originator,
            self._granted,
            link_state=self._link_state,
            pages=self._pages,
            flood=self._flood,
            notices=self._notices,
        )
        self._reader = GrantedReader(shared)
        self._routes = RouteComputation(
            self._link_state, self._pages, self._reader, self._own.now, max_hops=settings.max_hops
        )
        self._answers = Answers()
        self._peers = Peers(self._originator, self._flood, self._pages, self._answers)
        self._intake = RecordIntake(
            self._link_state,
            peers=self._peers,
            answers=self._answers,
            flood=self._flood,
            pages=self._pages,
            originator=self._originator,
            routes=self._routes,
            notices=self._notices,
        )
        self._revocations = RevocationIntake(
            trust,
            link_state=self._link_state,
            peers=self._peers,
            pages=self._pages,
            routes=self._routes,
            notices=self._notices,
        )

    @property
    def snapshot(self) -> RouteSnapshot:
        """The routes as last computed."""
        return self._routes.snapshot

    def counts(self) -> RouteCounts:
        """Figures as of now."""
        return route_counts(
            self._link_state,
            peers=self._peers,
            pages=self._pages,
            routes=self._routes,
            revocations=self._revocations,
            issued=self._own.issued,
        )

    def problems(self, now: float) -> tuple[str, ...]:
        """What this agent cannot tell the mesh of, and who else speaks in its name, for people."""
        return self._own.problems(now, self._route_ttl_s)

    def warnings(self, now: float) -> tuple[str, ...]:
        """What does not keep the agent from its work, for people."""
        return self._own.warnings(self.snapshot, now, self._route_ttl_s)

    # -- links -----------------------------------------------------------------------------------------------

    def link_up(
        self, peer_id: AgentId, instance: Instance, rtt_s: float, now: float, unix_now: float
    ) -> Effects:
        """A link to this run of ``peer_id`` is up, the first or in place of another."""
        known = self._link_state.instance_of(peer_id)
        self._routes.is_outdated |= self._peers.link_up(peer_id, instance, known, rtt_s, now)
        effects = Effects()
        self._revocations.link_up(effects, peer_id)
        self._settle(effects, now, unix_now)
        for digest in batch_digest(self._link_state.digest()):
            effects.sends.append(Send((peer_id,), FrameType.DIGEST, encode_digest(digest)))
        return effects

    def link_down(self, peer_id: AgentId, now: float, unix_now: float) -> Effects:
        """The link to ``peer_id`` is gone."""
        self._routes.is_outdated |= self._peers.link_down(peer_id, now)
        self._revocations.link_down(peer_id)
        return self._settle(Effects(), now, unix_now)

    def link_measured(self, peer_id: AgentId, rtt_s: float, now: float, unix_now: float) -> Effects:
        """A round trip to ``peer_id`` took ``rtt_s`` seconds."""
        self._routes.is_outdated |= self._peers.link_measured(peer_id, rtt_s, now)
        return self._settle(Effects(), now, unix_now)

    # -- what peers say --------------------------------------------------------------------------------------

    def digest_arrived(self, peer_id: AgentId, digest: Digest, now: float, unix_now: float) -> Effects:
        """``peer_id`` says what it holds."""
        effects = Effects()
        if peer_id in self._peers:
            self._answers.owe(peer_id, self._link_state.newer_than(digest))
        return self._settle(effects, now, unix_now)

    def pages_wanted(
        self, peer_id: AgentId, wanted: Sequence[WantedPages], now: float, unix_now: float
    ) -> Effects:
        """``peer_id`` asks for pages."""
        effects = Effects()
        effects.send_pages((peer_id,), self._pages.give(peer_id, wanted, now))
        return self._settle(effects, now, unix_now)

    def pages_arrived(
        self, peer_id: AgentId, pages: Sequence[WirePage], now: float, unix_now: float
    ) -> Effects:
        """``peer_id`` passes on pages."""
        effects = Effects()
        for wire in pages if peer_id in self._peers else ():
            match self._pages.take(wire, now):
                case Taken(record=record, page=page, wished_by=wished_by):
                    self._routes.is_outdated = True
                    self._notices.say_denied(effects.notices, AlarmKind.GRANT, record, page.denied_keys)
                    effects.send_pages(wished_by, [wire])
                case Untrue(record=record, why=why):
                    who = named(record.name, record.agent_id)
                    line = f"page of {record.name!r} ({short_id(record.agent_id)}) ignored: {why}"
                    self._notices.say(effects.notices, AlarmKind.TAMPERING, who, line)
                case None:
                    pass
        return self._settle(effects, now, unix_now)

    def revocations_arrived(
        self, peer_id: AgentId, lists: Sequence[bytes], now: float, unix_now: float
    ) -> Effects:
        """``peer_id`` passes on revocation lists."""
        self._revocations.take(effects := Effects(), peer_id, lists, now, unix_now)
        return self._settle(effects, now, unix_now)

    def revocations_wanted(
        self, peer_id: AgentId, wanted: Sequence[WantedList], now: float, unix_now: float
    ) -> Effects:
        """``peer_id`` asks for revocation lists."""
        self._revocations.wanted(effects := Effects(), peer_id, wanted, now)
        return self._settle(effects, now, unix_now)

    def take_revocations(self, wire: bytes, now: float, unix_now: float) -> tuple[Effects, str]:
        """Take a revocation list that the operator gives; the second says why not, or nothing."""
        refusal = self._revocations.take_own(effects := Effects(), wire, now, unix_now)
        return self._settle(effects, now, unix_now), refusal

    def take_records(
        self,
        peer_id: AgentId,
        records: Sequence[WireRecord],
        limit: int,
        now: float,
        unix_now: float,
        *,
        first: int = 0,
    ) -> Effects:
        """Take some of what ``peer_id`` passes on; with the last step, which leaves no rest, news goes on.

        Records of a peer whose link is closed are not looked at.

        Args:
            peer_id: who passes them on.
            records: what it has said.
            limit: how many may be verified, ``STEP_VERIFIED`` at the most for a step that is short.
            now: monotonic seconds.
            unix_now: Unix seconds.
            first: index of the first record that no step before has taken.
        """
        effects = Effects()
        self._intake.take(effects, peer_id, records, now, unix_now, limit=limit, first=first)
        return effects if effects.rest else self._settle(effects, now, unix_now)

    def told_to(self, subscribers: int) -> None:
        """So many are told of new routes from now on: the more, the longer the pause between two of them."""
        self._routes.subscribers = subscribers

    # -- what this agent says --------------------------------------------------------------------------------

    def set_endpoints(self, endpoints: tuple[EndpointEntry, ...], now: float, unix_now: float) -> Effects:
        """These are the endpoints from now on."""
        self._routes.is_outdated |= self._originator.set_endpoints(endpoints)
        return self._settle(Effects(), now, unix_now)

    def set_listeners(self, listeners: tuple[ListenerEntry, ...], now: float, unix_now: float) -> Effects:
        """These are the listeners from now on."""
        self._routes.is_outdated |= self._originator.set_listeners(listeners)
        return self._settle(Effects(), now, unix_now)

    def set_granted(
        self,
        endpoints: tuple[GrantedEndpoint, ...],
        listeners: tuple[GrantedListener, ...],
        now: float,
        unix_now: float,
    ) -> Effects:
        """These are shown from now on to those only that may use them, beside all others."""
        self._routes.is_outdated |= self._granted.set_endpoints(endpoints)
        self._routes.is_outdated |= self._granted.set_listeners(listeners)
        return self._settle(Effects(), now, unix_now)

    def change_credentials(self, credentials: Credentials, now: float, unix_now: float) -> Effects:
        """Show this certificate, and judge all others anew.

        No routes that come of it or later know of anyone who is refused now. Peers hear what is held here, so
        that they tell of those who were refused before.
        """
        effects = Effects()
        self._own.certificate = credentials.certificate
        self._originator.set_certificate(credentials.wire)
        self._revocations.change_trust(effects, credentials.trust, now)
        peers = self._peers.all
        for digest in batch_digest(self._link_state.digest()) if peers else ():
            effects.sends.append(Send(peers, FrameType.DIGEST, encode_digest(digest)))
        return self._settle(effects, now, unix_now)

    def change_settings(
        self, settings: RoutingSettings, relays: bool, now: float, unix_now: float
    ) -> Effects:
        """These are the settings from now on, and whether others' traffic may pass through this agent."""
        self._route_ttl_s = settings.route_ttl_s
        self._link_state.live_for(settings.route_ttl_s)
        self._originator.advertise_interval_s = settings.advertise_interval_s
        self._routes.is_outdated |= self._originator.set_relaying(relays)
        self._routes.is_outdated |= self._routes.max_hops != settings.max_hops
        self._routes.max_hops = settings.max_hops
        return self._settle(Effects(), now, unix_now)

    def set_draining(self, now: float, unix_now: float, *, draining: bool) -> Effects:
        """Whether others are to be preferred to this agent."""
        self._routes.is_outdated |= self._originator.set_draining(draining=draining)
        return self._settle(Effects(), now, unix_now)

    def stop_relaying(self, now: float, unix_now: float) -> Effects:
        """Not through this agent any more."""
        self._routes.is_outdated |= self._originator.stop_relaying()
        return self._settle(Effects(), now, unix_now)

    def withdraw(self, now: float, unix_now: float) -> Effects:
        """This agent leaves: its last record says so."""
        self._routes.is_outdated |= self._originator.withdraw()
        return self._settle(Effects(), now, unix_now)

    # -- time ------------------------------------------------------------------------------------------------

    def deadline(self) -> float:
        """When to call :meth:`tick`; infinite where nothing is to come."""
        return min(
            self._own.deadline(),
            self._link_state.deadline(),
            self._intake.deadline(),
            self._revocations.deadline(),
            self._flood.deadline(),
            self._answers.deadline(),
            self._pages.deadline(),
            self._routes.deadline(),
        )

    def tick(self, now: float, unix_now: float) -> Effects:
        """Do what has become due; nothing where nothing has."""
        effects = Effects()
        for expired in self._link_state.expire(now):
            self._pages.set_aside(expired.agent_id, now)
            self._routes.is_outdated = True
        self._revocations.release(effects, now, unix_now)
        self._intake.release(effects, now, unix_now)
        self._routes.check_certificates(now, unix_now)
        return self._settle(effects, now, unix_now)

    def _settle(self, effects: Effects, now: float, unix_now: float) -> Effects:
        """Issue an own record and compute routes, where either is due."""
        self._own.issue(effects, now, unix_now)
        for peers, agent_ids in self._flood.take(now):
            # What was forgotten while it waited for its turn is told to nobody.
            wires = (self._link_state.wire(agent_id, now) for agent_id in agent_ids)
            effects.send_records(peers, [wire for wire in wires if wire is not None])
        for peer_id, given in self._answers.take(now, lambda agent_id: self._link_state.wire(agent_id, now)):
            effects.send_records((peer_id,), given)
        for peer_id, wanted in self._pages.ask(now):
            effects.sends.append(Send((peer_id,), FrameType.WANT_PAGES, encode_want_pages(wanted)))
        effects.snapshot = self._routes.step(now, unix_now)
        if effects.snapshot is not None:
            self._own.look(effects.snapshot, now)
        for record, why in self._reader.unreadable():
            line = f"what {record.name!r} ({short_id(record.agent_id)}) shows to this agent is ignored: {why}"
            who = named(record.name, record.agent_id)
            self._notices.say(effects.notices, AlarmKind.TAMPERING, who, line)
        return effects
