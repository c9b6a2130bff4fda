"""The exit end of a connection: the ingress that asked on one side, the target on the other.

It judges the OPEN, connects to the target and only then accepts. Until the ingress's first sealed frame the
connection is provisional: an exit that was not chosen, or whose OPEN was replayed, goes away by itself.
"""

import logging
from collections.abc import Mapping
from math import inf
from types import MappingProxyType
from typing import Any, Final, assert_never

from actors.connection_end import ConnectionEnd
from actors.connection_settings import CONNECTION_SOCKET_OPTIONS, ConnectionSettings
from actors.messages import connection as messages
from actors.messages import connection_table as table_messages
from actors.messages import endpoint as endpoint_messages
from actors.meters import Meters
from actors.reaching import Contact, Reach, ReachDue, Report
from actors.runtime.seam import (
    Connected,
    ConnectFailed,
    Dispatcher,
    NamesResolved,
    Ref,
    StreamSocket,
)
from mesh.addresses import SocketAddress
from mesh.errors import AuthenticationError, RemoteProtocolError
from mesh.escaping import escaped, named
from mesh.frames import Frame, FrameType
from mesh.loops import socket_tag
from mesh.reaching import Failure, Kind
from mesh.records import Record
from mesh.repeating import repeat_delay_s
from mesh.sampling import sampled
from mesh.session import (
    MAX_REASON_CHARACTERS,
    MalformedRequestError,
    OpenReply,
    Party,
    SessionResponder,
)
from mesh.stream import INITIAL_WINDOW_OCTETS, ResetCode

log = logging.getLogger("mesh.connections")

ENDPOINT_TIMEOUT_S: Final = 0.25
"""Silence of the endpoint after which this end looks whether it lives, and again: one that has crashed over
the question answers no more, one that has much to do is only late."""

REJECT_LINGER_S: Final = 1.0
"""How long a rejection is kept to be repeated: the ingress repeats its OPEN within this time."""

_REFUSAL_CODES: Final = MappingProxyType(
    {
        Kind.OWN_LIMIT: "at-capacity",
        Kind.REFUSED: "refused",
        Kind.SILENT: "timed-out",
        Kind.UNREACHABLE: "unreachable",
        Kind.EXCLUDED: "unreachable",
        Kind.UNRESOLVED: "unresolved",
    }
)


class ExitConnection(ConnectionEnd[messages.ExitInbound]):
    """Serves one OPEN."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        open_frame: Frame,
        party: Party,
        record: Record,
        link: Ref[Any],
        endpoints: Mapping[str, Ref[Any]],
        table: Ref[Any],
        settings: ConnectionSettings,
        meters: Meters,
    ) -> None:
        super().__init__(dispatcher, table=table, settings=settings, meters=meters)
        self._open_frame: Frame | None = open_frame
        self._party = party
        self._record = record
        self._remote = party.id
        self._link = link
        self._endpoints = endpoints
        self._number = open_frame.connection
        self._key = ""
        self._credit = 0
        self._endpoint: Ref[Any] | None = None
        self._tells_of_closing = False
        """Whether the endpoint waits to hear that an end has finished: others may want this place."""
        self._responder: SessionResponder | None = None
        self._reply: Frame | None = None
        """The stored answer, repeated octet for octet."""
        self._reach: Reach | None = None
        """While the target is being reached."""
        self._open_by = inf
        """When the target must have answered, and then the ingress have confirmed."""
        self._admitted_by = inf
        """When to look whether the endpoint, which has yet to let this connection in, still lives."""
        self._repeats = 0
        self._repeat_at = inf
        self._linger_until = inf

    def on_start(self) -> None:
        """Judge the OPEN."""
        if self._open_frame is None:
            return
        self._open_by = self.now() + self._settings.open_timeout_s
        self._responder = SessionResponder(
            local=self._settings.party,
            remote=self._party,
            connection=self._number,
            static=self._settings.static,
            ephemeral=self._settings.ephemerals.take(),
            max_hops=self._settings.max_hops,
            shared=self._settings.shared,
        )
        try:
            request = self._responder.read_open(self._open_frame)
        except MalformedRequestError as error:
            self._authenticated()
            self._reject("malformed", str(error))
            return
        except (AuthenticationError, RemoteProtocolError) as error:
            self._meters.frames_forged += 1
            log.debug("OPEN from %s dropped: %s", self._name(), error)
            self.stop_now()
            return
        self._authenticated()
        self._key, self._credit = request.routing_key, request.credit
        endpoint = self._endpoints.get(self._key)
        if not self._record.certificate.allows_use(self._key):
            self._reject("not-permitted", "the ingress's certificate does not permit the use of this key")
        elif endpoint is None:
            self._reject("unknown-key", "no endpoint has this key here")
        else:
            self._endpoint = endpoint
            if self.tell(endpoint, endpoint_messages.AdmitConnection(self.ref)):
                self._admitted_by = self.now() + ENDPOINT_TIMEOUT_S
                self._plan_opening()
            else:
                self._endpoint_gone()

    def _authenticated(self) -> None:
        """Count the number as used."""
        party = self._party
        self.tell(self._table, table_messages.OpenAuthenticated(party.id, party.instance, self._number))

    def on_receive(self, message: messages.ExitInbound) -> None:
        """Handle one message."""
        match message:
            case messages.SegmentsArrived(frames=frames):
                self._segments_arrived(frames)
            case messages.TargetGranted(target=target, is_counted=is_counted):
                self._tells_of_closing = is_counted
                self._granted(target)
            case messages.TargetDenied(code=code, reason=reason):
                self._admitted_by = inf
                self._endpoint = None
                self._reject(code, reason)
            case NamesResolved() | Connected() | ConnectFailed():
                self._go_on(message)
            case messages.CloseConnection(reason=reason):
                self._reject("unavailable", reason)
                self._lose(reason)
            case messages.PathChanged() | messages.PeerRestarted() | messages.DeadlineReached():
                self._common(message)
            case _:
                assert_never(message)

    def release(self) -> None:
        """Free the number, and the endpoint's place."""
        self._end_reaching()
        self._leave_endpoint()
        self._forget(self._party.id, self._number, is_exit=True)
        super().release()

    def _settle(self) -> None:
        super()._settle()
        is_closing = self._at_end or self._peer_finished or self._peer_reset is not None
        if self._tells_of_closing and is_closing and self._endpoint is not None:
            self._tells_of_closing = False
            self.tell(self._endpoint, endpoint_messages.ConnectionClosing(self.actor_urn))

    def _socket_gone(self, socket: StreamSocket) -> None:
        self._settings.loops.exit_closed(socket.local_name, socket.peer_name)
        self._leave_endpoint()  # at once: the target is free for others while the ends still say goodbye

    def _leave_endpoint(self) -> None:
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is not None:
            self.tell(endpoint, endpoint_messages.ConnectionLeft(self.actor_urn))

    # -- the target ------------------------------------------------------------------------------------------

    def _endpoint_silent(self, now: float) -> None:
        if self._endpoint is not None and self._endpoint.is_alive():
            self._admitted_by = now + ENDPOINT_TIMEOUT_S
        else:
            self._endpoint_gone()

    def _endpoint_gone(self) -> None:
        self._reject("restarting", "the endpoint is being started again")

    def _granted(self, target: SocketAddress) -> None:
        self._admitted_by = inf
        if self._reply is not None:
            return
        self._reach = Reach(self.dispatcher, self.ref, CONNECTION_SOCKET_OPTIONS, timed=False)
        self._reach.begin(target, self._open_by - self.now())
        self._plan_opening()

    def _go_on(self, report: Report) -> None:
        """Go on reaching the target; what comes too late is let go."""
        if self._reach is None:
            if isinstance(report, Connected):
                report.let_go()
            return
        match self._reach.take(report):
            case None:
                self._plan_opening()
            case Contact(socket=socket):
                self._reach = None
                self._connected(socket)
            case Failure(kind=kind, reason=reason):
                self._reach = None
                self._reject(_REFUSAL_CODES[kind], reason)

    def _end_reaching(self) -> None:
        reach, self._reach = self._reach, None
        if reach is not None:
            reach.cancel()

    def _connected(self, socket: StreamSocket) -> None:
        if self._reply is not None or self._responder is None:
            socket.close()
            return
        self.own(socket)
        self._socket = socket
        tag = b""
        if not socket.peer_name.startswith("unix:"):  # a listener has a TCP port
            self._settings.loops.exit_opened(socket.local_name, socket.peer_name)
            tag = socket_tag(self._party.instance, socket.local_name, socket.peer_name)
        reply = OpenReply(accepted=True, credit=INITIAL_WINDOW_OCTETS, socket_tag=tag)
        self._reply, session = self._responder.reply(reply)
        if session is None:
            raise AssertionError("an accepting reply makes a session")
        self._meters.opens_answered += 1
        self._send((self._reply,))
        self._start_stream(session, self._party.id, self._link, self._credit)
        self._repeat_at = self.now() + repeat_delay_s(0)
        self._open_by = self.now() + self._settings.open_timeout_s
        self._plan_opening()

    def _reject(self, code: str, reason: str) -> None:
        """Answer no, and stay for a moment to answer it again."""
        if self._reply is not None or self._responder is None:
            return
        self._leave_endpoint()  # at once: what lingers takes no place at the target
        self._end_reaching()
        what = escaped(self._key) or "an OPEN"  # whose key could not be read
        log.info(
            "rejected %s for %s: %s: %s",
            what,
            self._name(),
            code,
            escaped(reason),
            extra=sampled(self._name()),
        )
        self._meters.opens_rejected += 1
        self._reply, _ = self._responder.reply(
            OpenReply(accepted=False, code=code, reason=reason[:MAX_REASON_CHARACTERS])
        )
        self._send((self._reply,))
        self._settled()
        self._open_by = self._admitted_by = inf
        self._linger_until = self.now() + REJECT_LINGER_S
        self._plan_opening()

    # -- provisional -----------------------------------------------------------------------------------------

    def _segments_arrived(self, frames: tuple[Frame, ...]) -> None:
        if frames[0].type == FrameType.OPEN:
            if (
                self._open_frame is not None
                and frames[0].body == self._open_frame.body
                and self._reply is not None
            ):
                self._send((self._reply,))
            frames = tuple(frame for frame in frames if frame.type != FrameType.OPEN)
        if self._stream is None or not frames:
            return
        self._receive(frames)
        if self._reply is not None and self._stream.heard:
            self._confirmed()

    def _confirmed(self) -> None:
        """The ingress has chosen this exit, and has its answer: that need not be repeated any more."""
        self._open_frame = self._reply = self._responder = None
        self._open_by = self._repeat_at = inf
        self._settled()
        self._settings.ephemerals.refill()  # the target has what came with this and is about to answer
        self._plan_opening()

    def _other_end_reset(self, code: ResetCode) -> None:
        if self._reply is not None and code is ResetCode.CANCELLED:
            log.debug("%s: the ingress has chosen another exit", self)
        else:
            super()._other_end_reset(code)

    def _settled(self) -> None:
        self.tell(self._table, table_messages.PendingOpenSettled(self._party.id, self._number))

    def _plan_opening(self) -> None:
        reach_at = inf if self._reach is None else self._reach.due_at
        self._opening_due = min(
            self._open_by, self._admitted_by, reach_at, self._repeat_at, self._linger_until
        )
        self._arm()

    def _opening_deadline_reached(self, now: float) -> None:
        if now >= self._linger_until:
            self.stop_now()
            return
        if now >= self._admitted_by:
            self._endpoint_silent(now)
        if self._reach is not None and now >= self._reach.due_at:
            self._go_on(ReachDue())
        if now >= self._repeat_at and self._reply is not None:
            self._repeats += 1
            self._repeat_at = now + repeat_delay_s(self._repeats)
            self._send((self._reply,))
        if now >= self._open_by:
            self._open_by = inf
            self._open_timed_out()
        self._plan_opening()

    def _open_timed_out(self) -> None:
        if self._reply is None:
            self._reject("timed-out", f"no answer from the endpoint in {self._settings.open_timeout_s:g} s")
        else:
            self._lose("the ingress did not confirm the connection")

    def _name(self) -> str:
        return named(self._record.name, self._party.id)

    def __str__(self) -> str:
        """Name the key and the ingress, for logs and dumps."""
        return f"ExitConnection({self._key}, {self._name()}#{self._number})"
