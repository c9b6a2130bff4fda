"""Revocation lists that peers pass on: which are taken, what follows from one, and who is told of it.

On a new link each side asks for lists of the authorities that it trusts (WANT_REVOCATIONS), before it says or
asks for anything else. So a peer is told of lists that it can judge only, and an agent that was away has them
before any record. Later lists go to each such peer at once, but the one that told of it.

A list that is as old as what is known changes nothing and goes no further. Peers whose news crosses tell each
other the same once; whoever says more than that pays for it, and loses its link in the end.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from mesh.alarms import THIS_AGENT, AlarmKind
from mesh.errors import ForgedCertificateError, RemoteProtocolError, TrustError
from mesh.link.bodies import MAX_WANTED_SIGNERS, WantedList, encode_want_revocations
from mesh.link.frames import FrameType
from mesh.remembered import Remembered
from mesh.routing.answers import ANSWER_WAIT_S, answer_budget
from mesh.routing.database import LinkState
from mesh.routing.effects import Close, Effects, Send, Verdict
from mesh.routing.notices import Notices
from mesh.routing.page_table import PageTable
from mesh.routing.peers import Peers
from mesh.routing.route_computation import RouteComputation
from mesh.token_bucket import TokenBucket
from mesh.trust.certificates import TrustStore
from mesh.trust.identity import AgentId
from mesh.trust.list_reader import read_revocations
from mesh.trust.naming import named
from mesh.trust.revocations import Revocation, Revocations, Revoked, head_of, is_ahead, short_signer

MAX_SIGNERS: Final = MAX_WANTED_SIGNERS
"""Whose lists are kept: authorities, and issuers, of which a mesh has a few."""

LIST_RATE: Final = 2.0
LIST_BURST: Final = 20.0
"""Short lists of one signer a second, and at once, that are taken and passed on, as of an agent's records."""

LIST_BYTES: Final = 8_192
"""A longer list counts as several: all agents pass it on, judge everything by it and write it down."""

LIST_HOLD_S: Final = 0.5
"""Until a list that came too early is looked at again, or until there is room for one if that is later."""

AHEAD_HOLD_S: Final = 10.0
"""Until one is that is of a time to come by this agent's clock, which may be set right meanwhile."""

USELESS_RATE: Final = 4.0
USELESS_BURST: Final = 128.0
"""Lists without news a second, and at once, that a peer may pass on: more than honest ones whose news crosses
that of this agent."""

_USELESS: Final = "more revocation lists without news than its links ever need"


@dataclass(slots=True)
class RevocationCounts:
    """What became of the lists that arrived; each counter only rises."""

    taken: int = 0
    known: int = 0
    """As old as what is known, or older."""
    early: int = 0
    """Held back, for their signer says more than it needs to."""
    ahead: int = 0
    """Held back, for they are of a time to come."""
    refused: int = 0
    """By nobody whom this agent trusts, forged, or no lists."""


class RevocationIntake:
    """Takes lists from peers and the operator; ``now`` is monotonic seconds, ``unix_now`` is Unix seconds.

    Args:
        trust: whom this agent believes, and what it has heard of revocations.
        link_state: all records.
        peers: those who may pass lists on.
        pages: those that records name.
        routes: what follows from all records.
        notices: what has been said to people.
    """

    def __init__(
        self,
        trust: TrustStore,
        *,
        link_state: LinkState,
        peers: Peers,
        pages: PageTable,
        routes: RouteComputation,
        notices: Notices,
    ) -> None:
        self.trust = trust
        """By whom lists may be, and what is known of them."""
        self.counts = RevocationCounts()
        self._link_state = link_state
        self._peers = peers
        self._pages = pages
        self._routes = routes
        self._notices = notices
        self._known_to: dict[AgentId, dict[bytes, int]] = {}
        """By linked peer and signer that it asks for: the number of the newest list that it has or gets."""
        self._told_by: dict[AgentId, dict[bytes, int]] = {}
        """By linked peer and signer: the highest number that it has told on this link."""
        self._rates: dict[bytes, TokenBucket] = {}
        """By signer whose lists are taken."""
        self._useless: Remembered[AgentId, TokenBucket] = Remembered(
            lambda: TokenBucket(USELESS_RATE, USELESS_BURST)
        )
        self._given: Remembered[AgentId, TokenBucket] = Remembered(answer_budget)
        """By peer: how many bytes of lists it may still be given."""
        self._owed_at = math.inf
        """When to give more to peers that were given too much."""
        self._held: dict[tuple[AgentId, bytes], tuple[bytes, float]] = {}
        """By peer and signer: the last list that came too early, and when to look at it again."""

    @property
    def missing(self) -> int:
        """Of how many signers a peer says that it has a newer list than this agent."""
        signers = {*self.trust.authorities, *self.trust.revocations.lists}
        found = {
            signer
            for numbers in self._known_to.values()
            for signer, number in numbers.items()
            if signer in signers and number > self._number(signer)
        }
        return len(found)

    # -- peers -----------------------------------------------------------------------------------------------

    def link_up(self, effects: Effects, peer_id: AgentId) -> None:
        """Ask a new peer for what it has."""
        self._known_to.pop(peer_id, None)
        self._told_by[peer_id] = {}
        self._ask(effects, (peer_id,))

    def link_down(self, peer_id: AgentId) -> None:
        """The link to ``peer_id`` is gone."""
        self._known_to.pop(peer_id, None)
        self._told_by.pop(peer_id, None)
        for place in [place for place in self._held if place[0] == peer_id]:
            del self._held[place]  # on its next link it is asked again

    def wanted(self, effects: Effects, peer_id: AgentId, wanted: Iterable[WantedList], now: float) -> None:
        """``peer_id`` asks for lists of these signers, and for what comes of them later."""
        if peer_id in self._peers:
            self._known_to[peer_id] = {each.signer: each.number for each in wanted}
            self._spread(effects, now)

    def _ask(self, effects: Effects, peers: tuple[AgentId, ...]) -> None:
        lists = self.trust.revocations.lists
        numbers = dict.fromkeys(sorted(self.trust.authorities), 0)
        numbers |= {signer: each.read.number for signer, each in lists.items()}
        wanted = [WantedList(signer, number) for signer, number in numbers.items()]
        if peers:
            body = encode_want_revocations(tuple(wanted[:MAX_WANTED_SIGNERS]))
            effects.sends.append(Send(peers, FrameType.WANT_REVOCATIONS, body))

    def _spread(self, effects: Effects, now: float) -> None:
        """Tell each peer of what it has asked for and does not have, or of a part if that is much."""
        self._owed_at = math.inf
        for peer_id, numbers in self._known_to.items():
            given: list[bytes] = []
            for signer, each in self.trust.revocations.lists.items():
                if each.authority in numbers and numbers.get(signer, 0) < each.read.number:
                    if not self._given.of(peer_id, now).take(now, len(each.wire)):
                        self._owed_at = now + ANSWER_WAIT_S
                        break
                    numbers[signer] = each.read.number
                    given.append(each.wire)
            effects.send_revocations(peer_id, given)

    # -- lists -----------------------------------------------------------------------------------------------

    def take(
        self, effects: Effects, peer_id: AgentId, lists: Sequence[bytes], now: float, unix_now: float
    ) -> None:
        """Take what ``peer_id`` passes on.

        Whoever has no link may be one that does not let this agent in, and shows why. It has nothing to lose
        by what is forged, so not much of it is looked at.
        """
        for wire in lists:
            is_linked = peer_id in self._peers
            if not is_linked and not self._useless.of(peer_id, now).take(now):
                return
            try:
                is_news = self._take(effects, peer_id, wire, now, unix_now)
            except RemoteProtocolError as error:
                self.counts.refused += 1
                if not isinstance(error, TrustError) or isinstance(error, ForgedCertificateError):
                    self._offence(effects, peer_id, str(error), now)
                    return
                # Of an authority or an issuer that the peer may see otherwise.
                self._say(effects, AlarmKind.CERTIFICATE, peer_id, f"ignored: {error}")
                is_news = False
            effects.verified += 1
            if is_linked and not is_news and not self._useless.of(peer_id, now).take(now):
                self._offence(effects, peer_id, _USELESS, now)

    def take_own(self, effects: Effects, wire: bytes, now: float, unix_now: float) -> str:
        """Take a list that the operator gives; why not, or nothing if it is taken, or is known."""
        try:
            head = head_of(wire)
            held = self._number(head.signer)
            if head.number == held:
                return ""
            if head.number < held:
                return f"older than the list of {short_signer(head.signer)} that this agent has"
            if is_ahead(head.number, unix_now):
                return "of a time more than a day ahead of this agent's clock"
            self._apply(effects, wire, now)
        except RemoteProtocolError as error:
            return str(error)
        return ""

    def _take(self, effects: Effects, peer_id: AgentId, wire: bytes, now: float, unix_now: float) -> bool:
        """Take one list; whether its peer had something to say."""
        head = head_of(wire)
        signer, number, held = head.signer, head.number, self._number(head.signer)
        told = self._told_by.get(peer_id, {})
        is_repeated = number <= told.get(signer, 0)
        # Nobody makes up signers to be remembered: of an issuer that is new here the list is the proof.
        is_known = held > 0 or signer in self.trust.authorities
        if is_known:
            self._note(peer_id, signer, number)
        if number <= held:
            self.counts.known += 1
            return number == held and not is_repeated
        if is_ahead(number, unix_now):
            self.counts.ahead += 1
            who = self._link_state.named(peer_id)
            line = f"{who} passes on a revocation list of a time more than a day ahead of this agent's clock"
            self._say(effects, AlarmKind.CLOCK, peer_id, line)
            if is_known:
                self._hold(peer_id, signer, wire, now + AHEAD_HOLD_S)
            return False
        if is_known and not self._rate(signer).has(now):
            self.counts.early += 1
            self._hold(peer_id, signer, wire, now + max(LIST_HOLD_S, self._rate(signer).wait_s(now)))
            return not is_repeated
        self._apply(effects, wire, now, peer_id)
        return True

    def _hold(self, peer_id: AgentId, signer: bytes, wire: bytes, until: float) -> None:
        """Keep what nobody has verified yet, as long as the peer has a link: many may come and go."""
        if peer_id in self._peers:
            self._held[peer_id, signer] = wire, until

    def _note(self, peer_id: AgentId, signer: bytes, number: int) -> None:
        """The peer has said this, and so it has it."""
        told, numbers = self._told_by.get(peer_id), self._known_to.get(peer_id)
        if told is not None:
            told[signer] = max(number, told.get(signer, 0))
        if numbers is not None:
            numbers[signer] = max(number, numbers.get(signer, 0))

    def _apply(self, effects: Effects, wire: bytes, now: float, told_by: AgentId | None = None) -> None:
        """Judge all others by a list that is newer than what is known.

        Raises:
            RemoteProtocolError: nobody who is trusted has signed it.
        """
        signed = read_revocations(wire, self.trust)
        before, signer = self.trust.revocations, signed.read.signer
        if signer not in before.lists and len(before.lists) >= MAX_SIGNERS:
            raise TrustError(f"no room for the revocation list of {short_signer(signer)}")
        self.counts.taken += 1
        if told_by is None:
            self._rate(signer).take(now)  # what the operator gives is never too much, and delays no news
        else:
            self._rate(signer).spend(now, max(1.0, len(wire) / LIST_BYTES))
            self._note(told_by, signer, signed.read.number)
        after = before.joined(Revocations((signed,)))
        effects.verdicts += self._verdicts(before, after)
        effects.revocations = after
        self._judge_by(self.trust.revoking(after), now)
        self._spread(effects, now)

    def _verdicts(self, before: Revocations, after: Revocations) -> Iterator[Verdict]:
        """What is different between the two, for people; by the names that records still tell."""
        for each in after:
            if not before.has(each):
                yield Verdict(self._who(each.revocation), str(each), _issuer(each))
        for each in before:
            if not after.has(each):
                yield Verdict(self._who(each.revocation), "is revoked no more", _issuer(each))

    def _who(self, revocation: Revocation) -> str:
        agent_id = revocation.agent_id
        if agent_id == self._link_state.own_id:
            return THIS_AGENT
        return named(revocation.name, agent_id) if revocation.name else self._link_state.named(agent_id)

    def _judge_by(self, trust: TrustStore, now: float) -> None:
        self.trust = trust
        for agent_id in self._link_state.judge_by(trust):
            self._pages.set_aside(agent_id, now)
        self._routes.start_over()

    def change_trust(self, effects: Effects, trust: TrustStore, now: float) -> None:
        """These are the authorities from now on; lists that either knew are known."""
        has_others = trust.authorities != self.trust.authorities
        revocations = trust.revocations.joined(self.trust.revocations.under(trust.authorities))
        self._judge_by(trust.revoking(revocations), now)
        known = trust.authorities.union(self.trust.revocations.lists)
        self._rates = {signer: rate for signer, rate in self._rates.items() if signer in known}
        if has_others:
            self._ask(effects, self._peers.all)
        self._spread(effects, now)

    # -- time ------------------------------------------------------------------------------------------------

    def deadline(self) -> float:
        """When to call :meth:`release`; infinite while no list waits, and no peer is owed one."""
        return min(self._owed_at, *(due for _, due in self._held.values()), math.inf)

    def release(self, effects: Effects, now: float, unix_now: float) -> None:
        """Look again at those that came too early and have waited for long enough; give what is owed."""
        if self._owed_at <= now:
            self._spread(effects, now)
        for place in [place for place, (_, due) in self._held.items() if due <= now]:
            wire, _ = self._held.pop(place)
            self.take(effects, place[0], (wire,), now, unix_now)

    # -- helpers ---------------------------------------------------------------------------------------------

    def _number(self, signer: bytes) -> int:
        held = self.trust.revocations.lists.get(signer)
        return 0 if held is None else held.read.number

    def _rate(self, signer: bytes) -> TokenBucket:
        return self._rates.setdefault(signer, TokenBucket(LIST_RATE, LIST_BURST))

    def _say(self, effects: Effects, kind: AlarmKind, peer_id: AgentId, line: str) -> None:
        self._notices.say(effects.notices, kind, self._link_state.named(peer_id), line)

    def _offence(self, effects: Effects, peer_id: AgentId, why: str, now: float) -> None:
        self._notices.count(AlarmKind.TAMPERING, self._link_state.named(peer_id))
        if peer_id not in self._peers:
            return
        effects.closes.append(Close(peer_id, why))
        self._routes.is_outdated |= self._peers.link_down(peer_id, now)


def _issuer(revoked: Revoked) -> str:
    return revoked.by if revoked.by_issuer else ""
