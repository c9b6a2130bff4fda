"""The exit end of a connection: the ingress that asked on one side, the target on the other.

:class:`~mesh.connection.exit_opening.ExitOpening` decides how the OPEN is answered; this actor does what it
says.
"""

import logging
from collections.abc import Mapping
from typing import assert_never

from actors.connections.answering import AnsweringEnd
from actors.connections.arrived_open import ArrivedOpen
from actors.connections.connection_settings import CONNECTION_SOCKET_OPTIONS, ConnectionSettings
from actors.connections.due import FIRST_LOOK_S, Due
from actors.connections.inside_services import InsideServices
from actors.connections.opening_keys import responder
from actors.messages import connection as messages
from actors.messages import connection_table as table_messages
from actors.messages import endpoint as endpoint_messages
from actors.messages import peer_link as link_messages
from actors.messages.reaching import ReachDue
from actors.meters import Meters
from actors.reaching import Contact, Reach, Report
from actors.runtime.seam import (
    Connected,
    ConnectFailed,
    Dispatcher,
    NamesResolved,
    Ref,
    StreamSocket,
)
from mesh.addresses import SocketAddress
from mesh.connection import exit_effects as effects
from mesh.connection.door import Door
from mesh.connection.early_data import ANSWER_WAIT_S
from mesh.connection.endings import End, Ending
from mesh.connection.exit_opening import ExitOpening
from mesh.connection.exit_states import ExitState
from mesh.connection.loops import NO_ENDS, ends_of, socket_tag
from mesh.connection.pending_open import Pending
from mesh.connection.reject_codes import RejectCode
from mesh.connection.reserved import Caller, ReservedKey, is_reserved, read_reserved
from mesh.connection.rights import why_not_allowed, why_not_at_exit
from mesh.connection.stream import PathVerdict, ResetCode
from mesh.escaping import escaped
from mesh.link.frames import Frame, FrameType
from mesh.reaching import Failure
from mesh.trust.identity import NO_AGENT, AgentId

log = logging.getLogger("mesh.connections")


class ExitConnection(AnsweringEnd[messages.ExitInbound]):
    """Serves one OPEN."""

    END = End.EXIT

    __slots__ = (
        "_door",
        "_endpoint",
        "_endpoints",
        "_ends",
        "_holds_place",
        "_inside",
        "_pending",
        "_reach",
    )

    def __init__(  # noqa: PLR0917 -- by name they take a hundredth of a compiled connection's instructions
        self,
        dispatcher: Dispatcher,
        arrived: ArrivedOpen,
        pending: Pending,
        link: Ref[link_messages.SendFrames],
        endpoints: Mapping[str, Ref[endpoint_messages.Inbound]],
        inside: InsideServices,
        table: Ref[table_messages.Inbound],
        settings: ConnectionSettings,
        meters: Meters,
    ) -> None:
        super().__init__(dispatcher, table=table, settings=settings, meters=meters, key="")
        self._pending = pending
        self._know(arrived.party, arrived.record)
        self._remote = arrived.party.id
        self._link = link
        self._endpoints = endpoints
        self._inside = inside
        self._number = arrived.frame.connection
        self._endpoint: Ref[endpoint_messages.Inbound] | None = None
        """The endpoint at which this connection has a place, or waits for one."""
        self._door: Door | None = None
        """That of the endpoint, if it was open: then the place is there."""
        self._holds_place = False
        """Whether this connection counts among those that hold a descriptor here."""
        self._ends = NO_ENDS
        """Of the socket towards the target, as soon as there is one; a unix socket has none."""
        self._first_window_bytes = 0
        self._handed_bytes = 0
        self._reach = Reach(dispatcher, self.ref, CONNECTION_SOCKET_OPTIONS)
        self._opening = ExitOpening(
            open_frame=arrived.frame,
            responder=responder(settings, table, dispatcher.now, arrived),
            offered=endpoints,
            may_use=arrived.record.certificate.allows_use,
            open_timeout_s=settings.config.connections.open_timeout_s,
        )

    def on_start(self) -> None:
        """Judge the OPEN."""
        now = self.now()
        wanted = self._opening.start(now)
        self._alarm.arm(now + (ANSWER_WAIT_S if self._opening.early else FIRST_LOOK_S), now)
        self._do(wanted)

    def on_receive(self, message: messages.ExitInbound) -> None:
        """Handle one message."""
        match message:
            case messages.SegmentsArrived(frames=frames, via=via):
                self._segments_arrived(frames, via)
            case Connected() | ConnectFailed() | NamesResolved():
                self._go_on(message)
            case messages.TargetGranted(target=target, is_counted=is_counted):
                self._tells_of_closing = is_counted  # others may want this place
                self._granted(target)
            case messages.TargetDenied(code=code, reason=reason):
                self._endpoint = None
                self._do(self._opening.denied(code, reason, self.now()))
            case messages.CloseConnection(reason=reason):
                self._answer_now()
                self._do(self._opening.denied(RejectCode.UNAVAILABLE, reason, self.now()))
                self._common(message)
            case messages.PathChanged():
                self._common(message)
                self._do(self._opening.path_changed())
            case (
                messages.PeerRestarted()
                | messages.PeerExpired()
                | messages.RightsChanged()
                | messages.DeadlineReached()
                | messages.CloseForOperator()
                | messages.DescribeConnection()
            ):
                self._common(message)
            case _:
                assert_never(message)

    def release(self) -> None:
        """Free the number, and the endpoint's place."""
        if self._reach.under_way:
            self._reach.cancel()
        if self._key:
            self._record()
        self._leave_endpoint()
        self._forget(self._party.id, self._number, is_exit=True)
        self._leave_first_window()
        super().release()

    def _closing(self) -> None:
        if self._endpoint is not None:
            self.tell(self._endpoint, endpoint_messages.ConnectionClosing(self.actor_urn))

    def _socket_gone(self, socket: StreamSocket) -> None:
        self._record()
        self._settings.loops.exit_closed(self._ends)
        self._leave_endpoint()  # at once: the target is free for others while the ends still say goodbye

    def _leave_endpoint(self) -> None:
        if self._holds_place:
            self._holds_place = False
            self._settings.places.leave(self._party.id)
        door, self._door = self._door, None
        if door is not None:
            door.leave()
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is not None:
            self.tell(endpoint, endpoint_messages.ConnectionLeft(self.actor_urn))

    def _leave_first_window(self) -> None:
        byte_count, self._first_window_bytes = self._first_window_bytes, 0
        if byte_count:
            self._settings.budget.leave_first_window(self._party.id)
            if self._stream is None:
                self._settings.budget.release(byte_count)

    # -- opening ---------------------------------------------------------------------------------------------

    def _do(self, wanted: effects.ExitEffects) -> None:
        """Do what the opening asks for, and keep its time."""
        for effect in wanted:
            match effect:
                case effects.OpenAuthenticated():
                    self._pending.authenticated()
                case effects.AskEndpoint():
                    self._ask_endpoint(effect.key)
                case effects.ReachTarget():
                    pass  # by who knows the target
                case effects.Accept():
                    self._meters.opens_answered += 1
                    self._send((effect.answer,))
                    first_bytes = self._first_window_bytes
                    self._settings.budget.release(first_bytes)  # the stream reserves it itself
                    party_id = self._party.id
                    self._start_stream(effect.session, party_id, self._link, effect.credit, first_bytes)
                    self._began_early(effect)
                case effects.OpenConfirmed():
                    self._pending.settled(is_in_use=True)
                    self._settings.ephemerals.refill()  # the target is about to answer what came with this
                case effects.OpenForged():
                    self._forged(1, self._party.id, self._number, NO_AGENT)
                    log.debug("OPEN from %s dropped: %s", self._name(), effect.why)
                    self.stop_now()
                case effects.LookAtEndpoint():
                    if self._endpoint is None or not self._endpoint.is_alive():
                        self._do(self._opening.endpoint_gone(self.now()))
                case effects.Reject():
                    self._reject(effect)
                case effects.RepeatAnswer():
                    self._send((effect.answer,))
                case effects.PathDoubted():
                    self._path_judged(PathVerdict.FAILED)
                case effects.PathAnswered():
                    self._answered_after_doubt(is_prompt=effect.is_prompt)
                case effects.NotConfirmed():
                    self._lose("the ingress did not confirm the connection")
                case effects.OpeningOver():
                    self.stop_now()
                case _:
                    assert_never(effect)
        due = self._opening.deadline()
        if self._opening.state is ExitState.REACHING:
            due = min(due, self._reach.due_at)
        self._deadlines[Due.OPENING] = due
        if due < self._alarm.at and not self.actor_stopped.raised:  # what moves back needs no new timer
            self._arm()

    def _ask_endpoint(self, key: str) -> None:
        self._key, self._key_meter = key, self._meters.served.of(key)
        reserved = read_reserved(key) if is_reserved(key) else None
        subject = key if reserved is None else reserved.subject
        if why := why_not_allowed(self._record_of_ingress.certificate, subject, self._settings.policy):
            self._meters.opens_not_allowed += 1
            if subject in self._settings.policy.granted:
                self._do(self._opening.not_shown(why, self.now()))
            else:
                self._do(self._opening.denied(RejectCode.NOT_PERMITTED, why, self.now()))
            return
        if reserved is not None:
            self._ask_inside(reserved)
            return
        door = self._settings.doors.get(key)
        if door is not None and door.is_open:
            self._door = door
            door.enter()
            self._granted(door.target)
            return
        self._endpoint = self._endpoints[key]
        admit = endpoint_messages.AdmitConnection(self.ref, self._party.id)
        if not self.tell(self._endpoint, admit):
            self._do(self._opening.endpoint_gone(self.now()))

    def _ask_inside(self, key: ReservedKey) -> None:
        refusal = self._inside.objection(key, self._caller())
        if refusal is None:
            self._granted(key)
        else:
            self._meters.opens_denied += 1
            self._do(self._opening.denied(refusal.code, refusal.reason, self.now()))

    def _caller(self) -> Caller:
        return Caller(self._party.id, self._record_of_ingress.certificate)

    def _granted(self, target: SocketAddress | ReservedKey) -> None:
        self._target = target
        wanted = self._opening.granted(self.now())
        for effect in wanted:
            if isinstance(effect, effects.ReachTarget):
                places = self._settings.places
                if not places.try_take(self._party.id):
                    if places.is_full:
                        self._no_room("no descriptor of the exit is left for connections", for_others=False)
                    else:
                        self._no_room("this agent holds its share of the exit's descriptors")
                    return
                self._holds_place = True
                self._first_window_bytes = self._settings.budget.take_first_window(self._party.id)
                if not self._first_window_bytes:
                    self._no_room("no share of the exit's limits.stream_buffer is left for this agent")
                    return
                if isinstance(target, ReservedKey):
                    near = self._inside.open(target, self._caller())
                    if near is None:
                        self._no_room("the exit has no descriptor left for connections", for_others=False)
                    else:
                        self._connected(near)
                    return
                self._reach.options = self._options_towards_target()
                self._reach.begin(target, effect.within_s)
        self._do(wanted)

    def _no_room(self, why: str, *, for_others: bool = True) -> None:
        self._meters.opens_denied += 1
        self._meters.opens_beyond_share += for_others
        self._do(self._opening.denied(RejectCode.AT_CAPACITY, why, self.now()))

    def _go_on(self, report: Report) -> None:
        """Go on reaching the target; what comes too late is dropped."""
        match self._reach.take(report):
            case None:
                self._do(())
            case Contact() as contact:
                self._connected(contact.socket)
            case Failure() as failure:
                self._do(self._opening.unreachable(failure, self.now()))

    def _connected(self, socket: StreamSocket) -> None:
        self.own(socket)
        self._socket = socket
        tag = b""
        far = socket.peer_name
        if not far.startswith("unix:"):  # whose clients are all called the same
            self._ends = ends_of(socket.local_name, far)
            self._settings.loops.exit_opened(self._ends)
            tag = socket_tag(self._party.instance, self._ends, self._settings.network)
        self._target_reached(socket, tag)

    def _reject(self, rejection: effects.Reject) -> None:
        """Answer no, and stay for a moment to answer it again."""
        code, reason = rejection.code, rejection.reason
        self._leave_endpoint()  # at once: what lingers takes no place at the target
        self._reach.cancel()
        self._leave_first_window()
        self._key = self._opening.key
        self._key_meter = self._meters.served.of(self._key)  # it may never have come to the endpoint
        self._meters.opens_rejected += 1
        self._send((rejection.answer,))
        self._id = rejection.id
        self._end_as(Ending.REFUSED, f"{code}: {escaped(reason)}")
        self._record()
        self._pending.settled(is_in_use=False)

    def _judge(self, rights: messages.RightsChanged) -> None:
        why = why_not_at_exit(rights.certificate, self._key, rights.policy) if self._key else ""
        if not why:
            return
        self._answer_now()
        if self._stream is None:
            self._do(self._opening.denied(RejectCode.NOT_PERMITTED, why, self.now()))
        else:
            self._forbid(why)

    def _segments_arrived(self, frames: tuple[Frame, ...], via: AgentId) -> None:
        if frames[0].type == FrameType.OPEN:
            # Both forms come at once, of which one was read: that is answered, once.
            opens = {frame.body: frame for frame in frames if frame.type == FrameType.OPEN}
            for frame in opens.values():
                self._do(self._opening.asked_again(frame, self.now()))
            frames = tuple(frame for frame in frames if frame.type != FrameType.OPEN)
        if self._stream is None or not frames:
            return
        is_provisional = self._opening.state is ExitState.ACCEPTED
        if is_provisional and len(frames) > 1 and frames[-1].type == FrameType.RESET:
            before = len(frames) - 1
            while before and frames[before - 1].type == FrameType.RESET:
                before -= 1
            if before:
                self._segments_arrived(frames[:before], via)  # which confirm, as a RESET does not
                frames = frames[before:]
        stream = self._stream
        self._apply(stream.receive(frames, self.now()))
        if stream.forged_frames:
            self._forged(stream.take_forged(), self._party.id, self._number, via)
        if self._opening.state is ExitState.ACCEPTED and self._stream.heard:
            self._do(self._opening.confirmed(self.now()))

    def _other_end_reset(self, code: ResetCode) -> None:
        if self._opening.state is ExitState.ACCEPTED and code is ResetCode.CANCELLED:
            log.debug("%s: the ingress has chosen another exit", self)
        else:
            super()._other_end_reset(code)

    def _opening_deadline_reached(self, now: float) -> None:
        if now >= self._reach.due_at:
            self._go_on(ReachDue())
        if now >= self._opening.deadline():
            self._do(self._opening.timeout(now))
        else:
            self._do(())

    def __str__(self) -> str:
        """Name the key and the ingress, for logs and dumps."""
        return f"ExitConnection({self._key}, {self._name()}#{self._number})"
