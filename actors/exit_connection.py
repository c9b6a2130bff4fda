"""The exit end of a connection: the ingress that asked on one side, the target on the other.

It judges the OPEN, connects to the target and only then accepts. Until the ingress's first sealed frame the
connection is provisional: an exit that was not chosen, or whose OPEN was replayed, goes away by itself.
"""

import errno
import logging
from collections.abc import Mapping
from math import inf
from typing import Any, Final, assert_never

from actors.connection_end import CONNECTION_SOCKET_OPTIONS, ConnectionEnd, ConnectionSettings
from actors.messages import connection as messages
from actors.messages import connection_table as table_messages
from actors.messages import endpoint as endpoint_messages
from actors.meters import Meters
from actors.runtime.seam import (
    Attempt,
    Connected,
    ConnectFailed,
    Dispatcher,
    NamesResolved,
    Ref,
    StreamSocket,
)
from mesh.addresses import SocketAddress, UnixAddress
from mesh.errors import AuthenticationError, RemoteProtocolError
from mesh.escaping import escaped, named
from mesh.frames import Frame, FrameType
from mesh.records import Record
from mesh.repeating import repeat_delay_s
from mesh.session import MAX_REASON_CHARACTERS, OpenReply, Party, SessionResponder
from mesh.stream import INITIAL_WINDOW_OCTETS, ResetCode

log = logging.getLogger("mesh.connections")

NEXT_ADDRESS_AFTER_S: Final = 0.25
"""Silence after which the next address is tried beside the silent one: RFC 8305 section 5."""

ENDPOINT_TIMEOUT_S: Final = 0.25
"""Silence of the endpoint after which this end looks whether it lives, and again: one that has crashed over
the question answers no more, one that has much to do is only late."""

REJECT_LINGER_S: Final = 1.0
"""How long a rejection is kept to be repeated: the ingress repeats its OPEN within this time."""

_REFUSAL_CODES: Final = {
    errno.ECONNREFUSED: "refused",
    errno.ENOENT: "refused",
    errno.ETIMEDOUT: "timed-out",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.EMFILE: "at-capacity",
    errno.ENFILE: "at-capacity",
}


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
        self._responder: SessionResponder | None = None
        self._reply: Frame | None = None
        """The stored answer, repeated octet for octet."""
        self._addresses: list[SocketAddress] = []
        self._token = 0
        self._connecting: dict[int, Attempt] = {}
        """Look-ups and connects under way, by token."""
        self._failure = ("unreachable", "the target has no address")
        self._open_by = inf
        """When the target must have answered, and then the ingress have confirmed."""
        self._admitted_by = inf
        """When to look whether the endpoint, which has yet to let this connection in, still lives."""
        self._next_address_at = inf
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
        except (AuthenticationError, RemoteProtocolError) as error:
            self._meters.frames_forged += 1
            log.debug("OPEN from %s dropped: %s", self._name(), error)
            self.stop_now()
            return
        party = self._party
        self.tell(self._table, table_messages.OpenAuthenticated(party.id, party.instance, self._number))
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

    def on_receive(self, message: messages.ExitInbound) -> None:
        """Handle one message."""
        match message:
            case messages.SegmentsArrived(frames=frames):
                self._segments_arrived(frames)
            case messages.TargetGranted(target=target):
                self._granted(target)
            case messages.TargetDenied(code=code, reason=reason):
                self._admitted_by = inf
                self._endpoint = None
                self._reject(code, reason)
            case NamesResolved(token=token, addresses=addresses, reason=reason):
                if self._connecting.pop(token, None) is not None:
                    self._addresses = list(addresses)
                    if not addresses:
                        self._failure = ("unresolved", reason)
                    self._connect_next()
            case Connected(token=token, socket=socket):
                self._connected(token, socket)
            case ConnectFailed(token=token, error_number=number, reason=reason):
                if self._connecting.pop(token, None) is not None:
                    if self._failure[0] != "refused":  # of several addresses that says the most
                        self._failure = (_REFUSAL_CODES.get(number, "unreachable"), reason)
                    self._connect_next()
            case messages.CloseConnection(reason=reason):
                self._reject("unavailable", reason)
                self._lose(reason)
            case messages.PathChanged() | messages.PeerRestarted() | messages.DeadlineReached():
                self._common(message)
            case _:
                assert_never(message)

    def release(self) -> None:
        """Free the number, and the endpoint's place."""
        self._cancel_connecting()
        self._leave_endpoint()
        self._forget(self._party.id, self._number, is_exit=True)
        super().release()

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
        if isinstance(target, UnixAddress):
            self._addresses = [target]
            self._connect_next()
        else:
            self._token += 1
            attempt = self.dispatcher.resolve(self.ref, target.host, target.port, self._token)
            self._connecting[self._token] = attempt

    def _connect_next(self) -> None:
        """Try the next address; with none left and none under way, say why it failed."""
        if self._addresses:
            self._token += 1
            attempt = self.dispatcher.connect(
                self.ref, self._addresses.pop(0), self._token, CONNECTION_SOCKET_OPTIONS
            )
            self._connecting[self._token] = attempt
            self._next_address_at = self.now() + NEXT_ADDRESS_AFTER_S if self._addresses else inf
            self._plan_opening()
        elif not self._connecting:
            code, reason = self._failure
            self._reject(code, reason)

    def _cancel_connecting(self) -> None:
        for attempt in self._connecting.values():
            attempt.cancel()
        self._connecting.clear()
        self._addresses.clear()

    def _connected(self, token: int, socket: StreamSocket) -> None:
        wanted = self._connecting.pop(token, None) is not None
        if not wanted or self._reply is not None or self._responder is None:
            socket.close()
            return
        self._cancel_connecting()
        self.own(socket)
        self._socket = socket
        reply = OpenReply(accepted=True, credit=INITIAL_WINDOW_OCTETS)
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
        log.info("rejected %s for %s: %s: %s", escaped(self._key), self._name(), code, escaped(reason))
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
        self._opening_due = min(
            self._open_by, self._admitted_by, self._next_address_at, self._repeat_at, self._linger_until
        )
        self._arm()

    def _opening_deadline_reached(self, now: float) -> None:
        if now >= self._linger_until:
            self.stop_now()
            return
        if now >= self._admitted_by:
            self._endpoint_silent(now)
        if now >= self._next_address_at:
            self._next_address_at = inf
            if self._addresses:
                self._connect_next()
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
            self._failure = ("timed-out", f"no answer from the target in {self._settings.open_timeout_s:g} s")
            self._cancel_connecting()
            self._connect_next()
        else:
            self._lose("the ingress did not confirm the connection")

    def _name(self) -> str:
        return named(self._record.name, self._party.id)

    def __str__(self) -> str:
        """Name the key and the ingress, for logs and dumps."""
        return f"ExitConnection({self._key}, {self._name()}#{self._number})"
