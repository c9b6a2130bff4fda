"""The peer directory: exactly one link to each peer, and where frames for each destination go.

Links report themselves here after their handshake. The directory admits one link for each peer, settles what
happens when there are two, tells the route table which links are up, and publishes the forwarding table
(destination to link) that follows from the routes.
"""

import logging
from types import MappingProxyType
from typing import Final, assert_never

from actors.links.absent_peers import AbsentPeers
from actors.links.linked_peer import RIGHTS_GONE_S, Challenge, LinkedPeer, certified_by, refused, replaces
from actors.links.path_problems import PathProblems
from actors.links.reports import LINK
from actors.links.twins import DUPLICATE, Twins
from actors.messages import dialer as dialer_messages
from actors.messages import peer_directory as messages
from actors.messages import peer_link as link_messages
from actors.messages import route_table as route_table_messages
from actors.messages.peer_link import Blame
from actors.meters import Meters
from actors.runtime.actor import Actor
from actors.runtime.seam import Dispatcher, Ref
from mesh.link.arrivals import Arrivals
from mesh.link.bodies import CHALLENGE_BYTES
from mesh.routing.routes import RouteSnapshot
from mesh.sampling import sampled
from mesh.trust.certificates import TrustStore
from mesh.trust.identity import AgentId, short_id
from mesh.trust.naming import named

log = logging.getLogger("mesh.links")

CHALLENGE_TIMEOUT_S: Final = 1.0
"""Silence after which a challenged link is taken for dead: an answer takes one round trip."""

RETIRE_AFTER_S: Final = 1.0
"""How long a link stays after another took its place, or after the mesh was told that it is gone: both ends,
and all others, send nothing by it then."""

HANG_UP_S: Final = 2.0
"""What the ends of a link that one of them does not want any more have for dialing another: a look-up and a
handshake over the slowest path, after the pause before a dial."""

_TOO_OFTEN: Final = "links of this agent come and go too often"
_REPLACED: Final = "replaced by a newer link"


class PeerDirectory(Actor[messages.Inbound]):
    """Keeps one link for each peer and the forwarding table."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        own_id: AgentId,
        relays: bool,
        trust: TrustStore,
        route_table: Ref[route_table_messages.Inbound],
        connection_table: Ref[link_messages.ForwardingChanged],
        loopback: Ref[link_messages.SendFrames],
        meters: Meters,
    ) -> None:
        super().__init__(dispatcher)
        self._own_id = own_id
        self._relays = relays
        self._trust = trust
        self._route_table = route_table
        self._connection_table = connection_table
        self._loopback = loopback
        self._meters = meters
        self._peers: dict[AgentId, LinkedPeer] = {}
        self._arrivals = Arrivals()
        self._routes: RouteSnapshot | None = None
        self._twins = Twins(meters)
        self._absent = AbsentPeers()
        self._paths = PathProblems()
        self._closing: str | None = None
        self._report_to: Ref[messages.LinksClosed] | None = None

    def on_start(self) -> None:
        """Ask to be told of routes."""
        self.tell(self._route_table, route_table_messages.Subscribe(self.ref))

    def on_receive(self, message: messages.Inbound) -> tuple[messages.PeerStatus | str, ...] | None:
        """Handle one message."""
        match message:
            case messages.LinkEstablished():
                if self._may_come(message):
                    self._established(message)
            case messages.LinkEnded():
                self._ended(message)
            case messages.LinkTurnedAway():
                self._turned_away(message)
            case messages.LinkMeasured(link_urn=urn, peer_id=peer_id, rtt_s=rtt_s):
                self._measured(urn, peer_id, rtt_s)
            case messages.PeerAnswered(link_urn=urn, peer_id=peer_id):
                self._answered(urn, peer_id)
            case messages.ChallengeArrived(peer_id=peer_id):
                self._contested(peer_id)
            case messages.LinkRetires():
                self._retires(message)
            case messages.HangUpDue():
                self._hang_up(message)
            case messages.RetireDue(link=link, reason=reason):
                self.tell(link, link_messages.CloseLink(reason))
            case messages.ChallengeExpired(peer_id=peer_id, newcomer_urn=urn):
                self._challenge_expired(peer_id, urn)
            case route_table_messages.RoutesChanged(snapshot=snapshot):
                self._routes = snapshot
                self._publish()
                for peer in self._peers.values():
                    self._follow_certificate(peer, snapshot)
            case messages.TwinMet():
                self._twins.met_own(self.now())
            case messages.GetPeers():
                return self._statuses()
            case messages.GetWarnings():
                return self._twins.warnings(self.now())
            case messages.ChangeRelaying(relays=relays):
                self._change_relaying(relays)
            case messages.TrustChanged(trust=trust):
                self._change_trust(trust)
            case messages.RightsGone(link_urn=urn, peer_id=peer_id):
                self._rights_gone(urn, peer_id)
            case messages.CloseAllLinks(reason=reason, reply_to=reply_to):
                self._close_all(reason, reply_to)
            case messages.DialerReported():
                self._dialer_reported(message)
            case messages.PathJudged():
                self._paths.judge(message)
            case _:
                assert_never(message)
        return None

    # -- one link for each peer ------------------------------------------------------------------------------

    def _established(self, link: messages.LinkEstablished) -> None:
        if self._closing is not None:
            self.tell(link.link, link_messages.CloseLink(self._closing))
            return
        if self._is_refused(link):  # it was judged before that had changed
            return
        peer = self._peers.get(link.peer_id)
        if peer is None:
            self._admit(link)
        elif link.peer_instance != peer.link.peer_instance:
            self._challenge(peer, link)
        elif link.peer_static != peer.link.peer_static:
            self._refuse_copy(peer, link)
        elif peer.is_retiring or replaces(link, peer.link, self._own_id):
            self._replace(peer, link)
        else:
            self._turn_away(peer, link, "another link to this peer is up")

    def _may_come(self, link: messages.LinkEstablished) -> bool:
        """Whether a peer has not come too often; what this agent dials it dials at its own pace."""
        if link.dialer is not None or self._arrivals.may_come(link.peer_id, self.now()):
            return True
        who = named(link.peer_name, link.peer_id)
        line = "link refused: %(peer)s: %(reason)s"
        log.warning(line, {"peer": who, "reason": _TOO_OFTEN}, extra=sampled(who) | LINK)
        self._meters.links_refused += 1
        self.tell(link.link, link_messages.CloseLink(_TOO_OFTEN))
        return False

    def _admit(self, link: messages.LinkEstablished) -> None:
        before = self._peers.get(link.peer_id)
        since_s = self.now() if before is None else before.since_s
        peer = self._peers[link.peer_id] = LinkedPeer(link=link, rtt_s=link.rtt_s, since_s=since_s)
        if self._routes is not None:  # its handshake may be older than its record
            self._follow_certificate(peer, self._routes)
        self._absent.found(link.peer_id)
        origin = "dialed" if link.is_dialer else "accepted"
        log.info(
            "link up: %(peer)s at %(address)s (%(origin)s)",
            {"peer": named(link.peer_name, link.peer_id), "address": link.address, "origin": origin},
            extra=sampled(short_id(link.peer_id)) | LINK,
        )
        self.tell(link.link, link_messages.AdmitLink())
        if link.dialer is not None:
            self.tell(link.dialer, dialer_messages.LinkAdmitted(link.peer_id, link.peer_name))
        link_up = route_table_messages.LinkUp(link.peer_id, link.peer_instance, link.link, link.rtt_s)
        self.tell(self._route_table, link_up)
        self._publish()

    def _replace(self, peer: LinkedPeer, link: messages.LinkEstablished) -> None:
        """Put ``link`` in the place of the present one; for the mesh the peer was never gone."""
        old = peer.link
        challenge = peer.challenge
        if old.dialer is not None and old.dialer is not link.dialer:
            # The dialer of the losing link has nothing to do until the winner ends.
            self.tell(old.dialer, dialer_messages.PeerAlreadyLinked(old.peer_id))
            peer.wait_for_end(old.dialer)
        if old.peer_instance == link.peer_instance:
            # The other end may not have admitted the newer one yet: without either it would lose its routes.
            self.schedule(RETIRE_AFTER_S, messages.RetireDue(old.link, _REPLACED))
        else:
            self.tell(old.link, link_messages.CloseLink(_REPLACED))
        self._admit(link)
        self._peers[link.peer_id].waiting_dialers = peer.waiting_dialers
        if challenge is not None:
            challenge.timer.cancel()
            self._established(challenge.newcomer)

    def _turn_away(
        self, peer: LinkedPeer, link: messages.LinkEstablished, reason: str, blame: Blame = Blame.NONE
    ) -> None:
        if link.dialer is not None:
            self.tell(link.dialer, dialer_messages.PeerAlreadyLinked(link.peer_id))
            peer.wait_for_end(link.dialer)
        self.tell(link.link, link_messages.CloseLink(reason, blame))

    def _turned_away(self, link: messages.LinkTurnedAway) -> None:
        """The peer may have another link to here: then there is nothing to dial for. Else say so."""
        peer = self._peers.get(link.peer_id)
        if peer is None:
            refused = dialer_messages.DialRefused(link.peer_name, link.address, link.reason)
            self.tell(link.dialer, refused)
        else:
            self.tell(link.dialer, dialer_messages.PeerAlreadyLinked(link.peer_id))
            peer.wait_for_end(link.dialer)

    def _ended(self, ended: messages.LinkEnded) -> None:
        urn, peer_id = ended.link_urn, ended.peer_id
        peer = self._peers.get(peer_id)
        if peer is None:
            return
        if peer.challenge is not None and peer.challenge.newcomer.link.actor_urn == urn:
            peer.end_challenge()
        if peer.link.link.actor_urn != urn:
            return
        waiting, challenge = peer.waiting_dialers, peer.challenge
        facts = {"peer": named(peer.link.peer_name, peer_id)}
        log.info("link down: %(peer)s", facts, extra=sampled(short_id(peer_id)) | LINK)
        del self._peers[peer_id]
        self.tell(self._route_table, route_table_messages.LinkDown(peer_id, urn))
        if challenge is not None:
            challenge.timer.cancel()
            self._established(challenge.newcomer)
        if peer_id in self._peers:
            self._peers[peer_id].waiting_dialers = waiting
            return
        self._absent.lost(peer.link, ended, self.now())
        self._publish()
        self._report_if_closed()
        for dialer in waiting:
            self.tell(dialer, dialer_messages.PeerLost(peer_id))

    def _dialer_reported(self, report: messages.DialerReported) -> None:
        self._absent.reported(report, self.now())
        if report.state is None:  # it may have ended
            for peer in self._peers.values():
                peer.forget_dialers()

    # -- a link that one end does not want any more ----------------------------------------------------------

    def _retires(self, fact: messages.LinkRetires) -> None:
        """Have another one dialed, at either end, before it is closed."""
        peer = self._peers.get(fact.peer_id)
        if peer is None or peer.is_retiring or peer.link.link.actor_urn != fact.link_urn:
            return  # one that has been replaced will be closed anyway
        peer.is_retiring = True
        self.schedule(HANG_UP_S, messages.HangUpDue(fact.link_urn, fact.peer_id, fact.reason))
        waiting, peer.waiting_dialers = peer.waiting_dialers, {}
        for dialer in waiting:
            self.tell(dialer, dialer_messages.PeerLost(fact.peer_id))

    def _hang_up(self, due: messages.HangUpDue) -> None:
        """Nobody wants a link: close it once all have found other ways, whatever is under way on it now."""
        peer = self._peers.get(due.peer_id)
        if self._closing is None and peer is not None and peer.link.link.actor_urn == due.link_urn:
            self.schedule(RETIRE_AFTER_S, messages.RetireDue(peer.link.link, due.reason))
            self._ended(messages.LinkEnded(due.link_urn, due.peer_id, due.reason))

    # -- certificates that change ----------------------------------------------------------------------------

    def _change_trust(self, trust: TrustStore) -> None:
        self._trust = trust
        for peer in self._peers.values():
            self._is_refused(peer.link)
            if peer.challenge is not None and self._is_refused(peer.challenge.newcomer):
                peer.end_challenge()

    def _is_refused(self, link: messages.LinkEstablished) -> bool:
        """Whether a link is to close because nobody trusts its peer now."""
        farewell = refused(link, self._trust, self._meters)
        if farewell is not None:
            self.tell(link.link, farewell)
        return farewell is not None

    def _follow_certificate(self, peer: LinkedPeer, snapshot: RouteSnapshot) -> None:
        present = peer.link
        peer.link = certified_by(snapshot.records.get(present.peer_id), present)
        if present.certificate == peer.link.certificate:
            return
        if present.certificate.may_relay and not peer.link.certificate.may_relay:
            peer.excuses += 1
            gone = messages.RightsGone(present.link.actor_urn, present.peer_id)
            self.schedule(RIGHTS_GONE_S, gone)
        self.tell(present.link, peer.certified())

    def _rights_gone(self, urn: str, peer_id: AgentId) -> None:
        peer = self._peers.get(peer_id)
        if peer is not None and peer.link.link.actor_urn == urn:
            peer.excuses -= 1
            self.tell(peer.link.link, peer.certified())

    # -- two instances of one identity -----------------------------------------------------------------------

    def _challenge(self, peer: LinkedPeer, newcomer: messages.LinkEstablished) -> None:
        if peer.challenge is not None:
            self._turn_away(peer, newcomer, "another instance of this identity is being examined")
            return
        timer = self.schedule(
            CHALLENGE_TIMEOUT_S, messages.ChallengeExpired(newcomer.peer_id, newcomer.link.actor_urn)
        )
        peer.challenge = Challenge(newcomer, timer)
        nonce = self.dispatcher.random_bytes(CHALLENGE_BYTES)
        self.tell(peer.link.link, link_messages.ChallengePeer(nonce))

    def _answered(self, urn: str, peer_id: AgentId) -> None:
        peer = self._peers.get(peer_id)
        if peer is None or peer.challenge is None or peer.link.link.actor_urn != urn:
            return
        newcomer = peer.challenge.newcomer
        peer.end_challenge()
        self._twins.report(newcomer, peer.link)
        self._turn_away(peer, newcomer, DUPLICATE, Blame.LOGGED_OFFENCE)

    def _refuse_copy(self, peer: LinkedPeer, newcomer: messages.LinkEstablished) -> None:
        """An instance has one static key: one with another has copied it from the record of the other."""
        self._twins.report(newcomer, peer.link)
        nonce = self.dispatcher.random_bytes(CHALLENGE_BYTES)
        self.tell(peer.link.link, link_messages.ChallengePeer(nonce))  # so that its operator hears of it too
        self._turn_away(peer, newcomer, DUPLICATE, Blame.LOGGED_OFFENCE)

    def _contested(self, peer_id: AgentId) -> None:
        """Say, once for each link, that a peer has met another instance of this agent; count each time."""
        peer = self._peers.get(peer_id)
        if peer is not None:
            self._twins.contested(peer.link, self.now(), is_told=peer.is_contested)
            peer.is_contested = True

    def _challenge_expired(self, peer_id: AgentId, newcomer_urn: str) -> None:
        peer = self._peers.get(peer_id)
        if peer is None or peer.challenge is None:
            return
        newcomer = peer.challenge.newcomer
        if newcomer.link.actor_urn == newcomer_urn:
            peer.challenge = None
            self._replace(peer, newcomer)

    # -- what others are told --------------------------------------------------------------------------------

    def _measured(self, urn: str, peer_id: AgentId, rtt_s: float) -> None:
        peer = self._peers.get(peer_id)
        if peer is not None and peer.link.link.actor_urn == urn:
            peer.rtt_s = rtt_s
            self.tell(self._route_table, route_table_messages.LinkMeasured(peer_id, rtt_s))

    def _publish(self) -> None:
        """Tell the connection table and every link where frames go from now on."""
        links: dict[AgentId, Ref[link_messages.SendFrames]] = {self._own_id: self._loopback}
        if self._routes is not None:
            for destination, neighbour in self._routes.next_hops.items():
                peer = self._peers.get(neighbour)
                if peer is not None:
                    links[destination] = peer.link.link
        forwarding = link_messages.ForwardingChanged(MappingProxyType(links), self._routes)
        self.tell(self._connection_table, forwarding)
        if self._relays:
            for peer in self._peers.values():
                self.tell(peer.link.link, forwarding)

    def _change_relaying(self, relays: bool) -> None:
        self._relays = relays
        self._publish()
        for peer in self._peers.values() if not relays else ():
            self.tell(peer.link.link, link_messages.ForwardingChanged(MappingProxyType({}), self._routes))

    def _statuses(self) -> tuple[messages.PeerStatus, ...]:
        paths = self._paths
        connected = [peer.status(paths.problem_of(peer.link.dialer)) for peer in self._peers.values()]
        return (*connected, *self._absent.statuses(self.now()))

    def _close_all(self, reason: str, reply_to: Ref[messages.LinksClosed]) -> None:
        self._closing = reason
        self._report_to = reply_to
        for peer in self._peers.values():
            for link in peer.links:
                self.tell(link.link, link_messages.CloseLink(reason))
            peer.end_challenge()
        self._report_if_closed()

    def _report_if_closed(self) -> None:
        if self._report_to is not None and not self._peers:
            self.tell(self._report_to, messages.LinksClosed())
            self._report_to = None
