"""A link to one peer, as a pure state machine: bytes and commands in, effects out.

It opens with a handshake, is proven, confirmed and admitted, carries frames, judges the peer's silence, and
closes in order or not. Until the peer has proven its identity it holds at most what the handshake needs.
"""

from collections.abc import Sequence
from typing import Final

from mesh.errors import LocalProtocolError, RemoteProtocolError
from mesh.escaping import escaped
from mesh.link import bodies as link_bodies
from mesh.link import effects
from mesh.link.carried import Deliver, PassOn
from mesh.link.established import EstablishedLink
from mesh.link.frame_sealing import FrameReader
from mesh.link.frames import (
    FIRST_CONNECTION_TYPE,
    FIRST_SKIPPED_CONNECTION_TYPE,
    FIRST_SKIPPED_TYPE,
    Frame,
    FrameType,
    type_name,
)
from mesh.link.handshake import LinkHandshake
from mesh.link.own_frames import DigestBudgets, OwnFrames
from mesh.link.refusing import Said, said_by, turned_away
from mesh.link.rekeying import KeySource, Rekeying
from mesh.link.silence import Pulse
from mesh.link.states import CARRYING, ENDING, UNADMITTED, LinkEvent, LinkState, advance
from mesh.trust.certificates import CERTIFICATE_POLL_S
from mesh.trust.identity import AgentId

LEAVE_TIMEOUT_S: Final = 1.0
"""How long a link that is closed in order may take to send what is queued."""


class Link:
    """One side of one link; ``now`` is monotonic seconds everywhere.

    Args:
        is_dialer: whether this agent dialed.
        handshake: not started yet.
        own_id: this agent.
        timeout_s: silence after which the peer is dead.
        now: when the link began.
        digests: how many more digests each peer may send.
        key_source: for new keys.
    """

    __slots__ = (
        "_asked_at",
        "_early",
        "_effects",
        "_farewell",
        "_handshake",
        "_is_dialer",
        "_key_source",
        "_own_frames",
        "_own_id",
        "_pulse",
        "_reader",
        "_retirement",
        "_rtt_s",
        "name",
        "peer",
        "state",
    )

    peer: EstablishedLink
    """Who the peer has proven to be; set as soon as it is proven, as what follows is."""
    _reader: FrameReader

    def __init__(
        self,
        *,
        is_dialer: bool,
        handshake: LinkHandshake,
        own_id: AgentId,
        timeout_s: float,
        now: float,
        digests: DigestBudgets,
        key_source: KeySource,
    ) -> None:
        self.state = LinkState.HANDSHAKE
        self.name = ""
        """The peer's display name, once it is proven."""
        self._is_dialer = is_dialer
        self._handshake = handshake
        self._own_id = own_id
        self._key_source = key_source
        self._pulse = Pulse(timeout_s, now)
        self._asked_at = now
        """When the handshake's latest question was sent."""
        self._rtt_s = 0.0
        self._own_frames = OwnFrames(self._pulse, digests)
        self._early: Sequence[Frame] = ()
        """Frames that came with the peer's judgement, before the admission."""
        self._retirement = ""
        """Why it retires as soon as it is admitted, if it does."""
        self._farewell = b""
        """Body of the CLOSE, once there is to be one."""
        self._effects: list[effects.LinkEffect] = []

    # -- commands --------------------------------------------------------------------------------------------

    def start(self) -> effects.LinkEffects:
        """Begin the handshake."""
        opening = self._handshake.start()
        if opening:
            self._effects.append(effects.SendHandshake(opening))
        return self._done()

    def admit(self, now: float, unix_now: float) -> effects.LinkEffects:
        """This link is the one to its peer: carry frames."""
        if self.state is not LinkState.WAITING:
            return ()
        self.state = advance(self.state, LinkEvent.ADMITTED)
        self._pulse.begin(now)
        self._ping(now, unix_now, now, 0)
        self._effects.append(effects.ReadOn())
        if self._retirement:
            self._own_frames.retire(self._retirement, self._effects)
        early, self._early = self._early, ()
        self._dispatch(early, now)
        if self.peer.surplus and not self._is_dialer:
            self._dispatch(self._read(memoryview(self.peer.surplus), now), now)
        return self._done()

    def challenge(self, nonce: bytes) -> effects.LinkEffects:
        """Find out at once whether the peer is still there."""
        return (self._own_frames.challenge(nonce),)

    def retire(self, reason: str) -> effects.LinkEffects:
        """Tell the peer that this link is not wanted any more, so that it dials another if it wants one."""
        if self.state is LinkState.HANDSHAKE:
            self._end(effects.LinkUnwanted())
        elif self.state in (LinkState.CONFIRMING, LinkState.WAITING):
            self._retirement = reason  # the peer may have admitted it already
        elif self.state is LinkState.UP:
            self._own_frames.retire(reason, self._effects)
        return self._done()

    def close(self, reason: str) -> effects.LinkEffects:
        """Close in order: what is queued goes out first, then the reason."""
        self._close(reason)
        return self._done()

    def make_room(self) -> effects.LinkEffects:
        """Close, unless the peer has proven itself while that was being asked for."""
        if self.state in (LinkState.HANDSHAKE, LinkState.CONFIRMING):
            self._end(effects.LinkUnwanted())
        return self._done()

    def _close(self, reason: str) -> None:
        match self.state:
            case LinkState.HANDSHAKE | LinkState.CONFIRMING:
                self._end(effects.LinkUnwanted())
            case LinkState.WAITING | LinkState.UP:
                self.state = advance(self.state, LinkEvent.LEFT)
                self._farewell = link_bodies.encode_close(reason)
                self._effects.append(effects.LeaveInTime(LEAVE_TIMEOUT_S))
            case LinkState.LEAVING | LinkState.PARTING | LinkState.FAREWELL | LinkState.CLOSED:
                pass

    def break_off(self, why: str) -> effects.LinkEffects:
        """End the link: the peer asks for more than a link serves."""
        if self.state is LinkState.UP or self.state in ENDING:
            self._end(effects.LinkBroken(why))
        return self._done()

    # -- what happens ----------------------------------------------------------------------------------------

    def shaken(self, data: bytes, now: float, unix_now: float) -> effects.LinkEffects:
        """Bytes have arrived during the handshake."""
        self._shake(data, now, unix_now)
        return self._done()

    def received(self, data: memoryview, now: float) -> effects.LinkEffects:
        """Bytes have arrived after the handshake.

        Raises:
            LocalProtocolError: the link waits for its admission, so its socket was not to be read.
        """
        if self.state in CARRYING:
            frames = self._read(data, now)
            if frames:
                self._dispatch(frames, now)
        else:
            self._received_otherwise(data, now)
        done, self._effects = self._effects, []
        return done

    def _received_otherwise(self, data: memoryview, now: float) -> None:
        match self.state:
            case LinkState.CONFIRMING:
                self._confirm(data, now)
            case LinkState.HANDSHAKE | LinkState.WAITING:
                raise LocalProtocolError(f"a link that is {self.state.value} takes no frames")
            case LinkState.FAREWELL | LinkState.CLOSED:
                pass  # to close with bytes unread would reset the connection, and the farewell with it

    def disconnected(self, why: str) -> effects.LinkEffects:
        """The socket has come to its end, or is broken."""
        match self.state:
            case LinkState.HANDSHAKE:
                try:
                    self._handshake.end_of_stream()
                except RemoteProtocolError as error:
                    self._end(effects.LinkRefused(str(error)))
            case LinkState.CONFIRMING:
                hint = "it may not trust this agent's certificate"
                self._end(effects.LinkRefused(f"{why} right after the handshake; {hint}"))
            case LinkState.FAREWELL:
                self._end(effects.LinkOver())
            case LinkState.CLOSED:
                pass
            case LinkState.WAITING | LinkState.UP | LinkState.LEAVING | LinkState.PARTING:
                self._end(effects.LinkLost(why))
        return self._done()

    def sent(self) -> effects.LinkEffects:
        """Everything that was to be sent has been sent."""
        match self.state:
            case LinkState.LEAVING:
                self.state = advance(self.state, LinkEvent.SENT)
                self._effects.append(effects.SendOwn(FrameType.CLOSE, self._farewell))
            case LinkState.PARTING:
                self.state = advance(self.state, LinkEvent.SENT)
                self._effects.append(effects.FinishSending())
            case _:
                return ()
        return self._done()

    # -- time ------------------------------------------------------------------------------------------------

    def handshake_timed_out(self, timeout_s: float) -> effects.LinkEffects:
        """An unauthenticated connection has lived long enough."""
        if self.state in UNADMITTED:
            self._end(effects.LinkOverdue(f"no handshake within {timeout_s:g} s"))
        return self._done()

    def leave_timed_out(self) -> effects.LinkEffects:
        """Sending what was queued at the close has taken long enough."""
        if self.state in ENDING:
            self._end(effects.LinkOver())
        return self._done()

    def ping(self, now: float, unix_now: float, *, took_at: float, carried_bytes: int) -> effects.LinkEffects:
        """Measure the round trip, and judge the peer's silence, its certificate and the keys.

        Args:
            now: monotonic seconds.
            unix_now: for the peer's certificate.
            took_at: when the socket last took anything, if it has no room now; else ``now``.
            carried_bytes: by the link so far, both directions together.
        """
        self._ping(now, unix_now, took_at, carried_bytes)
        return self._done()

    def _ping(self, now: float, unix_now: float, took_at: float, carried_bytes: int) -> None:
        if self.state is not LinkState.UP:
            return
        pulse = self._pulse
        if not pulse.is_late(now) and self._is_to_end(now, unix_now, took_at, carried_bytes):
            return
        left_s = self.peer.peer.not_after - unix_now
        token, wait_s = pulse.ping(now, took_at, within_s=min(max(left_s, 0.0), CERTIFICATE_POLL_S))
        self._effects.append(effects.SendOwn(FrameType.PING, link_bodies.encode_ping(token)))
        self._effects.append(effects.PingLater(wait_s))
        self._own_frames.rekeying.judge(now, carried_bytes, self._effects)

    def _is_to_end(self, now: float, unix_now: float, took_at: float, carried_bytes: int) -> bool:
        cause = self._pulse.cause_of_death(now, took_at) or self._own_frames.rekeying.cause_of_death(
            now, carried_bytes
        )
        if cause:
            self._end(effects.LinkLost(cause))
        elif unix_now >= self.peer.peer.not_after:
            self._effects.append(effects.CertificateExpired())
            self._close("certificate expired")
        return self.state is not LinkState.UP

    # -- the handshake ---------------------------------------------------------------------------------------

    def _shake(self, data: bytes, now: float, unix_now: float) -> None:
        try:
            progress = self._handshake.receive(data, unix_now)
        except RemoteProtocolError as error:
            self._end(effects.refused_for(error))
            return
        if progress.to_send:
            self._effects.append(effects.SendHandshake(progress.to_send))
            self._rtt_s, self._asked_at = now - self._asked_at, now
        if progress.revoked is not None:
            self._effects += self._own_frames.turn_away(progress.revoked, now)
            self._end(effects.LinkRefused(f"peer not trusted: {progress.revoked.why}", is_told=True))
        elif progress.refusal:
            self._end(effects.LinkRefused(progress.refusal))
        elif progress.met_itself:
            self._end(effects.LinkMetItself())
        elif progress.established is not None:
            self._prove(progress.established, now)

    def _prove(self, peer: EstablishedLink, now: float) -> None:
        self.peer = peer.without_keys()
        self.name = peer.peer.name
        self._pulse.heard_at = now
        rekeying = Rekeying(self._key_source, is_dialer=self._is_dialer, peer=self.peer, pulse=self._pulse)
        self._own_frames.peer_id, self._own_frames.rekeying = peer.peer_id, rekeying
        self._reader = FrameReader(peer.receive_key, rekeying.take)
        self._effects.append(effects.StartSealing(peer.send_key))
        if self._is_dialer:
            self.state = advance(self.state, LinkEvent.PROVEN_TO_DIALER)
            if peer.surplus:
                self._confirm(memoryview(peer.surplus), now)
        else:
            self._rtt_s = now - self._asked_at
            self.state = advance(self.state, LinkEvent.PROVEN_TO_ACCEPTOR)
            self._effects.append(effects.AskForAdmission(self.peer, self._rtt_s))

    def _confirm(self, data: memoryview, now: float) -> None:
        """The peer's first frames: it has judged this agent."""
        self._early = early = [*self._early, *self._read(data, now)]
        said = Said.NOTHING if self.state is LinkState.CLOSED else said_by(early)
        if said is Said.REFUSED:
            self._end(turned_away(self.peer, early))
        elif said is Said.ACCEPTED:
            self.state = advance(self.state, LinkEvent.CONFIRMED)
            self._effects.append(effects.AskForAdmission(self.peer, self._rtt_s))

    # -- frames ----------------------------------------------------------------------------------------------

    def _read(self, data: memoryview, now: float) -> list[Frame]:
        self._pulse.heard_at = now
        try:
            return self._reader.feed(data)
        except RemoteProtocolError as error:
            self._end(effects.LinkBroken(str(error)))
            return []

    def _dispatch(self, frames: Sequence[Frame], now: float) -> None:
        """Hand each receiver all its frames of this read together, in order."""
        local: list[Frame] = []
        transit: dict[AgentId, list[Frame]] = {}
        own_id, peer = self._own_id, self.peer
        relays, returned = peer.peer.may_relay or peer.is_excused, 0
        for frame in frames:
            kind, destination = frame.type, frame.destination
            if kind < FIRST_CONNECTION_TYPE:
                try:
                    self._take_own(frame, now)
                except RemoteProtocolError as error:
                    self._end(effects.LinkBroken(str(error)))
                    return
                if self.state is LinkState.CLOSED:
                    break  # by a CLOSE: nothing is to follow
            elif (
                kind >= FIRST_SKIPPED_TYPE
                and (kind < FIRST_SKIPPED_CONNECTION_TYPE or destination == own_id)
                and kind != FrameType.SESSION_KEYS
            ):
                pass  # for agents that know what it is
            elif not relays and frame.source != peer.peer_id:
                why = f"{type_name(kind)} in the name of another: its certificate does not let the peer relay"
                self._end(effects.LinkBroken(why, is_forgery=True))
                return
            elif frame.source == own_id:
                returned += 1  # made up, or gone round in a circle; an end that lacks it repeats it
            elif destination == own_id:
                local.append(frame)
            elif destination in transit:
                transit[destination].append(frame)
            else:
                transit[destination] = [frame]
        if local:
            self._effects.append(Deliver(tuple(local)))
        for towards, passing in transit.items():
            self._effects.append(PassOn(towards, passing))
        if returned:
            self._effects.append(effects.FramesReturned(returned))
        if self._own_frames.records:
            self._own_frames.hand_over_records(self._effects)

    def _take_own(self, frame: Frame, now: float) -> None:
        if frame.type == FrameType.CLOSE:
            reason = escaped(link_bodies.decode_close(frame.body))
            self._end(effects.closed_by_peer(reason))
        else:
            self._own_frames.take(frame, now, self._effects)

    # -- the end ---------------------------------------------------------------------------------------------

    def _end(self, verdict: effects.LinkVerdict) -> None:
        self.state = advance(self.state, LinkEvent.ENDED)
        self._effects.append(verdict)

    def _done(self) -> effects.LinkEffects:
        done, self._effects = self._effects, []
        return done
