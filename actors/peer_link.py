"""A link to one peer: handshake, frames in and out, pings.

Each link is an actor that owns one socket. Until the peer has proven its identity the link holds at most
what the handshake needs and lives at most ``handshake_timeout_s``; until the directory admits it, it does not
read. Frames for this agent go to the connection table, frames for others straight to the link that leads
there.
"""

import logging
from typing import Any, Final, assert_never

from actors.link_forwarding import LinkForwarding
from actors.link_output import LinkOutput
from actors.link_reports import LinkReports
from actors.link_settings import LinkRefs, LinkSettings
from actors.link_states import UNADMITTED, State
from actors.messages import acceptor as acceptor_messages
from actors.messages import connection_table as connection_table_messages
from actors.messages import dialer as dialer_messages
from actors.messages import peer_directory as directory_messages
from actors.messages import peer_link as messages
from actors.messages import route_table as route_table_messages
from actors.meters import Meters
from actors.runtime.actor import Actor
from actors.runtime.seam import Dispatcher, ListeningSocket, Ref, StreamSocket
from mesh import link_bodies
from mesh.errors import RemoteProtocolError, TrustError
from mesh.escaping import escaped
from mesh.frames import FIRST_CONNECTION_TYPE, Frame, FrameReader, FrameType, link_frame
from mesh.identity import AgentId, short_id
from mesh.link_handshake import EstablishedLink, LinkHandshake
from mesh.link_silence import next_ping_s, ping_period_s
from mesh.noise.primitives import key_pair
from mesh.token_bucket import TokenBucket

log = logging.getLogger("mesh.links")

HANDSHAKE_READ_OCTETS: Final = 16 * 1024
"""What an unauthenticated peer may make this agent look at in one read."""

MAX_CONTROL_OCTETS: Final = 32 * 1024 * 1024
"""Memory that the control lane may hold: all records of the largest mesh, and then some."""

DIGEST_RATE: Final = 1.0
DIGEST_BURST: Final = 64.0
"""Digests a second, and at once. A link starts with those of all records, 20 frames of them at the most; each
is answered with every record that it lacks."""

LEAVE_TIMEOUT_S: Final = 1.0
"""How long a link that is closed in order may take to send what is queued."""


class PeerLink(Actor[messages.Inbound]):
    """One link; the actor ends with it."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        socket: StreamSocket,
        is_dialer: bool,
        settings: LinkSettings,
        refs: LinkRefs,
        meters: Meters,
        dialer: Ref[Any] | None = None,
        acceptor: Ref[Any] | None = None,
    ) -> None:
        super().__init__(dispatcher)
        self._socket = socket
        self._is_dialer = is_dialer
        self._settings = settings
        self._refs = refs
        self._meters = meters
        self._dialer = dialer
        self._acceptor = acceptor
        self._state = State.HANDSHAKE
        self._handshake = LinkHandshake(
            initiator=is_dialer,
            identity=settings.identity,
            certificate=settings.certificate,
            instance=settings.instance,
            static=settings.static,
            ephemeral=key_pair(dispatcher.random_octets(32)),
            trust=settings.trust,
        )
        self._peer: EstablishedLink | None = None
        self._reports = LinkReports(socket, timeout_s=settings.timeout_s, is_dialer=is_dialer)
        self._reader: FrameReader | None = None
        self._output = LinkOutput(socket, budget=settings.relay_budget, mark_octets=settings.mark_octets)
        self._forwarding = LinkForwarding(self.ref, meters, settings.max_hops)
        self._own_id = settings.identity.id
        self._challenge: bytes | None = None
        self._heard_at = 0.0
        self._asked_at = 0.0
        self._rtt_s = 0.0
        self._digests = TokenBucket(DIGEST_RATE, DIGEST_BURST)
        self._records: list[link_bodies.WireRecord] = []
        """Those of the read at hand."""
        self._early: list[Frame] = []
        """Frames that came with the peer's judgement, before the admission."""
        self._reported = False
        """Whether the directory knows of this link."""
        self._ping_due_at = 0.0
        self._farewell: bytes | None = None
        self._ping_token = 0
        self._ping_sent_at: float | None = None
        """When the ping that is not answered yet was sent."""

    # -- life ------------------------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Begin the handshake."""
        self.own(self._socket)
        self._heard_at = self._asked_at = self.now()
        orphaned = messages.CloseLink("the agent starts anew")
        self.watch(self._refs.directory, orphaned)
        self.watch(self._refs.connection_table, orphaned)
        self.schedule(self._settings.handshake_timeout_s, messages.HandshakeTimedOut())
        self._socket.watch_read(True)
        opening = self._handshake.start()
        if opening:
            self._output.say(opening)
            self._flush()

    def on_receive(self, message: messages.Inbound) -> None:
        """Handle one message."""
        match message:
            case messages.SendFrames(frames=frames):
                for frame in frames:
                    self._output.push(frame)
            case messages.SendControl(frame_type=frame_type, body=body):
                self._send_own(frame_type, body)
            case messages.ForwardingChanged(links=links):
                self._forwarding.links = links
            case messages.AdmitLink():
                self._admit()
            case messages.PingDue():
                self._ping()
            case messages.ChallengePeer(nonce=nonce):
                self._challenge = nonce
                self._send_own(FrameType.CHALLENGE, link_bodies.encode_challenge(nonce))
            case messages.CloseLink(reason=reason, is_offence=is_offence, is_logged=is_logged):
                if is_offence and is_logged:
                    self._meters.links_broken += 1
                elif is_offence:
                    self._note_offence(reason)
                self._close(reason)
            case messages.LeaveTimedOut():
                self._end()
            case messages.HandshakeTimedOut():
                if self._state in UNADMITTED:
                    self._refuse(f"no handshake within {self._settings.handshake_timeout_s:g} s")
            case _:
                assert_never(message)

    def release(self) -> None:
        """Tell everybody who counts on this link that it is gone."""
        self._output.release()
        if self._acceptor is not None:
            self.tell(self._acceptor, acceptor_messages.HandshakeEnded(self.actor_urn))
        if self._peer is not None and self._reported:
            self._meters.links_lost += 1
            self.tell(self._refs.directory, directory_messages.LinkEnded(self.actor_urn, self._peer.peer_id))
        if self._dialer is not None:
            self.tell(self._dialer, dialer_messages.DialedLinkEnded(self.actor_urn, self._reports.evidence))

    def _refuse(self, why: str) -> None:
        self._meters.links_refused += 1
        if self._dialer is None:
            self._reports.refused(why)
        else:  # who redials for ever knows what it has said already
            self.tell(self._dialer, dialer_messages.DialRefused(None, self._socket.peer_name, why))
        self._end()

    def _break(self, why: str) -> None:
        self._note_offence(why)
        self._end()

    def _note_offence(self, why: str) -> None:
        self._meters.links_broken += 1
        self._reports.broken(why)

    def _lose(self, why: str) -> None:
        self._reports.lost(why)
        self._end()

    def _end(self) -> None:
        self._state = State.CLOSED
        self._socket.close()
        self.stop_now()

    def _close(self, reason: str) -> None:
        """Close in order: what is queued goes out first, then the reason."""
        match self._state:
            case State.HANDSHAKE | State.CONFIRMING:
                self._meters.links_refused += 1
                self._end()
            case State.WAITING | State.UP:
                self._state = State.LEAVING
                self._farewell = link_bodies.encode_close(reason)
                self.schedule(LEAVE_TIMEOUT_S, messages.LeaveTimedOut())
            case State.LEAVING | State.FAREWELL | State.CLOSED:
                pass

    # -- the handshake ---------------------------------------------------------------------------------------

    def _shake(self, data: bytes) -> None:
        try:
            progress = self._handshake.receive(data, self.dispatcher.unix_time())
        except TrustError as error:
            self._refuse(f"peer not trusted: {error}")
            return
        except RemoteProtocolError as error:
            self._refuse(str(error))
            return
        if progress.to_send:
            self._output.say(progress.to_send)
            self._rtt_s, self._asked_at = self.now() - self._asked_at, self.now()
        if progress.met_itself:
            self._meet_itself()
        elif progress.established is not None:
            self._establish(progress.established)

    def _meet_itself(self) -> None:
        self._reports.met_itself()
        if self._dialer is not None:
            self.tell(self._dialer, dialer_messages.MetItself())
            self._flush()  # so that the accepting side recognises itself too
        self._end()

    def _establish(self, peer: EstablishedLink) -> None:
        self._peer = peer
        self._reports.peer_name = peer.peer.name
        self._output.seal_with(peer.send_key)
        self._reader = FrameReader(peer.receive_key)
        self._heard_at = self.now()
        if self._is_dialer:
            self._state = State.CONFIRMING
            if peer.surplus:
                self._confirmed(memoryview(peer.surplus))
        else:
            self._rtt_s = self.now() - self._asked_at
            self._ask_for_admission(peer)

    def _confirmed(self, data: memoryview) -> None:
        """The peer's first frames: it has judged this agent."""
        frames = self._read_frames(data)
        if not frames or self._peer is None:
            return
        if frames[0].type == FrameType.CLOSE:
            self._turned_away(self._peer, frames[0])
            return
        self._early = frames
        self._ask_for_admission(self._peer)

    def _turned_away(self, peer: EstablishedLink, close: Frame) -> None:
        try:
            reason = link_bodies.decode_close(close.body)
        except RemoteProtocolError as error:
            self._refuse(str(error))
            return
        if self._dialer is None:
            raise AssertionError("only who has dialed waits to be judged")
        self._meters.links_refused += 1
        self.tell(
            self._refs.directory,
            directory_messages.LinkTurnedAway(
                peer.peer_id, self._reports.peer_name, self._socket.peer_name, reason, self._dialer
            ),
        )
        self._end()

    def _ask_for_admission(self, peer: EstablishedLink) -> None:
        self._state = State.WAITING
        self._reported = True
        self._socket.watch_read(False)  # what arrives before the admission waits in the kernel
        if self._acceptor is not None:
            self.tell(self._acceptor, acceptor_messages.HandshakeEnded(self.actor_urn))
            self._acceptor = None
        self.tell(
            self._refs.directory,
            directory_messages.LinkEstablished(
                link=self.ref,
                peer_id=peer.peer_id,
                peer_instance=peer.peer_instance,
                peer_name=peer.peer.name,
                address=self._socket.peer_name,
                is_dialer=self._is_dialer,
                rtt_s=self._rtt_s,
                dialer=self._dialer,
            ),
        )

    def _admit(self) -> None:
        if self._state is not State.WAITING or self._peer is None:
            return
        self._state = State.UP
        self._heard_at = self.now()
        self._ping_due_at = self.now()
        self._ping()
        self._socket.watch_read(True)
        early, self._early = self._early, []
        self._dispatch(early)
        if self._peer.surplus and not self._is_dialer:
            self._dispatch(self._read_frames(memoryview(self._peer.surplus)))

    # -- liveness --------------------------------------------------------------------------------------------

    def _ping(self) -> None:
        if self._state is not State.UP:
            return
        now = self.now()
        timeout_s = self._settings.timeout_s
        late = now - self._ping_due_at > ping_period_s(timeout_s)
        # Where this timer itself is late, this process stood still, and what the peer sent waits unread.
        if not late and self._is_dead(now):
            return
        took_at = self._output.took_at if self._output.is_blocked else now
        wait_s = next_ping_s(timeout_s, now - min(self._heard_at, took_at))
        self._ping_due_at = now + wait_s
        self._ping_token += 1
        self._ping_sent_at = now
        self._send_own(FrameType.PING, link_bodies.encode_ping(self._ping_token))
        self.schedule(wait_s, messages.PingDue())

    def _is_dead(self, now: float) -> bool:
        """Judge the peer's silence and its certificate; whether the link has ended for them."""
        if now - self._heard_at >= self._settings.timeout_s:
            self._lose(f"silent for {now - self._heard_at:.1f} s")
        elif self._output.is_blocked and now - self._output.took_at >= self._settings.timeout_s:
            self._lose(f"the peer has taken nothing for {now - self._output.took_at:.1f} s")
        elif self._peer is not None and self.dispatcher.unix_time() >= self._peer.peer.not_after:
            log.warning("the certificate of %s has expired", escaped(self._reports.peer_name))
            self._close("certificate expired")
        return self._state is not State.UP

    def _measure(self, token: int) -> None:
        if token == self._ping_token and self._ping_sent_at is not None and self._peer is not None:
            rtt_s, self._ping_sent_at = self.now() - self._ping_sent_at, None
            self._output.follow_round_trip(rtt_s)
            measured = directory_messages.LinkMeasured(self.actor_urn, self._peer.peer_id, rtt_s)
            self.tell(self._refs.directory, measured)

    # -- receiving -------------------------------------------------------------------------------------------

    def on_readable(self, socket: StreamSocket | ListeningSocket) -> None:
        """Take what has arrived."""
        buffer = self._dispatcher.read_buffer
        if self._state is State.HANDSHAKE:
            buffer = buffer[:HANDSHAKE_READ_OCTETS]
        try:
            count = self._socket.recv_into(buffer)
        except BlockingIOError:
            return
        except OSError as error:
            self._disconnected(error.strerror or str(error))
            return
        if count == 0:
            self._disconnected("the peer closed the connection")
            return
        data = buffer[:count]
        match self._state:
            case State.UP | State.LEAVING | State.WAITING:
                self._dispatch(self._read_frames(data))
            case State.HANDSHAKE:
                self._shake(bytes(data))
            case State.CONFIRMING:
                self._confirmed(data)
            case State.FAREWELL | State.CLOSED:
                pass  # closing with octets unread would reset the connection, and the farewell with it

    def _disconnected(self, why: str) -> None:
        match self._state:
            case State.HANDSHAKE:
                try:
                    self._handshake.end_of_stream()
                except RemoteProtocolError as error:
                    self._refuse(str(error))
            case State.CONFIRMING:
                self._refuse(f"{why} right after the handshake; it may not trust this agent's certificate")
            case State.FAREWELL | State.CLOSED:
                self._end()
            case State.WAITING | State.UP | State.LEAVING:
                self._lose(why)

    def _read_frames(self, data: memoryview) -> list[Frame]:
        self._heard_at = self.now()
        if self._reader is None:
            raise AssertionError("frames are read after the handshake")
        try:
            return self._reader.feed(data)
        except RemoteProtocolError as error:
            self._break(str(error))
            return []

    def _dispatch(self, frames: list[Frame]) -> None:
        """Hand each receiver one message with all its frames of this read, in order."""
        local: list[Frame] = []
        transit: dict[AgentId, list[Frame]] = {}
        for frame in frames:
            if frame.type < FIRST_CONNECTION_TYPE:
                try:
                    self._handle_own(frame)
                except RemoteProtocolError as error:
                    self._break(str(error))
                    return
            elif frame.destination == self._own_id:
                local.append(frame)
            elif frame.destination in transit:
                transit[frame.destination].append(frame)
            else:
                transit[frame.destination] = [frame]
        if local:
            self.tell(self._refs.connection_table, connection_table_messages.FramesArrived(tuple(local)))
        for destination, passing in transit.items():
            self._pass_on(destination, passing)
        if self._records:
            self._pass_on_records()

    def _pass_on_records(self) -> None:
        records, self._records = tuple(self._records), []
        if records and self._peer is not None:
            arrived = route_table_messages.RecordsArrived(self._peer.peer_id, records)
            self.tell(self._refs.route_table, arrived)

    def _pass_on(self, destination: AgentId, frames: list[Frame]) -> None:
        onward = self._forwarding.onward(destination, frames)
        if onward is not None:
            self.tell(*onward)

    def _handle_own(self, frame: Frame) -> None:
        if self._peer is None or self._state is State.CLOSED:
            return
        peer_id = self._peer.peer_id
        match frame.type:
            case FrameType.PING:
                self._send_own(FrameType.PONG, link_bodies.encode_pong(link_bodies.decode_ping(frame.body)))
            case FrameType.PONG:
                self._measure(link_bodies.decode_pong(frame.body))
            case FrameType.RECORDS:
                self._records += link_bodies.decode_records(frame.body)
            case FrameType.DIGEST:
                if not self._digests.take(self.now()):
                    raise RemoteProtocolError("more digests than a link ever needs")
                digest = link_bodies.decode_digest(frame.body)
                self._pass_on_records()
                self.tell(self._refs.route_table, route_table_messages.DigestArrived(peer_id, digest))
            case FrameType.CHALLENGE:
                nonce = link_bodies.decode_challenge(frame.body)
                self._send_own(FrameType.CHALLENGE_ANSWER, link_bodies.encode_challenge(nonce))
                self.tell(self._refs.directory, directory_messages.ChallengeArrived(peer_id))
            case FrameType.CHALLENGE_ANSWER:
                if link_bodies.decode_challenge(frame.body) == self._challenge:
                    self._challenge = None
                    answered = directory_messages.PeerAnswered(self.actor_urn, peer_id)
                    self.tell(self._refs.directory, answered)
            case FrameType.CLOSE:
                self._lose(f"the peer closed it: {escaped(link_bodies.decode_close(frame.body))}")

    # -- sending ---------------------------------------------------------------------------------------------

    def _send_own(self, frame_type: FrameType, body: bytes) -> None:
        self._output.push(link_frame(frame_type, body))
        if self._output.control_octets > MAX_CONTROL_OCTETS and self._state is State.UP:
            self._break("the peer asks for more than it reads")

    def on_turn_over(self) -> None:
        """Send what this turn has queued: one gathered write for all its messages."""
        output = self._output
        if output.is_blocked:
            return
        if output.unsent_octets or output.queue.frames or self._farewell is not None:
            self._flush()

    def on_writable(self, socket: StreamSocket | ListeningSocket) -> None:
        """Go on sending."""
        self._flush()

    def _flush(self) -> None:
        if self._state in (State.FAREWELL, State.CLOSED):
            return  # what comes now comes too late
        try:
            everything = self._output.flush(self.now())
            if everything and self._farewell is not None:
                self._output.push(link_frame(FrameType.CLOSE, self._farewell))
                self._farewell = None
                everything = self._output.flush(self.now())
        except OSError as error:
            self._disconnected(error.strerror or str(error))
            return
        if everything and self._state is State.LEAVING:
            self._state = State.FAREWELL
            self._socket.shutdown_write()
            self._socket.watch_read(True)

    def __str__(self) -> str:
        """Name the peer, for logs and dumps."""
        name = self._reports.peer_name
        peer = f"{name} {short_id(self._peer.peer_id)}" if self._peer else "unauthenticated"
        return f"PeerLink({peer}, {self._state.value})"
