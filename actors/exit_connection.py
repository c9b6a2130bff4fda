"""The exit end of a connection: the ingress that asked on one side, the target on the other.

It judges the OPEN, connects to the target and only then accepts. Until the ingress's first sealed frame the
connection is provisional: an exit that was not chosen, or whose OPEN was replayed, goes away by itself.
"""

import errno
import logging
from collections.abc import Mapping
from typing import Any, Final, assert_never

from actors.connection_end import CONNECTION_SOCKET_OPTIONS, ConnectionEnd, ConnectionSettings, repeat_delay_s
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
    Timer,
)
from mesh.addresses import SocketAddress, UnixAddress
from mesh.errors import AuthenticationError, RemoteProtocolError
from mesh.escaping import escaped
from mesh.frames import Frame, FrameType
from mesh.identity import short_id
from mesh.noise.primitives import key_pair
from mesh.records import Record
from mesh.session import MAX_REASON_CHARACTERS, OpenReply, Party, SessionResponder
from mesh.stream import INITIAL_WINDOW_OCTETS

log = logging.getLogger("mesh.connections")

NEXT_ADDRESS_AFTER_S: Final = 0.25
"""Silence after which the next address is tried beside the silent one: RFC 8305 section 5."""

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
        self._open_frame = open_frame
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
        self._opening_timer: Timer | None = None
        self._failure = ("unreachable", "the target has no address")
        self._confirmed = False
        self._confirm_by = 0.0

    def on_start(self) -> None:
        """Judge the OPEN."""
        self._opening_timer = self.schedule(self._settings.open_timeout_s, messages.OpenTimedOut())
        self._responder = SessionResponder(
            local=self._settings.party,
            remote=self._party,
            connection=self._number,
            static=self._settings.static,
            ephemeral=key_pair(self.dispatcher.random_octets(32)),
            max_hops=self._settings.max_hops,
            shared=self._settings.shared,
        )
        try:
            request = self._responder.read_open(self._open_frame)
        except (AuthenticationError, RemoteProtocolError) as error:
            self._meters.frames_forged += 1
            log.debug("OPEN from %s dropped: %s", short_id(self._party.id), error)
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
            if not self.tell(endpoint, endpoint_messages.AdmitConnection(self.ref)):
                self._endpoint = None
                self._reject("unavailable", "the endpoint is not running")

    def on_receive(self, message: messages.ExitInbound) -> None:
        """Handle one message."""
        match message:
            case messages.SegmentsArrived(frames=frames):
                self._segments_arrived(frames)
            case messages.TargetGranted(target=target):
                self._granted(target)
            case messages.TargetDenied(code=code, reason=reason):
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
            case messages.NextAddressDue(token=token):
                if token in self._connecting and self._addresses:
                    self._connect_next()
            case messages.RejectLingered():
                self.stop_now()
            case messages.CloseConnection():
                self._reject("unavailable", "the agent is leaving")
                self._lose("closed")
            case messages.RepeatDue(repeats=repeats):
                self._repeat(repeats)
            case messages.OpenTimedOut():
                self._open_timed_out()
            case (
                messages.PathChanged()
                | messages.PeerRestarted()
                | messages.StreamTimerFired()
                | messages.HangUpPollDue()
                | messages.PathTimedOut()
                | messages.DrainTimedOut()
            ):
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

    def _granted(self, target: SocketAddress) -> None:
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
            if self._addresses:
                self.schedule(NEXT_ADDRESS_AFTER_S, messages.NextAddressDue(self._token))
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
        if self._opening_timer is not None:
            self._opening_timer.cancel()
        self.own(socket)
        self._socket = socket
        reply = OpenReply(accepted=True, credit=INITIAL_WINDOW_OCTETS)
        self._reply, session = self._responder.reply(reply)
        if session is None:
            raise AssertionError("an accepting reply makes a session")
        self._meters.opens_answered += 1
        self._send((self._reply,))
        self._start_stream(session, self._party.id, self._link, self._credit)
        self.schedule(repeat_delay_s(0), messages.RepeatDue(self._number, 0))
        self._confirm_by = self.now() + self._settings.open_timeout_s
        self.schedule(self._settings.open_timeout_s, messages.OpenTimedOut())

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
        self.schedule(REJECT_LINGER_S, messages.RejectLingered())

    # -- provisional -----------------------------------------------------------------------------------------

    def _segments_arrived(self, frames: tuple[Frame, ...]) -> None:
        if frames[0].type == FrameType.OPEN:
            if frames[0].body == self._open_frame.body and self._reply is not None:
                self._send((self._reply,))
            frames = tuple(frame for frame in frames if frame.type != FrameType.OPEN)
        if self._stream is None or not frames:
            return
        self._receive(frames)
        if not self._confirmed and self._stream.heard:
            self._confirmed = True
            self._settled()

    def _settled(self) -> None:
        self.tell(self._table, table_messages.PendingOpenSettled(self._party.id, self._number))

    def _repeat(self, repeats: int) -> None:
        if self._confirmed or self._reply is None:
            return
        self._send((self._reply,))
        self.schedule(repeat_delay_s(repeats + 1), messages.RepeatDue(self._number, repeats + 1))

    def _open_timed_out(self) -> None:
        if self._reply is None:
            self._failure = ("timed-out", f"no answer from the target in {self._settings.open_timeout_s:g} s")
            self._cancel_connecting()
            self._connect_next()
        elif self._stream is not None and not self._confirmed and self.now() >= self._confirm_by:
            self._lose("the ingress did not confirm the connection")

    def _name(self) -> str:
        return f"{escaped(self._record.name)} {short_id(self._party.id)}"

    def __str__(self) -> str:
        """Name the key and the ingress, for logs and dumps."""
        return f"ExitConnection({self._key}, {short_id(self._party.id)}#{self._number})"
