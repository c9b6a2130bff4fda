"""New keys for a connection that lasts, from fresh Diffie-Hellman, as a pure state machine at each end.

    asks                                    answers
      ASK                                 -->
                                          <--  ANSWER: opens what either key has sealed
      from here on seals with the new key
      SWITCHED, and from which segment on -->
                                          <--  SWITCHED: seals with the new key, too

Each end lets go of the former key of the other as soon as it knows from which segment on the other seals with
the new one, and has all before that. Nothing waits for any of this: until an end has switched it goes on with
its former key.

Whoever asks repeats itself until it is answered; the other end says again what it is asked again. Either end
may ask; if both do, the ingress's question stands. An end that does not come to an end of it is given up.
What a far end could cost by asking and asking is bounded: it may ask only so often, and of one agent so many
requests are answered a second, of all connections with it; what is beyond is repeated.

Keys do not grow old by themselves, yet what can be read with them grows: a connection that is idle is keyed
anew like any other. Its ends ask after each other every minute anyway.
"""

import enum
from collections.abc import Mapping
from math import inf
from types import MappingProxyType
from typing import Final

from mesh.connection.key_terms import KeyTerms
from mesh.connection.session import Session
from mesh.connection.session_keys import (
    MAX_GENERATION,
    KeysMessage,
    Step,
    decode_keys_message,
    encode_keys_message,
    prologue,
)
from mesh.connection.stream.receive_half import MAX_SEGMENTS_AHEAD, ReceiveHalf
from mesh.connection.stream.rtt import RoundTrip
from mesh.connection.stream.send_half import SendHalf
from mesh.errors import AuthenticationError, LocalProtocolError, RemoteProtocolError
from mesh.link.frames import Frame, FrameType
from mesh.transitions import stepping
from mesh.trust.noise.handshake import Handshake


class State(enum.Enum):
    """Where a change of keys stands, at one end."""

    QUIET = "has the keys it needs"
    ASKING = "asking"
    ANSWERED = "has answered"
    """It has the new keys, and opens with both."""
    SWITCHED = "has switched"
    """The other end has answered; this one seals with the new key, and waits to hear that it does so, too."""
    SETTLING = "settling"
    """Both have switched; what the other end sealed before that may still come."""


class Event(enum.Enum):
    """What moves it on."""

    DUE = "the keys have served their time"
    ASKED = "the other end asks"
    ANSWERED = "the other end answers"
    PEER_SWITCHED = "the other end has switched"
    SETTLED = "all that the former keys sealed has arrived"


TRANSITIONS: Final[Mapping[tuple[State, Event], State]] = MappingProxyType(
    {
        (State.QUIET, Event.DUE): State.ASKING,
        (State.QUIET, Event.ASKED): State.ANSWERED,
        (State.ASKING, Event.ASKED): State.ANSWERED,  # at the exit: the ingress's question stands
        (State.ASKING, Event.ANSWERED): State.SWITCHED,
        (State.ANSWERED, Event.PEER_SWITCHED): State.SETTLING,
        (State.SWITCHED, Event.PEER_SWITCHED): State.SETTLING,
        (State.SETTLING, Event.SETTLED): State.QUIET,
    }
)
"""An absent pair is a bug of this agent's own."""

_advance: Final = stepping("a change of keys", TRANSITIONS)


class Rekeying:
    """Changes the keys of one session; made when they are due first, for most connections end before.

    Args:
        session: whose keys they are.
        terms: of the agent.
        sender: knows which segments have been sealed.
        receiver: knows which have arrived.
        rtt: of the path.
    """

    __slots__ = (
        "_asked_not_before",
        "_handshake",
        "_has_answered",
        "_keyed_at",
        "_keyed_bytes",
        "_not_before",
        "_own_first",
        "_peer_first",
        "_receiver",
        "_rtt",
        "_said",
        "_sender",
        "_session",
        "_since",
        "_terms",
        "_tries",
        "due",
        "generation",
        "state",
        "worn_at",
    )
    __deletable__ = ("_handshake",)

    _handshake: Handshake
    """Set while asking."""

    def __init__(
        self,
        session: Session,
        terms: KeyTerms,
        sender: SendHalf,
        receiver: ReceiveHalf,
        rtt: RoundTrip,
    ) -> None:
        self._session, self._terms = session, terms
        self._sender, self._receiver, self._rtt = sender, receiver, rtt
        self.state = State.QUIET
        self.generation = 0
        """Of the newest keys that both ends are known to have."""
        self.due = inf
        """When to call :meth:`timeout`."""
        self.worn_at: float = inf
        """Bytes of the stream, both directions together, after which to call it as well."""
        self._said = b""
        """What is repeated until it is answered, or said again when it is asked again."""
        self._since = -inf
        """When that was said first."""
        self._tries = 0
        self._not_before = -inf
        """When this end may ask."""
        self._asked_not_before = -inf
        """When the other end may."""
        self._has_answered = False
        """Whether the other end asked for the newest keys: it also asks whether this one has switched."""
        self._own_first = self._peer_first = 0
        """First segment of each direction that the newest key seals."""
        self._keyed_at = -inf
        self._keyed_bytes = 0

    @property
    def _carried_bytes(self) -> int:
        return self._sender.sent_bytes + self._receiver.received_bytes

    # -- time ------------------------------------------------------------------------------------------------

    def timeout(self, now: float, frames: list[Frame]) -> bool:
        """Do what is due, or begin because so much has been carried.

        Returns:
            False if the other end is to be given up.
        """
        state = self.state
        if state is State.QUIET:
            self._ask(now, frames)
        elif state is State.SETTLING:
            self._settle(now)
        elif now >= self._since + self._terms.limits.patience_s:
            return False
        elif state is not State.ANSWERED:
            self._repeat(now, frames)
        return True

    def _ask(self, now: float, frames: list[Frame]) -> None:
        self.worn_at = inf
        if now < self._not_before:
            self.due = self._not_before
        elif self._sender.acknowledged_number < self._own_first:
            self.due = now + self._rtt.timeout_s  # the other end may still need the key before these
        else:
            self.state = _advance(self.state, Event.DUE)
            self._handshake = self._begin(is_asking=True)
            message = self._handshake.write_message(b"")
            self._say(KeysMessage(Step.ASK, self.generation + 1, message=message), now)
            self._repeat(now, frames)

    def _begin(self, *, is_asking: bool) -> Handshake:
        session, terms = self._session, self._terms
        if self.generation >= MAX_GENERATION:
            raise LocalProtocolError("no more keys can be numbered")
        return Handshake(
            "KK",
            initiator=is_asking,
            prologue=prologue(*session.ends, session.connection, self.generation + 1, session.keys_digest()),
            static=terms.static,
            ephemeral=terms.make_ephemeral(),
            remote_static=session.remote_static,
            shared=terms.shared,
        )

    def _say(self, said: KeysMessage, now: float) -> None:
        self._said = encode_keys_message(said)
        self._since, self._tries = now, 0
        self.due = now + self._terms.limits.patience_s

    def _repeat(self, now: float, frames: list[Frame]) -> None:
        frames.append(self._session.seal_control(FrameType.SESSION_KEYS, self._said))
        repeat_at = now + self._rtt.backed_off_s(self._tries)
        self.due = min(repeat_at, self._since + self._terms.limits.patience_s)
        self._tries += 1

    # -- the other end ---------------------------------------------------------------------------------------

    def receive(self, payload: bytes, now: float, frames: list[Frame]) -> None:
        """Take what the other end says, which has authenticated.

        Raises:
            RemoteProtocolError: it makes no sense, or comes too soon; nothing has changed.
        """
        said = decode_keys_message(payload)
        newest = self.generation + (said.step is not Step.SWITCHED)
        if said.generation > newest:
            raise RemoteProtocolError(f"generation {said.generation} of keys, where {newest} is next")
        if said.step is Step.SWITCHED:
            if said.generation == newest:
                self._peer_switched(said, now, frames)
        elif said.generation == newest:
            if said.step is Step.ASK:
                self._asked(said, now, frames)
            elif self.state is State.ASKING:
                self._answered(said, now, frames)
        elif self.state is State.ANSWERED and said.generation == self.generation and said.step is Step.ASK:
            self._answer_again(frames)

    def _asked(self, said: KeysMessage, now: float, frames: list[Frame]) -> None:
        if self.state is State.SETTLING:
            self._settle(now)
        is_yielding = self.state is State.ASKING and self._session.is_exit
        if self.state is not State.QUIET and not is_yielding:
            return  # it will ask again; or it will answer the ingress
        if now < self._asked_not_before:
            raise RemoteProtocolError("it asks for new keys again and again")
        if not self._terms.answers.of(self._session.ends[not self._session.is_exit], now).take(now):
            return  # it has too many connections that ask; it will ask again
        handshake = self._begin(is_asking=False)
        try:
            handshake.read_message(said.message)
            message = handshake.write_message(b"")
        except AuthenticationError as error:
            raise RemoteProtocolError(f"it asks for new keys with nonsense: {error}") from error
        if is_yielding:
            del self._handshake
        self.worn_at = inf
        self._asked_not_before = now + self._terms.limits.least_age_s
        from_other, to_other = handshake.split()
        self._agree(Event.ASKED, to_other, from_other)
        self._has_answered = True
        self._say(KeysMessage(Step.ANSWER, self.generation, message=message), now)
        self._answer_again(frames)

    def _answer_again(self, frames: list[Frame]) -> None:
        frames.append(self._session.seal_control(FrameType.SESSION_KEYS, self._said))

    def _answered(self, said: KeysMessage, now: float, frames: list[Frame]) -> None:
        try:
            self._handshake.read_message(said.message)
        except AuthenticationError as error:
            raise RemoteProtocolError(f"it answers with nonsense for new keys: {error}") from error
        to_other, from_other = self._handshake.split()
        del self._handshake
        self._agree(Event.ANSWERED, to_other, from_other)
        self._has_answered = False
        self._switch(now)
        self._repeat(now, frames)

    def _agree(self, event: Event, to_other: bytes, from_other: bytes) -> None:
        self.state = _advance(self.state, event)
        self.generation += 1
        self._session.expect(to_other, from_other)

    def _switch(self, now: float) -> None:
        self._session.switch()
        self._own_first = self._sender.next_number
        self._keyed_at, self._keyed_bytes = now, self._carried_bytes
        self._say(KeysMessage(Step.SWITCHED, self.generation, self._own_first), now)

    def _peer_switched(self, said: KeysMessage, now: float, frames: list[Frame]) -> None:
        if self.state in (State.ANSWERED, State.SWITCHED):
            if not self._session.hears_new_keys:
                raise RemoteProtocolError("it says with the former key that it uses the new one")
            if said.first_segment > self._receiver.next_number + MAX_SEGMENTS_AHEAD:
                raise RemoteProtocolError(f"new keys from segment {said.first_segment} on: too far ahead")
            if self.state is State.ANSWERED:
                self._switch(now)
            self.state = _advance(self.state, Event.PEER_SWITCHED)
            self._peer_first = said.first_segment
            self._settle(now)
        if self._has_answered:
            said = KeysMessage(Step.SWITCHED, self.generation, self._own_first)
            frames.append(self._session.seal_control(FrameType.SESSION_KEYS, encode_keys_message(said)))

    def _settle(self, now: float) -> None:
        if self._receiver.next_number < self._peer_first:
            self.due = now + self._rtt.backed_off_s(self._tries)  # what it waits for may never come
            self._tries += 1
            return
        self._session.forget_former(self._peer_first)
        self.state = _advance(self.state, Event.SETTLED)
        self._said = b""
        limits = self._terms.limits
        self._not_before = now + limits.least_age_s
        age_s, byte_count = limits.of(self._session)
        self.due = max(self._keyed_at + age_s, self._not_before)
        self.worn_at = self._keyed_bytes + byte_count
        self._terms.changed()
