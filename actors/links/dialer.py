"""The dialer of one configured peer: dials it, and redials it for ever.

It rests only while the peer is linked anyway, by the link it made or by one that the peer made.
"""

import enum
import logging
from collections.abc import Callable
from types import MappingProxyType
from typing import Final, TypeVar, assert_never

from msgspec import structs

from actors.links.reports import LINK, brief
from actors.links.settings import LINK_SOCKET_OPTIONS
from actors.messages import dialer as messages
from actors.messages import peer_directory as directory_messages
from actors.messages import peer_link as link_messages
from actors.messages.reaching import ReachDue
from actors.reaching import Contact, Outcome, Reach
from actors.runtime.actor import Actor
from actors.runtime.alarm import Alarm
from actors.runtime.seam import (
    Connected,
    ConnectFailed,
    Dispatcher,
    NamesResolved,
    Ref,
    StreamSocket,
)
from mesh.addresses import SocketAddress, TcpAddress
from mesh.backoff import retry_delay_s
from mesh.black_hole import Evidence, SegmentLimit
from mesh.escaping import escaped
from mesh.link.opening import TICKET_BYTES
from mesh.reaching import Failure, Kind
from mesh.sampling import sampled
from mesh.trust.identity import AgentId, short_id

log = logging.getLogger("mesh.links")

V = TypeVar("V")

DIAL_TIMEOUT_S: Final = 10.0
"""For a peer with all its addresses, the look-up of its name included: what a handshake may take as well."""

STABLE_S: Final = 10.0
"""A link that lived this long starts the backoff anew."""

FIRST_REDIAL_S: Final = 0.25
"""A peer that restarts is back within a second; the first redial should not be what one waits for."""

MAX_REDIAL_S: Final = 5.0
"""A peer that comes back after an hour is linked again within this time, and well within the time that
connections wait for a path (``connections.reroute_timeout``)."""

QUICK_REDIALS: Final = 24
"""Failures that do not make the next dial wait longer: for the seconds that a restart takes on a busy
machine, a peer is dialed often enough to be linked as soon as it is back."""

OWN_ADDRESS_S: Final = 60.0
"""How long an address that led to this agent itself is not dialed: an address may move to another agent (a
failover, a changed port mapping), and nothing says so."""

MAX_ADDRESSES: Final = 16
"""Addresses of a peer that are remembered as useless, or with a ticket: more than one name has."""

HANDSHAKE_HINT_S: Final = 3.0
"""Without a handshake after it the address is hardly an agent's: one takes two round trips."""

_REMEDIES: Final = MappingProxyType(
    {
        Kind.REFUSED: ": no agent accepts links there: does it run, and is that the address in its accept:?",
        Kind.SILENT: ": does a firewall on the way drop it, or is that machine down?",
        Kind.UNREACHABLE: ": is there a route to that address?",
        Kind.UNRESOLVED: ": is the name right, and does this machine's resolver know it?",
    }
)
"""What to look at first, by why an address was not reached."""

_CHECK: Final = "check that it is the address of an agent's accept: and that the agent there is not stuck"

SILENT: Final = f"accepts connections and has not answered for {HANDSHAKE_HINT_S:g} s: {_CHECK}"

StartLink = Callable[[StreamSocket, Ref[messages.Inbound], AgentId | None, bytes], Ref[link_messages.Inbound]]
"""Starts a link on a connected socket, on behalf of a dialer: to this agent or to any, with this ticket."""


class State(enum.Enum):
    """What the dialer does at present."""

    PAUSING = "waiting"
    DIALING = "dialing"
    SHAKING = "connected, waiting for the handshake"
    LINKED = "linked"
    RESTING = "resting"
    ITSELF = "this agent itself"


class Dialer(Actor[messages.Inbound]):
    """Keeps a link to one configured address."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        address: TcpAddress,
        expected: AgentId | None,
        directory: Ref[directory_messages.Inbound],
        start_link: StartLink,
    ) -> None:
        super().__init__(dispatcher)
        self._address = address
        self._expected = expected
        self._directory = directory
        self._start_link = start_link
        self._state = State.PAUSING
        self._failures = 0
        self._reach = Reach(dispatcher, self.ref, LINK_SOCKET_OPTIONS, timer_ref=self.ref)
        self._redial = Alarm(self.schedule, messages.DialDue())
        self._late = Alarm(self.schedule, messages.HandshakeLate())
        self._segments = SegmentLimit()
        self._problem = ""
        self._trouble = ""
        """Why the latest dial came to nothing; empty when the peer has been linked since."""
        self._is_explained = False
        """Whether it is known why the latest link was refused."""
        self._reached: SocketAddress | None = None
        """The address of the latest link."""
        self._useless: dict[SocketAddress, None] = {}
        """Addresses that accepted and were not linked, the latest last: another one may be the peer's."""
        self._own: dict[SocketAddress, float] = {}
        """Addresses that lead to this agent itself, and when they did last."""
        self._tickets: dict[SocketAddress, bytes] = {}
        """What the latest link to each address has left, the latest last."""
        self._told_of_itself = False
        self._is_itself = False
        """Whether all that has been found at its addresses lately is this agent itself."""
        self._link: Ref[link_messages.Inbound] | None = None
        """The latest that was dialed."""
        self._peer_id: AgentId | None = None
        """Who the link leads to that makes dialing needless."""
        self._linked_at = 0.0
        self._reported = ""

    def on_start(self) -> None:
        """Dial at once."""
        self._dial()

    def on_receive(self, message: messages.Inbound) -> None:
        """Handle one message."""
        match message:
            case messages.DialDue():
                self._redial.disarm()
                if self._state in (State.PAUSING, State.ITSELF):
                    self._dial()
            case NamesResolved() | Connected() | ConnectFailed() | ReachDue():
                self._go_on(self._reach.take(message))
            case messages.HandshakeLate():
                self._handshake_late()
            case messages.LinkAdmitted(peer_id=peer_id, peer_name=name):
                self._peer_id = peer_id
                self._admitted()
                log.debug("dialed %s: %s %s", self._address, escaped(name), short_id(peer_id))
            case messages.TicketLeft(link_urn=urn, ticket=ticket):
                if self._is_link(urn) and self._reached is not None:
                    _keep_latest(self._tickets, self._reached, ticket)
            case messages.PeerAlreadyLinked(peer_id=peer_id):
                if self._expected not in (None, peer_id):
                    return  # another one has been wanted since: this link ends, and it is dialed again
                self._peer_id = peer_id
                self._reach.cancel()
                self._trouble, self._is_itself = "", False
                self._become(State.RESTING)
                self._failures = 0
            case messages.PeerLost(peer_id=peer_id):
                if self._state is State.RESTING and self._peer_id == peer_id:
                    self._pause()
            case messages.DialRefused():
                self._refused(message)
            case messages.MetItself():
                self._met_itself()
            case messages.PinPeer(peer_id=peer_id):
                self._pin(peer_id)
            case messages.HangUp():
                self._tell_link(link_messages.RetireLink("this peer is not dialed any more"))
            case messages.DialedLinkEnded(link_urn=urn, evidence=evidence):
                if self._is_link(urn):
                    self._judge_path(evidence)
                    if self._state in (State.SHAKING, State.LINKED):
                        self._link_ended()
            case _:
                assert_never(message)

    def release(self) -> None:
        """Give up what is under way, and be shown no more."""
        self._reach.cancel()
        self._report_problem("")
        self.tell(self._directory, directory_messages.DialerReported(str(self._address), None))

    def _pin(self, peer_id: AgentId | None) -> None:
        """Link with ``peer_id`` only; what leads elsewhere is closed, or dialed beside."""
        self._expected = peer_id
        if peer_id is None:
            return
        match self._state:
            case State.LINKED if self._peer_id != peer_id:
                self._tell_link(link_messages.RetireLink("another agent is wanted at this address"))
                self._pause()
            case State.SHAKING:
                self._tell_link(link_messages.CloseLink("it is dialed again, for one agent alone"))
            case State.RESTING if self._peer_id != peer_id:
                self._pause()
            case State.LINKED | State.RESTING | State.PAUSING | State.DIALING | State.ITSELF:
                pass
            case _:
                assert_never(self._state)

    def _is_link(self, urn: str) -> bool:
        """Whether it is the latest that was dialed."""
        return self._link is not None and urn == self._link.actor_urn

    def _tell_link(self, command: link_messages.CloseLink | link_messages.RetireLink) -> None:
        if self._link is not None:
            self.tell(self._link, command)

    def _become(self, state: State) -> None:
        self._state = state
        self._late.disarm()
        self._show()

    def _show(self) -> None:
        state = self._state
        if self._is_itself and not self._trouble:
            state = State.ITSELF  # also while it looks again: that is no reason not to be ready
        shown = None if state in (State.LINKED, State.RESTING) else state.value
        problem = ((self._trouble or self._problem) if shown is not None else "") or None
        report = directory_messages.DialerReported(str(self._address), shown, problem, self._peer_id)
        self.tell(self._directory, report)

    def _dial(self) -> None:
        self._become(State.DIALING)
        segment_bytes = self._segments.max_segment_bytes(self.now())
        if segment_bytes is None:
            self._report_problem("")
        self._reach.options = structs.replace(LINK_SOCKET_OPTIONS, max_segment_bytes=segment_bytes)
        self._own = {own: at for own, at in self._own.items() if self.now() < at + OWN_ADDRESS_S}
        self._reach.begin(self._address, DIAL_TIMEOUT_S, tuple(self._useless), tuple(self._own))

    def _go_on(self, outcome: Outcome | None) -> None:
        match outcome:
            case None:
                pass
            case Contact(socket=socket, address=address):
                self._become(State.SHAKING)
                self._late.arm(self.now() + HANDSHAKE_HINT_S, self.now())
                self._is_explained = False
                self._reached = address
                ticket = self._tickets.get(address) or self.dispatcher.random_bytes(TICKET_BYTES)
                self._link = self._start_link(socket, self.ref, self._expected, ticket)
            case Failure(kind=Kind.EXCLUDED):
                self._rest_as_itself()
            case Failure(kind=Kind.REFUSED | Kind.UNREACHABLE) if self._own:
                # Most likely this host too, by an address family that nobody accepts on. Another agent behind
                # the same name, down now, has this one among its peers too, and dials when it is back.
                self._rest_as_itself()
            case Failure(kind=kind, reason=reason):
                self._failed(f"{reason}{_REMEDIES.get(kind, '')}")
            case _:
                assert_never(outcome)

    def _met_itself(self) -> None:
        """The peer, or one address of its name, is this agent: look for others now, for a change later."""
        if self._state is not State.SHAKING or self._reached is None:
            return
        self._own[self._reached] = self.now()
        if not self._told_of_itself:
            self._told_of_itself = True
            facts = {"peer": str(self._address), "address": str(self._reached)}
            log.info("peer %(peer)s is this agent itself at %(address)s; it is not dialed", facts)
        if isinstance(self._reached, TcpAddress) and self._reached.host == self._address.host:
            self._rest_as_itself()
        else:
            self._pause()

    def _rest_as_itself(self) -> None:
        self._trouble, self._is_itself = "", True
        self._become(State.ITSELF)
        self._failures = 0
        self._redial_in(OWN_ADDRESS_S)

    def _admitted(self) -> None:
        self._linked_at = self.now()
        self._trouble = self._reported = ""
        self._useless.clear()
        self._told_of_itself = self._is_itself = False
        if self._state is State.SHAKING:
            self._become(State.LINKED)

    def _handshake_late(self) -> None:
        """Say so while the link still waits: most likely the address is another program's."""
        self._late.disarm()
        if self._state is not State.SHAKING:
            return
        self._trouble, self._is_explained = brief(f"{self._where()}{SILENT}"), True
        self._tell(self._level_of(SILENT), "cannot link with peer %(peer)s: %(reason)s", self._trouble)
        self._show()

    def _where(self) -> str:
        """The address of the latest link, where it is not plain from the peer's."""
        return "" if self._reached in (None, self._address) else f"{self._reached} "

    def _link_ended(self) -> None:
        if self._state is State.LINKED and self.now() - self._linked_at >= STABLE_S:
            self._failures = 0
        if self._state is State.SHAKING and self._reached is not None:
            _keep_latest(self._useless, self._reached, None)
            if not self._is_explained:
                self._trouble = (
                    f"{self._where()}accepts connections, but the last ended without a handshake: {_CHECK}"
                )
        self._pause()

    def _judge_path(self, evidence: Evidence) -> None:
        """If packets of full size seem to get lost, the next link has smaller ones."""
        if self._segments.link_ended(evidence, self.now()):
            segment_bytes = self._segments.max_segment_bytes(self.now())
            problem = (
                f"packets of full size seem to get lost between here and {self._address}: check the MTU; "
                f"until then TCP segments are held to {segment_bytes} bytes"
            )
            self._tell(logging.WARNING, "%(reason)s", problem)
            self._report_problem(problem)

    def _report_problem(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            self.tell(self._directory, directory_messages.PathJudged(self.actor_urn, problem))

    def _failed(self, why: str) -> None:
        self._tell(self._level_of(why), "cannot reach peer %(peer)s: %(reason)s; redialing", escaped(why))
        self._trouble = brief(why)
        self._pause()

    def _refused(self, refusal: messages.DialRefused) -> None:
        level, why, address = self._level_of(refusal.why), escaped(refusal.why), refusal.address
        if refusal.is_another:
            line = "another agent at the address of a peer: %(reason)s (dialed %(address)s)"
            alarm = logging.ERROR if level == logging.WARNING else level
            log.log(alarm, line, {"reason": why, "address": address}, extra=LINK)
            trouble = f"another agent at the address: {why}"
        elif refusal.peer_name is None:
            self._tell(level, "link refused: %(reason)s (dialed %(address)s)", why, address=address)
            trouble = f"no link: {why}"
        else:
            who = escaped(refusal.peer_name)
            line = "link refused by %(agent)s at %(address)s: %(reason)s"
            self._tell(level, line, why, agent=who, address=address)
            trouble = f"refused by {who}: {why}"
        self._trouble, self._is_explained = brief(trouble), True
        self._show()  # the directory may pass a refusal on after the end of its link

    def _tell(self, level: int, line: str, why: str, **more: str) -> None:
        peer = str(self._address)
        log.log(level, line, {"peer": peer, "reason": why, **more}, extra=sampled(peer) | LINK)

    def _level_of(self, why: str) -> int:
        """The log level for a failure: a warning at first, not when it repeats."""
        again, self._reported = why == self._reported, why
        return logging.DEBUG if again else logging.WARNING

    def _pause(self) -> None:
        self._become(State.PAUSING)
        delay_s = retry_delay_s(
            max(0, self._failures - QUICK_REDIALS),
            self.dispatcher.uniform(),
            first_s=FIRST_REDIAL_S,
            cap_s=MAX_REDIAL_S,
        )
        self._failures += 1
        self._redial_in(delay_s)

    def _redial_in(self, delay_s: float) -> None:
        """Instead of what was due before: with two timers it would be dialed twice as often from then on."""
        now = self.now()
        self._redial.disarm()
        self._redial.arm(now + delay_s, now)


def _keep_latest(kept: dict[SocketAddress, V], address: SocketAddress, value: V) -> None:
    kept.pop(address, None)
    kept[address] = value
    if len(kept) > MAX_ADDRESSES:
        del kept[next(iter(kept))]
