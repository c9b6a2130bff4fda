"""An endpoint: a service near this agent, offered to the mesh under a routing key.

``max_connections`` is counted here, and divided between ingresses: none of them can have all places. One too
many waits for a moment if others are closing. With a health check the key is offered only while the target
accepts connections. A check connects as an exit does, by the same addresses.
"""

import logging
import sys
from typing import Final, assert_never

from actors.messages import agent as agent_messages
from actors.messages import connection as connection_messages
from actors.messages import endpoint as messages
from actors.messages import route_table as route_table_messages
from actors.messages.reaching import ReachDue
from actors.meters import Meters
from actors.reaching import Contact, Outcome, Reach
from actors.runtime.actor import Actor
from actors.runtime.alarm import Alarm
from actors.runtime.seam import (
    Connected,
    ConnectFailed,
    Dispatcher,
    NamesResolved,
    Ref,
    SocketOptions,
)
from mesh.addresses import SocketAddress
from mesh.config.schema import GRANTED, EndpointSection, HealthCheckSection
from mesh.connection.door import Door
from mesh.connection.reject_codes import RejectCode
from mesh.connection.shares import Shares
from mesh.connection.target_health import Health, HealthMonitor
from mesh.connection.waiting_room import CLOSING_NOTICE_S, WaitingRoom
from mesh.journal import EventKind
from mesh.reaching import Failure, Kind
from mesh.routing.granted_offers import GrantedEndpoint
from mesh.routing.records import EndpointEntry
from mesh.sampling import sampled
from mesh.telling import event
from mesh.trust.identity import AgentId

log = logging.getLogger("mesh.forward")

_ENDPOINT: Final = event(EventKind.ENDPOINT)


NOT_CHECKED: Final = "not offered yet: the first health check of its target is under way"
WITHDRAWN: Final = "withdrawn until its target passes its health check"


class Endpoint(Actor[messages.Inbound]):
    """Offers one key, and lets its connections in.

    Args:
        dispatcher: where it runs.
        name: what the agent calls it.
        key: the routing key.
        target: the service.
        shows_target: whether those that see the endpoint are told of it.
        is_granted: whether only those see the endpoint that may use it.
        allowed: whom its ``allow:`` names; empty if there is none.
        route_table: hears whether the key is offered.
        meters: what the agent counts.
        admitted: connections that were let in and have not left, by name. It outlives the endpoint: one that
            crashes and is started again goes on counting where it stood, for its connections stay.
        max_connections: at one time; 0 is unlimited.
        health_check: how the target is checked; ``None`` offers the key unseen.
        root: hears why the key is not offered, if it is not.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        name: str,
        key: str,
        target: SocketAddress,
        shows_target: bool,
        is_granted: bool,
        allowed: frozenset[str],
        route_table: Ref[route_table_messages.Inbound],
        meters: Meters,
        admitted: dict[str, messages.AdmitConnection],
        door: Door,
        max_connections: int,
        health_check: HealthCheckSection | None,
        root: Ref[agent_messages.PartReported],
    ) -> None:
        super().__init__(dispatcher)
        self._name = name
        self._root = root
        self._withheld = ""
        """What the root has heard last: why the key is not offered."""
        self._key = key
        self._target = target
        self._shows_target = shows_target
        self._is_granted = is_granted
        self._allowed = allowed
        self._route_table = route_table
        self._meters = meters
        meters.served.begin(key)
        self._max_connections = max_connections
        self._admitted = admitted
        self._door = door
        self._places: Shares[AgentId] = Shares(max_connections or sys.maxsize)
        self._full_reported = False
        self._closing: set[str] = set()
        """Those of the admitted that are about to leave."""
        self._waiting: WaitingRoom[messages.AdmitConnection] = WaitingRoom(CLOSING_NOTICE_S)
        """Connections for which there is no place yet."""
        self._wait_alarm = Alarm(self.schedule, messages.WaitOver())
        self._offering = True
        self._health_check = health_check
        self._monitor = _monitor(health_check, Health.UNKNOWN)
        self._check_began_at = 0.0
        self._check_alarm = Alarm(self.schedule, messages.CheckDue())
        self._reach = Reach(dispatcher, self.ref, SocketOptions(), timer_ref=self.ref)
        """The current check."""

    def on_start(self) -> None:
        """Offer the key, or see first whether the target is there."""
        for urn, admitted in self._admitted.items():
            self._places.take(admitted.ingress)
            self.watch(
                admitted.connection, messages.ConnectionLeft(urn)
            )  # it knows only the one that crashed
        log.info("endpoint %(key)s is %(target)s", self._facts, extra=_ENDPOINT)
        if self._health_check is None:
            self._offer()
            self._tell_root("")  # it may know of a check that is none any more
        else:
            self._report(NOT_CHECKED)
            self._begin_check()
        self._set_door()

    def on_receive(self, message: messages.Inbound) -> None:
        """Handle one message."""
        match message:
            case messages.AdmitConnection():
                self._admit(message)
            case messages.ConnectionLeft(connection_urn=urn):
                self._left(urn)
            case messages.ConnectionClosing(connection_urn=urn):
                if urn in self._admitted:
                    self._closing.add(urn)
                    self._plan_wait()
            case messages.WaitOver():
                self._wait_over()
            case messages.ChangeEndpoint(section=section):
                self._change(section)
            case messages.StopOffering():
                self._offering = False
                self._set_door()
                self._seat()
                self._reach.cancel()
                self._advertise(None)
            case messages.CheckDue():
                self._check_alarm.disarm()
                if self._offering:
                    self._begin_check()
            case NamesResolved() | Connected() | ConnectFailed() | ReachDue():
                self._go_on(self._reach.take(message))
            case _:
                assert_never(message)

    def release(self) -> None:
        """Withdraw the key."""
        self._meters.served.end(self._key)
        self._door.is_open = False  # to ask finds nobody: whether another one is started is not known here
        self._reach.cancel()
        self._advertise(None)

    # -- the key ---------------------------------------------------------------------------------------------

    def _offer(self) -> None:
        target = str(self._target) if self._shows_target else None
        entry = EndpointEntry(key=self._key, target=target)
        self._advertise(GrantedEndpoint(entry, self._allowed) if self._is_granted else entry)

    def _advertise(self, entry: EndpointEntry | GrantedEndpoint | None) -> None:
        self.tell(self._route_table, route_table_messages.AdvertiseEndpoint(self.actor_urn, entry))

    def _change(self, section: EndpointSection) -> None:
        """Be as ``section`` says; those who are in stay in, at the target that they came to."""
        is_seen_anew = (section.target, section.health_check) != (self._target, self._health_check)
        shown = self._shows_target, self._is_granted, self._allowed
        self._target = self._door.target = section.target
        self._shows_target, self._is_granted = section.show_target, section.visibility == GRANTED
        self._allowed = frozenset(section.allow)
        self._max_connections, self._full_reported = section.max_connections, False
        self._places = Shares(section.max_connections or sys.maxsize)
        for admitted in self._admitted.values():
            self._places.take(admitted.ingress)
        log.info("endpoint %(key)s is %(target)s from now on", self._facts, extra=_ENDPOINT)
        if is_seen_anew and self._offering:
            self._see_anew(section.health_check)
        elif shown != (self._shows_target, self._is_granted, self._allowed) and self._objection() is None:
            self._offer()
        self._set_door()
        self._seat()

    # -- connections -----------------------------------------------------------------------------------------

    def _admit(self, wish: messages.AdmitConnection) -> None:
        if self._has_place(wish) or self._objection() is not None:
            self._answer(wish)
        else:
            self._let_wait(wish)

    def _answer(self, wish: messages.AdmitConnection) -> None:
        """Let a connection in, for which there is a place, or say why it cannot be."""
        denied = self._objection()
        if denied is not None:
            self.tell(wish.connection, denied)
            return
        granted = connection_messages.TargetGranted(self._target, is_counted=bool(self._max_connections))
        if self.tell(wish.connection, granted):
            self._admitted[wish.connection.actor_urn] = wish
            self._places.take(wish.ingress)

    def _objection(self) -> connection_messages.TargetDenied | None:
        """Why no connection can be let in now, even if there is a place."""
        if not self._offering:
            return connection_messages.TargetDenied(RejectCode.UNAVAILABLE, "the endpoint is being withdrawn")
        if self._health_check is not None and not self._monitor.lets_in:
            return connection_messages.TargetDenied(
                RejectCode.UNAVAILABLE, "the target has not passed its health check"
            )
        return None

    def _set_door(self) -> None:
        """Leave the door open if whoever asks is let in."""
        self._door.is_open = not self._max_connections and self._objection() is None

    # -- max_connections -------------------------------------------------------------------------------------

    def _has_place(self, wish: messages.AdmitConnection) -> bool:
        if self._max_connections and len(self._admitted) + self._door.inside >= self._max_connections:
            return False  # some came while there was no limit
        return self._places.may_take(wish.ingress)

    def _let_wait(self, wish: messages.AdmitConnection) -> None:
        """Let it wait for one that is closing; whether there is such a one may not have been heard yet."""
        if self._waiting.enter(wish, self.now(), len(self._admitted)):
            self._plan_wait()
        else:
            self._refuse(wish)

    def _left(self, urn: str) -> None:
        admitted = self._admitted.pop(urn, None)
        if admitted is not None:
            self._places.leave(admitted.ingress)
        self._closing.discard(urn)
        self._full_reported = self._full_reported and bool(self._admitted)
        if not self._waiting:
            return
        if admitted is None:
            self._waiting.leave(lambda wish: wish.connection.actor_urn == urn)
        self._seat()

    def _seat(self) -> None:
        """Answer those that wait, as far as there is room or a reason not to let them in at all."""
        while self._waiting:
            wish = self._waiting.take() if self._objection() else self._waiting.take(self._has_place)
            if wish is None:
                return
            self._answer(wish)

    def _wait_over(self) -> None:
        self._wait_alarm.disarm()
        self._seat()
        for wish in self._waiting.overdue(self.now(), len(self._closing)):
            self._refuse(wish)
        self._plan_wait()

    def _plan_wait(self) -> None:
        """Be woken, at the latest, when the first may have waited long enough."""
        self._wait_alarm.arm(self._waiting.deadline(len(self._closing)), self.now())

    def _refuse(self, wish: messages.AdmitConnection) -> None:
        self._meters.opens_denied += 1
        why = "the endpoint is at max_connections"
        if not self._places.is_full:
            self._meters.opens_beyond_share += 1
            why = "this agent holds its share of the endpoint's max_connections"
        elif not self._full_reported:
            self._full_reported = True
            log.warning(
                "endpoint %(key)s is at max_connections (%(max_connections)d); "
                "rejecting others until there is room",
                {"key": self._key, "max_connections": self._max_connections},
                extra=sampled(self._key),
            )
        self.tell(wish.connection, connection_messages.TargetDenied(RejectCode.AT_CAPACITY, why))

    # -- the target's health ---------------------------------------------------------------------------------

    def _see_anew(self, health_check: HealthCheckSection | None) -> None:
        """Judge another target, or by another check: one that is offered stays so until its first check."""
        is_offered = self._health_check is None or self._monitor.lets_in
        self._health_check = health_check
        self._monitor = _monitor(health_check, Health.PRESUMED if is_offered else Health.UNKNOWN)
        self._reach.cancel()
        self._check_alarm.disarm()
        if health_check is None or is_offered:
            self._report("")
            self._offer()
        else:
            self._report(NOT_CHECKED)
        self._begin_check()

    def _begin_check(self) -> None:
        if self._health_check is None:
            return
        self._check_began_at = self.now()
        self._reach.begin(self._target, self._health_check.timeout_s)

    def _go_on(self, outcome: Outcome | None) -> None:
        match outcome:
            case None:
                pass
            case Contact(socket=socket):
                socket.close()
                self._end_check(passed=True, why="")
            case Failure(kind=Kind.OWN_LIMIT):  # that says nothing of the target
                self._next_check()
            case Failure(reason=reason):
                self._failed(reason)
            case _:
                assert_never(outcome)

    def _failed(self, why: str) -> None:
        self._meters.health_checks_failed += 1
        self._end_check(passed=False, why=why)

    def _end_check(self, *, passed: bool, why: str) -> None:
        self._next_check()
        changed = self._monitor.observe(passed=passed)
        if self._monitor.state is Health.DOWN and why:
            self._report(f"{WITHDRAWN}: {self._target}: {why}")
        if not changed:
            return
        self._set_door()
        if passed:
            line = "endpoint %(key)s is offered: %(target)s accepts connections"
            log.info(line, self._facts, extra=_ENDPOINT)
            self._report("")
            self._offer()
        else:
            self._meters.endpoints_withdrawn += 1
            line = "endpoint %(key)s is not offered: %(target)s is down: %(reason)s"
            log.warning(line, {**self._facts, "reason": why}, extra=_ENDPOINT)
            self._advertise(None)

    @property
    def _facts(self) -> dict[str, str]:
        return {"key": self._key, "target": str(self._target)}

    def _report(self, withheld: str) -> None:
        if withheld != self._withheld:
            self._tell_root(withheld)

    def _tell_root(self, withheld: str) -> None:
        self._withheld = withheld
        self.tell(self._root, agent_messages.PartReported(self._name, withheld or None))

    def _next_check(self) -> None:
        if self._health_check is not None:
            due_at = self._check_began_at + self._health_check.interval_s
            self._check_alarm.arm(due_at, self.now())

    def __str__(self) -> str:
        """Name key and target, for logs and dumps."""
        return f"Endpoint({self._key}, {self._target}, {len(self._admitted) + self._door.inside} connections)"


def _monitor(health_check: HealthCheckSection | None, state: Health) -> HealthMonitor:
    thresholds = health_check or HealthCheckSection()
    return HealthMonitor(
        unhealthy_after=thresholds.unhealthy_after, healthy_after=thresholds.healthy_after, state=state
    )
