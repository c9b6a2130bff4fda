"""The ingress end of a connection: a client on one side, the exit it chose on the other.

:class:`~mesh.connection.ingress_opening.IngressOpening` decides how it opens; this actor does what it says.
One may be started before its client comes. It stands by, without a timer, until it is handed a client.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, assert_never

from actors.connections.connection_settings import ConnectionSettings
from actors.connections.due import FIRST_LOOK_S, Due
from actors.connections.first_words import HearingEnd
from actors.connections.opening_keys import PairedOpeners
from actors.connections.socks_answers import refuse, reply_of, say
from actors.messages import connection as messages
from actors.messages import connection_table as table_messages
from actors.messages import listener as listener_messages
from actors.messages import peer_link as link_messages
from actors.meters import Meters
from actors.runtime.seam import Dispatcher, Ref, StreamSocket
from mesh.connection.ahead import NOTHING_AHEAD
from mesh.connection.endings import End, Ending
from mesh.connection.ingress_effects import (
    AnswerForged,
    CandidateFailed,
    CandidateServed,
    ClientGivenUp,
    ExitChosen,
    ExitDeclined,
    FindCandidates,
    ForgetExit,
    IngressEffect,
    OpeningEnded,
    PathAnswered,
    PathDoubted,
    RegisterExit,
    SendOpen,
)
from mesh.connection.ingress_opening import ANSWERS, IngressOpening
from mesh.connection.initiating import Initiator
from mesh.connection.loops import ends_of, socket_tag
from mesh.connection.offer import Offer
from mesh.connection.party import Party
from mesh.connection.reject_codes import IngressVerdict
from mesh.connection.rights import why_not_at_ingress
from mesh.connection.session import SEGMENT_TYPES
from mesh.connection.stream import ResetCode
from mesh.link.frames import Frame
from mesh.socks.numbers import Reply, reply
from mesh.trust.identity import NO_AGENT, AgentId

log = logging.getLogger("mesh.connections")

MOST_ANSWERS: Final = 8
"""Answers to one OPEN that are looked at in one read of a link. An exit gives one, and repeats it now and
then; to find that one is forged takes a Diffie-Hellman."""


class IngressConnection(HearingEnd[messages.IngressInbound]):
    """Serves one client of a listener, who comes with ``ServeClient``.

    ``prepare_for`` is the candidate that this client is to try first, if the listener knows it beforehand.
    """

    END = End.INGRESS

    __slots__ = (
        "_ahead",
        "_answers_via",
        "_client",
        "_client_tag",
        "_credit",
        "_exit_tag",
        "_links",
        "_listener",
        "_prepare_for",
        "_rights",
        "_speaks_socks",
    )

    def __init__(  # noqa: PLR0917 -- by name they take a hundredth of a compiled connection's instructions
        self,
        dispatcher: Dispatcher,
        key: str,
        prepare_for: Offer | None,
        listener: Ref[listener_messages.FromIngress],
        table: Ref[table_messages.Inbound],
        settings: ConnectionSettings,
        meters: Meters,
    ) -> None:
        super().__init__(dispatcher, table=table, settings=settings, meters=meters, key=key)
        self._has_spoken = True  # clients wait for an answer: their first words are seldom their last
        self._prepare_for = prepare_for
        self._listener = listener
        self._hear_nobody()
        self._rights: tuple[messages.RightsChanged, ...] = ()
        """While it stands by: the latest, which are judged anew once it is known whose client comes."""
        self._links: dict[AgentId, Ref[link_messages.SendFrames] | None] = {}
        """The links towards the exits that are being tried."""
        self._speaks_socks = False
        """Whether the client waits for a reply of SOCKS5."""
        self._ahead = NOTHING_AHEAD
        """What has come of exits that are being asked, before they were heard to accept."""
        self._answers_via = NO_AGENT
        """The peer that the answer at hand came from."""
        self._client = ""
        """Address of the client, as soon as there is one."""
        self._client_tag = self._exit_tag = b""
        """Of the client's socket, and what the chosen exit said of its own."""
        self._credit = settings.budget.first_window_bytes
        """What an exit may send at first, in bytes."""
        self._opening = IngressOpening(
            key=key,
            credit=self._credit,
            numbers=settings.numbers,
            initiate=partial(
                _initiate, settings, table, dispatcher.now
            ),  # no method, which would hold this actor
            open_timeout_s=settings.config.connections.open_timeout_s,
            heard=settings.heard,
        )

    def on_start(self) -> None:
        """Prepare what can be prepared without a client."""
        offer, self._prepare_for = self._prepare_for, None
        if offer is not None:
            self._do(self._opening.prepare(offer))

    def on_receive(self, message: messages.IngressInbound) -> None:
        """Handle one message."""
        match message:
            case messages.SegmentsArrived(frames=frames, via=via):
                self._segments_arrived(frames, via)
            case messages.ServeClient(socket=socket, clients=clients, candidates=candidates):
                self._speaks_socks = message.speaks_socks
                self._serve(socket, clients, candidates)
            case messages.IngressRegistered():
                self._registered(message)
            case messages.PathChanged(remote=remote, link=link):
                self._path_to_exit_changed(remote, link)
            case messages.PeerRestarted(remote=remote):
                self._exit_gone(remote, IngressVerdict.RESTARTED, "the exit's agent has restarted")
            case messages.PeerExpired(remote=remote, why=why):
                line = f"the certificate of the exit's agent {why}"
                self._exit_gone(remote, IngressVerdict.EXPIRED, line)
            case listener_messages.CandidatesFound(offers=offers):
                self._do(self._opening.candidates_found(offers, self.now()))
            case messages.CameBack(exit_id=exit_id):
                self._came_back(exit_id)
            case messages.CloseWithListener():
                self._end_as(Ending.OPERATOR, "its listener was taken out")
                self._local_reset([], ResetCode.CLOSED_BY_OPERATOR)
            case messages.CloseConnection() if self.stands_by:
                self._do(self._opening.discard())
            case (
                messages.DeadlineReached()
                | messages.RightsChanged()
                | messages.CloseConnection()
                | messages.CloseForOperator()
                | messages.DescribeConnection()
            ):
                self._common(message)
            case _:
                assert_never(message)

    def release(self) -> None:
        """Free the numbers, and the client's place."""
        for exit_id, number in self._opening.numbers_in_use():
            self._forget(exit_id, number, is_exit=False)
        if self._stream is not None and self._remote is not None:
            self._forget(self._remote, self._number, is_exit=False)
            if self._exit_tag:
                self._settings.loops.connection_ended(self._exit_tag, self._remote, self._number)
        super().release()

    @property
    def stands_by(self) -> bool:
        """Whether its client has yet to come."""
        return self._opening.stands_by

    def _socket_gone(self, socket: StreamSocket) -> None:
        self._record()
        if self._clients is not None:
            self._clients.leave(socket)
            self._settings.loops.client_left(self._client_tag, self.ref)
            if self._clients.awaited_by is not None:
                self.tell(self._clients.awaited_by, listener_messages.PlaceFree())

    # -- opening ---------------------------------------------------------------------------------------------

    def _serve(self, socket: StreamSocket, clients: messages.Clients, candidates: tuple[Offer, ...]) -> None:
        self._clients = clients
        self._socket = self.own(socket)
        ends = ends_of(socket.peer_name, socket.local_name)
        self._since, self._client = self.now(), ends.near
        self._client_tag = socket_tag(self._settings.party.instance, ends, self._settings.network)
        said_by = self._settings.loops.client_came(self._client_tag, self.ref)
        self._watch_read(False)  # unread until the connection is open, but a reset is noticed
        rights, self._rights = self._rights, ()
        for each in rights:
            if clients.listener in each.policy.believed:  # the listener may not have heard of that yet
                self._judge(each)
        now = self.now()
        self._alarm.arm(now + FIRST_LOOK_S, now)
        said, listens_s = b"", 0.0
        # A client of SOCKS speaks once it has been answered; one that an exit calls its own is for others.
        if not self._speaks_socks and not said_by:
            said, listens_s = self._first_words(self._socket, clients, candidates[0])
        self._do(self._opening.client_came(candidates, now, said=said, listens_s=listens_s))
        if self._is_gone:
            self._local_reset([])
        for exit_id in said_by:
            self._came_back(exit_id)

    def _registered(self, registered: messages.IngressRegistered) -> None:
        exit_id, link = registered.exit_id, registered.link
        self._links[exit_id] = link
        has_path = link is not None
        self._do(self._opening.registered(exit_id, registered.connection, self.now(), has_path=has_path))
        if registered.rights is not None:
            self._judge(registered.rights)

    def _judge(self, rights: messages.RightsChanged) -> None:
        if self._clients is None:
            self._rights = (rights,)
        listener = "" if self._clients is None else self._clients.listener
        why = why_not_at_ingress(rights.certificate, self._key, listener, rights.policy)
        if not why:
            return
        if self._stream is not None and rights.remote == self._remote:
            self._forbid(why)
        else:
            self._do(self._opening.exit_gone(rights.remote, IngressVerdict.NOT_BELIEVED, why, self.now()))

    def _do(self, effects: Sequence[IngressEffect]) -> None:
        """Do what the opening asks for, and keep its time."""
        for effect in effects:
            match effect:
                case RegisterExit():
                    party = effect.party
                    command = table_messages.RegisterIngress(
                        self.ref, party.id, party.instance, effect.number
                    )
                    self.tell(self._table, command)
                case SendOpen():
                    self._send_to(effect.frame.destination, (effect.frame,))
                case ExitChosen():
                    self._chosen(effect)
                case CandidateServed():
                    self.tell(self._listener, listener_messages.CandidateServed(effect.exit_id))
                case ForgetExit():
                    self._forget(effect.exit_id, effect.number, is_exit=False)
                    if not self._opening.asks(effect.exit_id):
                        self._links.pop(effect.exit_id, None)  # a connection may outlive the link by years
                case FindCandidates():
                    question = listener_messages.FindCandidates(self.ref, effect.tried)
                    if not self.tell(self._listener, question):
                        self._do(self._opening.candidates_found((), self.now()))
                case CandidateFailed():
                    log.debug("%s: %s", self, effect.why)
                    if effect.code == IngressVerdict.LOOP:
                        self._meters.loops_cut += 1
                    failed = listener_messages.CandidateFailed(effect.exit_id, effect.code)
                    self.tell(self._listener, failed)
                case PathDoubted():
                    doubted = table_messages.PathFailed(effect.exit_id, effect.number, is_exit=False)
                    self.tell(self._table, doubted)
                case PathAnswered():
                    self._answered_after_doubt(is_prompt=effect.is_prompt)
                case AnswerForged():
                    self._forged(1, effect.exit_id, effect.number, self._answers_via)
                case ExitDeclined():
                    stream = self._settings.stream(effect.session, effect.credit, self.now())
                    reset = stream.reset(ResetCode.CANCELLED, self.now())
                    stream.release()
                    self._send_to(effect.remote, reset.frames)
                case ClientGivenUp():
                    self._given_up(effect)
                case OpeningEnded():
                    self.stop_now()
                case _:
                    assert_never(effect)
        self._deadlines[Due.OPENING] = due = self._opening.deadline()
        if due < self._alarm.at and not self.actor_stopped.raised:  # what moves back needs no new timer
            self._arm()

    def _given_up(self, effect: ClientGivenUp) -> None:
        why, unanswered = effect.why, effect.unanswered
        self._id = effect.id
        self._end_as(Ending.REFUSED, f"{why}; no answer from {effect.silent}" if unanswered else why)
        self.tell(self._listener, listener_messages.ClientGivenUp(why, unanswered))
        self._meters.connections_reset += 1
        self._turn_client_away(effect.code, is_unanswered=bool(unanswered))

    def _send_to(self, exit_id: AgentId, frames: Sequence[Frame]) -> None:
        link = self._link if exit_id == self._remote else self._links[exit_id]
        if link is not None:
            self.tell(link, link_messages.SendFrames(tuple(frames)))

    def _segments_arrived(self, frames: tuple[Frame, ...], via: AgentId) -> None:
        """Frames of one connection: answers are the opening's, the rest is the stream's."""
        number, answers = frames[0].connection, 0
        for position, frame in enumerate(frames):
            stream = self._stream
            if stream is not None and number == self._number:
                self._apply(stream.receive(frames[position:], self.now()))
                if stream.forged_frames:
                    self._forged(stream.take_forged(), frames[0].source, number, via)
                return
            if frame.type in SEGMENT_TYPES and self._opening.awaits(number):
                self._ahead = self._ahead.and_one(frame, via)
            answers += frame.type in ANSWERS
            if answers > MOST_ANSWERS:
                self._forged(len(frames) - position, frames[0].source, number, via)
                return
            self._answers_via = via
            self._do(self._opening.answered(frame, self.now()))

    def _chosen(self, choice: ExitChosen) -> None:
        self._number, self._exit_tag = choice.number, choice.socket_tag
        client = self._settings.loops.exit_said(choice.socket_tag, choice.remote, choice.number)
        if client is not None:
            self.tell(client, messages.CameBack(choice.remote))
        if self._speaks_socks and self._socket is not None:
            say(self._socket, reply(Reply.SUCCEEDED))  # a client that has gone is found out by reading
        link = self._links.pop(choice.remote)
        if not self._links:
            self._links.clear()  # a dictionary keeps the room of what was deleted
        self._start_stream(choice.session, choice.remote, link, choice.credit, self._credit)
        self._carry_on(choice)
        ahead, self._ahead = self._ahead, NOTHING_AHEAD
        if frames := ahead.of(choice.number):
            self._segments_arrived(frames, ahead.via)

    def _turn_client_away(self, code: str, *, is_unanswered: bool) -> None:
        if self._speaks_socks and self._socket is not None:
            refuse(self._socket, reply_of(code, is_unanswered=is_unanswered), self.dispatcher.read_buffer)
        self._drop_socket(reset=True)

    def _local_reset(self, frames: list[Frame], code: ResetCode = ResetCode.RESET) -> None:
        if self._stream is not None:
            super()._local_reset(frames, code)
            return
        if self._socket is None:
            return  # its client has left already, or has yet to come
        # The client left, or an operator wants it gone, before the open completed.
        self._end_as(Ending.CLIENT, "before any exit had accepted")
        self._drop_socket(reset=code is not ResetCode.RESET)
        self._do(self._opening.client_left())

    def _came_back(self, exit_id: AgentId) -> None:
        """The exit says that the client is its own socket: let nobody go there once more."""
        if self._stream is None:
            self._do(self._opening.came_back(exit_id, self.now()))
            return
        if self._socket is None or exit_id != self._remote:
            return
        self._end_as(Ending.REFUSED, "its client is a connection of that exit back to this agent")
        log.debug("%s reset: %s", self, self._reason)
        self._meters.loops_cut += 1
        self.tell(self._listener, listener_messages.CandidateFailed(exit_id, IngressVerdict.LOOP))
        self._drop_socket(reset=True)
        self._local_reset([])

    def _exit_gone(self, remote: AgentId, verdict: IngressVerdict, why: str) -> None:
        if self._stream is not None and remote == self._remote:
            self._lose(why)
        else:
            self._do(self._opening.exit_gone(remote, verdict, why, self.now()))

    def _path_to_exit_changed(self, remote: AgentId, link: Ref[link_messages.SendFrames] | None) -> None:
        if self._stream is not None and remote == self._remote:
            self._path_changed(link)
        elif remote in self._links:
            self._links[remote] = link
        else:
            return  # its number has been given back
        self._do(self._opening.path_changed(remote, self.now(), has_path=link is not None))

    def _client_name(self) -> str:
        return self._client

    def _other_name(self) -> str:
        return self._opening.exit_name

    def __str__(self) -> str:
        """Name the key and the exit, for logs and dumps."""
        return f"IngressConnection({self._key}, {self._opening})"


def _initiate(
    settings: ConnectionSettings,
    table: Ref[table_messages.Inbound],
    now: Callable[[], float],
    exit_: Party,
    number: int,
) -> Initiator:
    return Initiator(PairedOpeners(settings, table, now, exit_, number))
