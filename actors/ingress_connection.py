"""The ingress end of a connection: a client on one side, the exit it chose on the other.

It sends OPEN to the first candidate. A candidate that rejects, or that no path leads to any more, is followed
by the next at once; one that is silent is left to answer while the next is tried beside it. The first to
accept wins, the others are reset. The listener hears how each of them did; when nobody is left to be
tried it is asked who else offers the key by now.

One may be started before its client comes. It stands by with its number and its OPEN for one candidate,
without a timer, and sends nothing until it is handed a client.
"""

import logging
from collections.abc import Iterator
from math import inf
from typing import Any, Final, assert_never

from actors.client_count import ClientCount
from actors.connection_end import ConnectionEnd, repeat_delay_s
from actors.connection_settings import ConnectionSettings
from actors.messages import connection as messages
from actors.messages import connection_table as table_messages
from actors.messages import listener as listener_messages
from actors.messages import peer_link as link_messages
from actors.meters import Meters
from actors.open_attempt import (
    HEDGE_AFTER_S,
    HEDGE_ROUND_TRIPS,
    RESTART_PATIENCE_S,
    RESTARTED,
    RESTARTING,
    RETRY_AFTER_S,
    OpenAttempt,
)
from actors.runtime.seam import Dispatcher, Ref, StreamSocket
from mesh.candidates import LOOP, Offer
from mesh.errors import AuthenticationError, RemoteProtocolError
from mesh.escaping import escaped, named
from mesh.frames import Frame, FrameType
from mesh.identity import AgentId
from mesh.loops import socket_tag
from mesh.sampling import sampled
from mesh.session import OpenRequest, Party, Session, SessionInitiator
from mesh.stream import INITIAL_WINDOW_OCTETS, ResetCode, Stream

log = logging.getLogger("mesh.connections")

_HEDGE_SHARE: Final = 4
"""Either silence at most this part of the time budget: in a short one, too, several get a turn."""

_ANSWERS: Final = frozenset({FrameType.ACCEPT, FrameType.REJECT})


class IngressConnection(ConnectionEnd[messages.IngressInbound]):
    """Serves one client of a listener, who comes with ``ServeClient``.

    ``prepare_for`` is whom that client is to try first, where the listener knows it beforehand.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        key: str,
        prepare_for: Offer | None,
        listener: Ref[Any],
        table: Ref[Any],
        settings: ConnectionSettings,
        meters: Meters,
    ) -> None:
        super().__init__(dispatcher, table=table, settings=settings, meters=meters)
        self._key = key
        self._candidates = [] if prepare_for is None else [prepare_for]
        """Untried candidates, the one to try next last."""
        self._starting: dict[AgentId, float] = {}
        """Exits that are being started again, and until when their offer is waited for."""
        self._refusals: frozenset[Party] = frozenset()
        """Who has refused, and is not asked again."""
        self._retry_at = inf
        """When to look who offers the key then."""
        self._listener = listener
        self._clients: ClientCount | None = None
        """Where the client counts; none has come yet where this is None."""
        self._registering: tuple[Offer, int] | None = None
        """Who is to be tried as soon as the table delivers what comes under this number."""
        self._client_tag = self._exit_tag = b""
        """Of the client's socket, and what the chosen exit said of its own."""
        self._attempts: dict[int, OpenAttempt] = {}
        self._last_refusal = "no candidate answered"
        self._chosen: OpenAttempt | None = None
        self._open_by = inf

    def on_start(self) -> None:
        """Prepare what can be prepared without a client."""
        if self._candidates:
            self._register(self._candidates.pop(), self._settings.numbers.reserve())

    def on_receive(self, message: messages.IngressInbound) -> None:
        """Handle one message."""
        match message:
            case messages.SegmentsArrived(frames=frames):
                self._segments_arrived(frames)
            case messages.ServeClient(socket=socket, clients=clients, candidates=candidates):
                self._serve(socket, clients, candidates)
            case messages.IngressRegistered(exit_id=exit_id, connection=connection, link=link):
                self._registered(exit_id, connection, link)
            case messages.PathChanged(remote=remote, link=link):
                self._path_of_attempt_changed(remote, link)
            case messages.PeerRestarted(remote=remote):
                self._exit_restarted(remote)
            case messages.CandidatesFound(offers=offers):
                self._candidates_found(offers)
            case messages.CameBack(exit_id=exit_id):
                self._came_back(exit_id)
            case messages.CloseConnection() if self.stands_by:
                self.stop_now()
            case messages.DeadlineReached() | messages.CloseConnection():
                self._common(message)
            case _:
                assert_never(message)

    def release(self) -> None:
        """Free the numbers, and the client's place."""
        for attempt in self._attempts.values():
            self._forget(attempt.party.id, attempt.connection, is_exit=False)
        if self._registering is not None:
            offer, connection = self._registering
            self._forget(offer.party.id, connection, is_exit=False)
        if self._exit_tag and self._chosen is not None:
            chosen = self._chosen
            self._settings.loops.connection_ended(self._exit_tag, chosen.party.id, chosen.connection)
        super().release()

    @property
    def stands_by(self) -> bool:
        """Whether its client has yet to come."""
        return self._clients is None

    def _socket_gone(self, socket: StreamSocket) -> None:
        if self._clients is not None:
            self._clients.leave(socket)
            self._settings.loops.client_left(self._client_tag, self.ref)
            if self._clients.awaited_by is not None:
                self.tell(self._clients.awaited_by, listener_messages.PlaceFree())

    # -- opening ---------------------------------------------------------------------------------------------

    def _serve(self, socket: StreamSocket, clients: ClientCount, candidates: tuple[Offer, ...]) -> None:
        """Open for this client; what was prepared is for the first candidate."""
        self._clients = clients
        self._socket = self.own(socket)
        self._client_tag = socket_tag(self._settings.instance, socket.peer_name, socket.local_name)
        said_by = self._settings.loops.client_came(self._client_tag, self.ref)
        self._open_by = self.now() + self._settings.open_timeout_s
        self._watch_read(False)  # unread until the connection is open, but a reset is noticed
        self._candidates = list(reversed(candidates))
        prepared = next(iter(self._attempts.values()), None)
        if self._registering is not None:
            self._settings.numbers.use(self._registering[1])
            self._candidates.pop()  # tried as soon as it is registered
        elif prepared is None:
            self._try_next()
        elif prepared.is_stale(self.now(), self._settings.numbers.last):
            self._drop_attempt(prepared)
            self._try_next()
        else:
            self._settings.numbers.use(prepared.connection)
            self._begin(prepared, self._candidates.pop())
        self._plan_opening()
        if said_by is not None:
            self._came_back(said_by)

    def _try_next(self) -> None:
        if self._registering is not None or self._chosen is not None or self._is_too_late:
            return
        if self._candidates and self._socket is not None:
            self._register(self._candidates.pop(), self._settings.numbers.take())
        elif self._socket is None:
            if not self._attempts:
                self._give_up()
        elif not self._starting and self._is_stuck:
            self._look_for_more()

    def _register(self, offer: Offer, number: int) -> None:
        self._registering = offer, number
        party = offer.party
        self.tell(self._table, table_messages.RegisterIngress(self.ref, party.id, party.instance, number))

    @property
    def _is_stuck(self) -> bool:
        """Whether each candidate that was tried has refused, is silent, or has no path."""
        return all(attempt.link is None or attempt.hedge_at == inf for attempt in self._attempts.values())

    def _look_for_more(self) -> None:
        """Ask who offers the key now, and again later if there is still something to wait for."""
        self._retry_at = self.now() + (RETRY_AFTER_S if self._starting else self._patience_s(0.0))
        tried = self._refusals.union(
            (attempt.party for attempt in self._attempts.values()),
            (offer.party for offer in self._untried()),
        )
        if not self.tell(self._listener, listener_messages.FindCandidates(self.ref, tried)):
            self._candidates_found(())

    def _untried(self) -> Iterator[Offer]:
        """Who is still to be tried, whoever is being registered with included."""
        yield from self._candidates
        if self._registering is not None:
            yield self._registering[0]

    def _candidates_found(self, offers: tuple[Offer, ...]) -> None:
        """Try who is new or back; without anybody to wait for give up."""
        if self._chosen is not None or self._socket is None:
            return
        offering = {offer.party.id for offer in offers}
        for exit_id, until in list(self._starting.items()):
            if exit_id in offering or self.now() >= until:
                del self._starting[exit_id]
        known = {attempt.party.id for attempt in self._attempts.values()}
        known.update(offer.party.id for offer in self._untried())
        found = [
            offer for offer in offers if offer.party.id not in known and offer.party not in self._refusals
        ]
        self._candidates[:0] = reversed(found)
        if self._candidates:
            if self._is_stuck:
                self._try_next()
        elif not self._attempts and not self._starting and self._registering is None:
            self._give_up()
        self._plan_opening()

    def _registered(self, exit_id: AgentId, connection: int, link: Ref[Any] | None) -> None:
        registering, self._registering = self._registering, None
        is_wanted = self.stands_by or (self._socket is not None and self._chosen is None)
        if registering is None or registering[1] != connection or not is_wanted:
            self._forget(exit_id, connection, is_exit=False)
            if not self._attempts:
                self.stop_now()
            return
        offer, ephemerals = registering[0], self._settings.ephemerals
        initiator = SessionInitiator(
            local=self._settings.party,
            remote=offer.party,
            connection=connection,
            static=self._settings.static,
            ephemeral=ephemerals.make() if self.stands_by else ephemerals.take(),
            max_hops=self._settings.max_hops,
            shared=self._settings.shared,
        )
        attempt = self._attempts[connection] = OpenAttempt(
            offer.party, offer.name, connection, initiator, link, self.now()
        )
        if self.stands_by:
            self._open_frame(attempt)  # it will be there when the client comes
        else:
            self._begin(attempt, offer)
            self._plan_opening()

    def _begin(self, attempt: OpenAttempt, offer: Offer) -> None:
        """Ask this candidate, and be patient with it from now on."""
        now = self.now()
        attempt.repeat_at = now + repeat_delay_s(0)
        attempt.hedge_at = now + self._patience_s(offer.rtt_s)
        self._open_or_pass_on(attempt)

    def _open_or_pass_on(self, attempt: OpenAttempt) -> None:
        """Send OPEN; without a path try the next candidate, for this one's path may not come back in time."""
        if attempt.link is None:
            self._try_next()
        else:
            self._send_open(attempt)

    def _send_open(self, attempt: OpenAttempt) -> None:
        if attempt.link is None:
            return
        frame = self._open_frame(attempt)
        if frame is not None:
            attempt.is_asked = True
            self.tell(attempt.link, link_messages.SendFrames((frame,)))

    def _open_frame(self, attempt: OpenAttempt) -> Frame | None:
        """The OPEN, the same each time; none where the exit's key is of no use."""
        if attempt.initiator is None:
            return None
        request = OpenRequest(routing_key=self._key, credit=INITIAL_WINDOW_OCTETS)
        try:
            return attempt.initiator.open_frame(request)
        except AuthenticationError as error:
            self._refused(attempt, "unusable-key", str(error))
            return None

    def _segments_arrived(self, frames: tuple[Frame, ...]) -> None:
        attempt = self._attempts.get(frames[0].connection)
        if attempt is None:
            return
        if attempt is not self._chosen:
            for position, frame in enumerate(frames):
                if frame.type in _ANSWERS and self._answered(attempt, frame):
                    frames = frames[position + 1 :]
                    break
        if attempt is self._chosen and frames:
            self._receive(frames)

    def _answered(self, attempt: OpenAttempt, frame: Frame) -> bool:
        """Do what the exit's answer says; whether it was that and not a forgery."""
        if attempt.initiator is None or not attempt.is_asked:
            return False
        try:
            reply, session = attempt.initiator.read_reply(frame)
        except RemoteProtocolError:
            self._meters.frames_forged += 1
            return False
        if session is None:
            self._refused(attempt, reply.code, escaped(reply.reason))
            return True
        if self._chosen is not None or self._socket is None or self._is_too_late:
            self._decline(attempt, session, reply.credit)
        else:
            self._exit_tag = reply.socket_tag
            client = self._settings.loops.exit_said(self._exit_tag, attempt.party.id, attempt.connection)
            if client is not None:
                self.tell(client, messages.CameBack(attempt.party.id))
            self._choose(attempt, session, reply.credit)
        # Last: the listener prepares the next connection then, and this one's octets are on their way.
        self.tell(self._listener, listener_messages.CandidateServed(attempt.party.id))
        return True

    def _choose(self, attempt: OpenAttempt, session: Session, credit: int) -> None:
        self._chosen = attempt
        attempt.initiator = None
        self._plan_opening()
        self._start_stream(session, attempt.party.id, attempt.link, credit)
        if self._stream is None or self._socket is None:
            return
        # The exit waits for a sealed frame, to know that it was chosen. Most clients have spoken by now, and
        # what they said serves; asking for an answer would cost two frames more.
        self.on_readable(self._socket)
        if self._stream.sent_octets == 0:
            self._send(self._stream.confirm(self.now()).frames)
            self._settle()

    def _decline(self, attempt: OpenAttempt, session: Session, credit: int) -> None:
        """Reset what an exit opened too late, or for a client that has left."""
        stream = Stream(session=session, send_credit=credit, budget=self._settings.budget)
        effects = stream.reset(ResetCode.CANCELLED, self.now())
        stream.release()
        if attempt.link is not None:
            self.tell(attempt.link, link_messages.SendFrames(tuple(effects.frames)))
        self._drop_attempt(attempt)

    def _drop_attempt(self, attempt: OpenAttempt) -> None:
        del self._attempts[attempt.connection]
        self._forget(attempt.party.id, attempt.connection, is_exit=False)
        has_client = self._socket is not None or self.stands_by
        if not has_client and not self._attempts and self._stream is None:
            self.stop_now()

    def _refused(self, attempt: OpenAttempt, code: str, why: str) -> None:
        self._last_refusal = f"{escaped(code)} at {named(attempt.name, attempt.party.id)}: {why}"
        log.debug("%s: %s", self, self._last_refusal)
        self.tell(self._listener, listener_messages.CandidateFailed(attempt.party.id, code))
        if self.stands_by:
            self._drop_attempt(attempt)  # and wait: its client may be on the way, and has others tried
            return
        if code in (RESTARTING, RESTARTED) and self._socket is not None:
            now = self.now()
            self._starting[attempt.party.id] = now + RESTART_PATIENCE_S
            self._retry_at = min(self._retry_at, now + RETRY_AFTER_S)
        else:
            self._refusals |= {attempt.party}
        self._drop_attempt(attempt)
        self._try_next()
        self._plan_opening()

    # -- time ------------------------------------------------------------------------------------------------

    @property
    def _is_too_late(self) -> bool:
        """The time budget for opening is over."""
        return self._open_by == -inf

    def _patience_s(self, rtt_s: float) -> float:
        """How long silence at the end of such a path is nothing out of the ordinary."""
        longest_s = self._settings.open_timeout_s / _HEDGE_SHARE
        return min(max(HEDGE_AFTER_S, HEDGE_ROUND_TRIPS * rtt_s), longest_s)

    def _plan_opening(self) -> None:
        due = self._open_by if self._chosen is None or len(self._attempts) > 1 else inf
        if self._chosen is None and self._socket is not None:
            due = min(due, self._retry_at)
            for attempt in self._attempts.values():
                due = min(due, attempt.repeat_at, attempt.hedge_at)
        self._opening_due = inf if self._is_too_late else due
        self._arm()

    def _opening_deadline_reached(self, now: float) -> None:
        if now >= self._open_by:
            self._open_timed_out()
        elif self._chosen is None and self._socket is not None:
            for attempt in list(self._attempts.values()):
                if now >= attempt.repeat_at:
                    attempt.repeats += 1
                    attempt.repeat_at = now + repeat_delay_s(attempt.repeats)
                    self._send_open(attempt)
                if now >= attempt.hedge_at:
                    attempt.hedge_at = inf
                    self._silent(attempt)
            if now >= self._retry_at:
                self._retry_at = inf
                if self._starting:
                    self._look_for_more()
                elif self._is_stuck:
                    self._try_next()
        self._plan_opening()

    def _silent(self, attempt: OpenAttempt) -> None:
        """Try another candidate beside one that has not answered; it may still win."""
        if attempt.connection in self._attempts:
            if attempt.link is not None:
                self.tell(self._listener, listener_messages.CandidateFailed(attempt.party.id, "silent"))
            self._try_next()

    # -- not opening -----------------------------------------------------------------------------------------

    def _open_timed_out(self) -> None:
        """The time budget is over: whoever has not been chosen is forgotten."""
        self._open_by = -inf
        for attempt in list(self._attempts.values()):
            if attempt is not self._chosen:
                self._drop_attempt(attempt)
        if self._chosen is None:
            self._give_up()

    def _give_up(self) -> None:
        if self._socket is not None:
            log.info("client of %s reset: %s", self._key, self._last_refusal, extra=sampled(self._key))
            self._meters.connections_reset += 1
            self._drop_socket(reset=True)
        self.stop_now()

    def _local_reset(self, frames: list[Frame]) -> None:
        if self._stream is not None:
            super()._local_reset(frames)
            return
        # The client left before the open completed: wait for the answers, to reset what they opened.
        self._drop_socket(reset=False)
        self._candidates.clear()
        self._starting.clear()
        if not self._attempts and self._registering is None:
            self.stop_now()

    def _came_back(self, exit_id: AgentId) -> None:
        """The client is a socket of this exit's: reset it if it is to go there once more."""
        asked = [attempt.party.id for attempt in self._attempts.values()]
        if self._registering is not None:
            asked.append(self._registering[0].party.id)
        if self._socket is None or exit_id not in asked:
            return
        log.info("%s reset: its client is a connection of that exit back to this agent", self)
        self._meters.loops_cut += 1
        self.tell(self._listener, listener_messages.CandidateFailed(exit_id, LOOP))
        self._drop_socket(reset=True)
        self._local_reset([])

    def _path_of_attempt_changed(self, remote: AgentId, link: Ref[Any] | None) -> None:
        for attempt in list(self._attempts.values()):
            if attempt.party.id == remote:
                attempt.link = link
                if attempt is self._chosen:
                    self._path_changed(link)
                elif not self.stands_by:
                    self._open_or_pass_on(attempt)

    def _exit_restarted(self, remote: AgentId) -> None:
        for attempt in list(self._attempts.values()):
            if attempt.party.id != remote:
                continue
            if attempt is self._chosen:
                self._lose("the exit's agent has restarted")
                return
            if self.stands_by:
                self._drop_attempt(attempt)
                return
            self._refused(attempt, RESTARTED, "the exit's agent has restarted")

    def __str__(self) -> str:
        """Name the key and the exit, for logs and dumps."""
        if self.stands_by:
            return f"IngressConnection({self._key}, standing by)"
        chosen = self._chosen
        who = f"{named(chosen.name, chosen.party.id)}#{chosen.connection}" if chosen else "opening"
        return f"IngressConnection({self._key}, {who})"
