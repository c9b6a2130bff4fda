"""A link to one peer: handshake, frames in and out, pings.

Each link is an actor that owns one socket. :class:`mesh.link.link.Link` decides what it does; the actor reads
and writes: it tells the connection table of frames for this agent, of others the link that leads there.
"""

import contextlib
import logging
from typing import Final, assert_never

from mypy_extensions import mypyc_attr

from actors.links.forwarding import LinkForwarding
from actors.links.output import LinkOutput
from actors.links.peer_news import told_to_routes
from actors.links.reports import LinkReports
from actors.links.settings import LinkRefs, LinkSettings
from actors.messages import acceptor as acceptor_messages
from actors.messages import connection_table as connection_table_messages
from actors.messages import dialer as dialer_messages
from actors.messages import peer_directory as directory_messages
from actors.messages import peer_link as messages
from actors.meters import Meters
from actors.runtime.actor import Actor
from actors.runtime.seam import Dispatcher, ListeningSocket, Ref, StreamSocket
from mesh.alarms import THIS_AGENT, AlarmKind
from mesh.escaping import escaped
from mesh.link import effects
from mesh.link.carried import Deliver, PassOn
from mesh.link.established import EstablishedLink
from mesh.link.frames import FrameType, link_frame
from mesh.link.futile import Payer
from mesh.link.link import Link
from mesh.link.states import PARTING, SILENT, LinkState
from mesh.trust.identity import AgentId, short_id
from mesh.trust.naming import named

log = logging.getLogger("mesh.links")

HANDSHAKE_READ_BYTES: Final = 16 * 1024
"""What an unauthenticated peer may make this agent look at in one read."""

MAX_CONTROL_BYTES: Final = 32 * 1024 * 1024
"""Memory that the control lane may hold: all records of the largest mesh, and then some."""


@mypyc_attr(allow_interpreted_subclasses=True)  # simulations have some
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
        dialer: Ref[dialer_messages.Inbound] | None,
        acceptor: Ref[acceptor_messages.Inbound] | None,
        expected: AgentId | None,
        ticket: bytes,
        received: bytes,
        paid_by: Payer,
    ) -> None:
        super().__init__(dispatcher)
        self._socket = socket
        self._is_dialer = is_dialer
        self._settings = settings
        self._refs = refs
        self._meters = meters
        self._dialer = dialer
        self._acceptor = acceptor
        self._paid_by = paid_by
        timeout_s = settings.config.connections.timeout_s
        self._reports = LinkReports(socket, timeout_s=timeout_s, is_dialer=is_dialer)
        self._link = Link(
            is_dialer=is_dialer,
            handshake=settings.handshake(is_dialer=is_dialer, expected=expected, ticket=ticket),
            own_id=settings.identity.id,
            timeout_s=timeout_s,
            now=self.now(),
            digests=settings.budgets.digests,
            key_source=settings.key_source,
        )
        self._output = LinkOutput(
            socket, budget=settings.relay_budget, mark_bytes=settings.mark_bytes, own_id=settings.identity.id
        )
        self._forwarding = LinkForwarding(
            self.ref, meters, settings.config.routing.max_hops, self.now, settings.budgets
        )
        self._received = received
        """What the acceptor has read of the handshake."""
        self._is_reported = False
        """Whether the directory knows of this link."""

    def on_start(self) -> None:
        """Begin the handshake."""
        self.own(self._socket)
        orphaned = messages.CloseLink("the agent starts anew, or leaves in disorder")
        self.watch(self._refs.directory, orphaned)
        self.watch(self._refs.connection_table, orphaned)
        self.schedule(self._settings.handshake_timeout_s, messages.HandshakeTimedOut())
        self._socket.watch_read(True)
        self._do(self._link.start())
        if self._received:
            self._shaken(self._received)
        self._flush()

    def on_receive(self, message: messages.Inbound) -> None:
        """Handle one message."""
        match message:
            case messages.SendFrames(frames=frames):
                self._output.push(frames)
            case messages.SendControl(frame_type=frame_type, body=body):
                self._send_own(frame_type, body)
            case messages.ForwardingChanged(links=links, routes=routes):
                self._forwarding.follow(links, routes, self._link.peer)
                self._output.queue.know(links)
            case messages.PeerCertified(certificate=certificate, is_excused=is_excused):
                self._link.peer = self._link.peer.certified(certificate, is_excused=is_excused)
                self._reports.peer_name = self._link.name = certificate.name
            case messages.AdmitLink():
                if self._acceptor is not None:
                    peer = self._link.peer
                    admitted = acceptor_messages.LinkAdmitted(self._paid_by, peer.peer_id, peer.ticket)
                    self.tell(self._acceptor, admitted)
                meter = self._meters.peers.linked(self.actor_urn, self._link.peer.peer_id)
                self._forwarding.meter = meter
                self._output.count_in(meter)
                self._do(self._link.admit(self.now(), self.dispatcher.unix_time()))
            case messages.PingDue():
                now, output = self.now(), self._output
                took_at = output.took_at if output.is_blocked else now
                unix_now, carried = self.dispatcher.unix_time(), output.carried_bytes
                self._do(self._link.ping(now, unix_now, took_at=took_at, carried_bytes=carried))
            case messages.ChallengePeer(nonce=nonce):
                self._do(self._link.challenge(nonce))
            case messages.CloseLink(reason=reason, blame=blame):
                if blame is not messages.Blame.NONE:
                    self._meters.links_broken += 1
                if blame is messages.Blame.OFFENCE:
                    self._reports.broken(reason)
                self._do(self._link.close(reason))
            case messages.RetireLink(reason=reason):
                self._do(self._link.retire(reason))
            case messages.MakeRoom():
                self._do(self._link.make_room())
            case messages.LeaveTimedOut():
                self._do(self._link.leave_timed_out())
            case messages.HandshakeTimedOut():
                self._do(self._link.handshake_timed_out(self._settings.handshake_timeout_s))
            case _:
                assert_never(message)

    def release(self) -> None:
        """Tell everybody that uses this link that it is gone."""
        self._output.release()
        self._meters.peers.ended(self.actor_urn)
        if not self._is_reported:
            self._handshake_over()
        else:
            self._meters.links_lost += 1
            end, peer_id = self._reports.end, self._link.peer.peer_id
            self._tell_directory(directory_messages.LinkEnded(self.actor_urn, peer_id, *end))
        if self._dialer is not None:
            self.tell(self._dialer, dialer_messages.DialedLinkEnded(self.actor_urn, self._reports.evidence))

    # -- what the link asks for ------------------------------------------------------------------------------

    def _do(self, wanted: effects.LinkEffects) -> None:
        for effect in wanted:
            if isinstance(effect, PassOn):
                self._forwarding.pass_on(effect.destination, effect.frames)
            elif isinstance(effect, Deliver):
                arrived = connection_table_messages.FramesArrived(effect.frames, self._link.peer.peer_id)
                self.tell(self._refs.connection_table, arrived)
            else:
                self._do_one(effect)

    def _do_one(self, effect: effects.LinkAffair) -> None:
        match effect:
            case effects.SendOwn(frame_type=FrameType.REKEY, body=body):
                self._output.seal_now(link_frame(FrameType.REKEY, body))
            case effects.SendOwn(frame_type=frame_type, body=body):
                self._send_own(frame_type, body)
            case effects.SendHandshake(data=data):
                self._output.say(data)
            case effects.StartSealing(key=key):
                self._reports.peer_name = self._link.name
                self._output.seal_with(key)
            case effects.SwitchSealing(body=body, key=key):
                self._output.switch(link_frame(FrameType.NEW_KEY, body), key)
            case effects.LinkRekeyed():
                self._meters.links_rekeyed += 1
                log.debug("link to %s: new keys", escaped(self._link.name))
            case effects.AskForAdmission(peer=peer, rtt_s=rtt_s):
                self._ask_for_admission(peer, rtt_s)
            case effects.ReadOn():
                self._socket.watch_read(True)
            case (
                effects.RecordsCame()
                | effects.DigestCame()
                | effects.PagesWanted()
                | effects.PagesCame()
                | effects.RevocationsCame()
                | effects.RevocationsWanted()
            ):
                self.tell(self._refs.route_table, told_to_routes(self._link.peer.peer_id, effect))
            case effects.FramesReturned(count=count):
                self._meters.frames_returned += count
            case effects.RoundTripMeasured(rtt_s=rtt_s):
                self._output.follow_round_trip(rtt_s)
                measured = directory_messages.LinkMeasured(self.actor_urn, self._link.peer.peer_id, rtt_s)
                self._tell_directory(measured)
            case effects.PeerChallenged():
                self._tell_directory(directory_messages.ChallengeArrived(self._link.peer.peer_id))
            case effects.PeerAnswered():
                self._tell_directory(directory_messages.PeerAnswered(self.actor_urn, self._link.peer.peer_id))
            case effects.LinkRetires(reason=reason):
                self._reports.retires(reason)
                retires = directory_messages.LinkRetires(self.actor_urn, self._link.peer.peer_id, reason)
                self._tell_directory(retires)
            case effects.PingLater(delay_s=delay_s):
                self.schedule(delay_s, messages.PingDue())
            case effects.LeaveInTime(delay_s=delay_s):
                self.schedule(delay_s, messages.LeaveTimedOut())
            case effects.FinishSending():
                self._socket.shutdown_write()
                self._socket.watch_read(True)
            case effects.CertificateExpired():
                self._reports.certificate_expired()
            case _:
                self._end(effect)

    def _tell_directory(self, fact: directory_messages.Inbound) -> None:
        self.tell(self._refs.directory, fact)

    def _handshake_over(self) -> None:
        if self._acceptor is not None:
            self.tell(self._acceptor, acceptor_messages.HandshakeEnded(self.actor_urn))

    def _ask_for_admission(self, peer: EstablishedLink, rtt_s: float) -> None:
        self._is_reported = True
        features = ", ".join(sorted(peer.features)) or "none"
        log.debug("link to %s: version %d, features: %s", escaped(peer.peer.name), peer.version, features)
        self._socket.watch_read(False)  # what arrives before the admission waits in the kernel
        self._handshake_over()
        if self._dialer is not None:  # the peer has admitted this link, and forgotten the ticket before
            self.tell(self._dialer, dialer_messages.TicketLeft(self.actor_urn, peer.ticket))
        self._tell_directory(
            directory_messages.LinkEstablished(
                link=self.ref,
                peer_id=peer.peer_id,
                peer_instance=peer.peer_instance,
                peer_static=peer.peer_static,
                peer_name=peer.peer.name,
                certificate=peer.peer,
                address=self._socket.peer_name,
                is_dialer=self._is_dialer,
                rtt_s=rtt_s,
                dialer=self._dialer,
                clock_ahead_s=peer.clock_ahead_s,
            )
        )

    def _end(self, verdict: effects.LinkVerdict) -> None:
        """Close the socket, and tell whoever needs to know why."""
        meters = self._meters
        match verdict:
            case effects.LinkRefused():
                self._refused(verdict)
            case effects.LinkOverdue(why=why):
                meters.links_refused += 1
                if self._dialer is None:  # a dialer has told of the silence already
                    self._reports.refused(why)
                    self._say_farewell()
            case effects.LinkUnwanted():
                meters.links_refused += 1
            case effects.LinkTurnedAway(peer=peer, reason=reason, lists=lists):
                meters.links_refused += 1
                if lists:
                    shown = told_to_routes(peer.peer_id, effects.RevocationsCame(lists))
                    self.tell(self._refs.route_table, shown)
                if self._dialer is not None:
                    self._tell_directory(
                        directory_messages.LinkTurnedAway(
                            peer.peer_id, peer.peer.name, self._socket.peer_name, reason, self._dialer
                        )
                    )
            case effects.LinkBroken(why=why, is_forgery=True):
                member = named(self._link.name, self._link.peer.peer_id)
                meters.links_broken += 1
                meters.alarms.count(AlarmKind.TAMPERING, member)
                self._reports.forged(why, member)
            case effects.LinkBroken(why=why):
                meters.links_broken += 1
                self._reports.broken(why)
            case effects.LinkLost(why=why, has_left=has_left):
                self._reports.lost(why, has_left=has_left)
            case effects.LinkOver():
                pass
            case effects.LinkMetItself():
                self._reports.met_itself()
                if self._dialer is not None:
                    self.tell(self._dialer, dialer_messages.MetItself())
                    self._say_farewell()  # so that the accepting side recognises itself too
            case _:
                assert_never(verdict)
        self._socket.close()
        self.stop_now()

    def _refused(self, verdict: effects.LinkRefused) -> None:
        self._meters.links_refused += 1
        self._meters.peers_unexpected += verdict.is_another
        if verdict.is_copy:
            self._meters.alarms.count(AlarmKind.IDENTITY, THIS_AGENT)
            self._reports.met_copy(verdict.why)
            self._tell_directory(directory_messages.TwinMet())
        elif self._dialer is None:
            self._reports.refused(verdict.why)
        if self._dialer is None or verdict.is_told:
            self._say_farewell()
        if self._dialer is not None:  # it says so, but not again and again
            news = dialer_messages.DialRefused(None, self._socket.peer_name, verdict.why, verdict.is_another)
            self.tell(self._dialer, news)

    def _say_farewell(self) -> None:
        with contextlib.suppress(OSError):
            self._output.flush(self.now())

    # -- the socket ------------------------------------------------------------------------------------------

    def on_readable(self, socket: StreamSocket | ListeningSocket) -> None:
        """Take what has arrived."""
        link, buffer = self._link, self._dispatcher.read_buffer
        recv_into, now = self._socket.recv_into, self.now  # found faster so than in the calls
        is_handshake = link.state is _HANDSHAKE
        if is_handshake:
            buffer = buffer[:HANDSHAKE_READ_BYTES]
        try:
            count = recv_into(buffer)
        except BlockingIOError:
            return
        except OSError as error:
            self._do(link.disconnected(error.strerror or str(error)))
            return
        self._output.meter.received_bytes += count
        if count == 0:
            self._do(link.disconnected("the peer closed the connection"))
        elif is_handshake:
            self._shaken(bytes(buffer[:count]))
        else:
            self._do(link.received(buffer[:count], now()))

    def _shaken(self, data: bytes) -> None:
        self._do(self._link.shaken(data, self.now(), self.dispatcher.unix_time()))

    def _send_own(self, frame_type: FrameType, body: bytes) -> None:
        self._output.push((link_frame(frame_type, body),))
        if self._output.control_bytes > MAX_CONTROL_BYTES:
            self._do(self._link.break_off("the peer asks for more than it reads"))

    def on_turn_over(self) -> None:
        """Send what this turn has queued: one gathered write for all its messages."""
        output = self._output
        has_more = output.unsent_bytes or output.queue.frames or self._link.state is _LEAVING
        if has_more and not output.is_blocked:
            self._flush()

    def on_writable(self, socket: StreamSocket | ListeningSocket) -> None:
        """Go on sending."""
        self._flush()

    def _flush(self) -> None:
        link, now = self._link, self.now
        try:
            if link.state is _UP:
                self._output.flush(now())
                return
            if link.state in SILENT:
                return  # what comes now comes too late
            while self._output.flush(now()) and link.state in PARTING:
                self._do(link.sent())
        except OSError as error:
            self._do(link.disconnected(error.strerror or str(error)))

    def __str__(self) -> str:
        """Name the peer, for logs and dumps."""
        link = self._link
        peer = f"{link.name} {short_id(link.peer.peer_id)}" if link.name else "unauthenticated"
        return f"PeerLink({peer}, {link.state.value})"


_HANDSHAKE: Final = LinkState.HANDSHAKE
_UP: Final = LinkState.UP
_LEAVING: Final = LinkState.LEAVING
"""Looked at with every frame: a global name is found faster than a member of a class."""
