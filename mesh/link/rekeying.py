"""New keys for a link that is up: a fresh Noise exchange inside it, behind which each direction goes on anew.

    who asks                                 the peer
      REKEY [message 1: e, es, ss]    -->
                                      <--      NEW_KEY [message 2: e, ee, se]
      NEW_KEY []                      -->

The messages are those of Noise_KK_25519_ChaChaPoly_SHA256, between the static keys that the link's handshake
has proven; the prologue is a context and the hash of the exchange that made the present keys. So the exchange
holds on this link and for these keys only, and whoever has stolen the keys of a link cannot answer in the
place of one of its ends.

NEW_KEY is the last frame that its sender seals with the old key. TCP keeps order, so no byte is ever tried
with two keys, nothing waits, and nothing is lost. If both ask at once, the dialer's request stands.
"""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import msgspec

from mesh.errors import RemoteProtocolError
from mesh.link import bodies as link_bodies
from mesh.link import effects
from mesh.link.established import EstablishedLink
from mesh.link.frames import FrameType, type_name
from mesh.link.proof import REKEY_FEATURE
from mesh.link.silence import Pulse
from mesh.token_bucket import TokenBucket
from mesh.transitions import stepping
from mesh.trust.noise import Handshake, KeyPair

PROLOGUE_CONTEXT: Final = b"mesh link rekey v1"

DIALER_SHARE: Final = 0.8
ACCEPTOR_SHARE: Final = 0.9
SHARE_SPREAD: Final = 0.1
"""The end that dialed asks after 0.8 to 0.9 of what a key may serve, the other end after 0.9 to 1: both ask
at once only when one was held up, and of 1,000 links that began together few are due together."""


class RekeyLimits(msgspec.Struct, frozen=True):
    """How long the keys of a link serve, and how much of a peer's asking is borne."""

    after_s: float = 3600.0
    """Age at which keys are replaced."""
    after_bytes: int = 64 * 1024**3
    """What they may have carried then, both directions together."""
    answer_s: float = 180.0
    """How long the peer may take: a thin link with full queues has carried an answer by then."""
    rate: float = 0.1
    """Requests a second that a peer may make, in the long run: each costs four Diffie-Hellman operations."""
    burst: float = 4.0
    """Requests at once."""
    most_bytes: int = 2**60
    """What a link may carry whose keys are never replaced. Each use of a key's counter stands on the wire
    with 16 bytes at the least, so no more than 2^56 of its 2^64 numbers are used by then."""


@dataclass(frozen=True, slots=True, eq=False)
class KeySource:
    """What new keys are made from, for all links of an agent."""

    static: KeyPair
    """The Noise static key of this instance's links."""
    fresh: Callable[[], KeyPair]
    """A key pair of fresh random bytes, for one exchange only."""
    limits: RekeyLimits


class State(enum.Enum):
    """Where the keys of a link stand."""

    HOLDS = "has its keys"
    ASKED = "has asked for new keys"
    PREVAILS = "has asked for new keys at the same time as the peer, whose request is void"
    ANSWERED = "has answered, and waits for the peer to switch"


class Event(enum.Enum):
    """What moves them on."""

    DUE = "its keys are due"
    PEER_ASKS = "the peer asks for new keys"
    PEER_PREVAILS = "the peer, which dialed, asks at the same time"
    PEER_IS_VOID = "the peer, which was dialed, asks at the same time"
    PEER_SWITCHES = "the peer switches to new keys"


TRANSITIONS: Final[Mapping[tuple[State, Event], State]] = MappingProxyType(
    {
        (State.HOLDS, Event.DUE): State.ASKED,
        (State.HOLDS, Event.PEER_ASKS): State.ANSWERED,
        (State.ASKED, Event.PEER_PREVAILS): State.ANSWERED,
        (State.ASKED, Event.PEER_IS_VOID): State.PREVAILS,
        (State.ASKED, Event.PEER_SWITCHES): State.HOLDS,
        (State.PREVAILS, Event.PEER_SWITCHES): State.HOLDS,
        (State.ANSWERED, Event.PEER_SWITCHES): State.HOLDS,
    }
)
"""An absent pair is a peer that breaks the protocol; DUE happens only to a link that has its keys."""

_advance: Final = stepping("a link's key", TRANSITIONS)


class Rekeying:
    """One link's share of it; ``now`` is monotonic seconds everywhere.

    Args:
        source: what new keys are made from.
        is_dialer: whether this end dialed.
        peer: what the handshake has established.
        pulse: of the link: when something came from the peer.
    """

    __slots__ = (
        "_asked_at",
        "_binding",
        "_bucket",
        "_carried_before",
        "_carried_bytes",
        "_exchange",
        "_is_agreed",
        "_is_dialer",
        "_next_receive_key",
        "_peer_static",
        "_pulse",
        "_since",
        "_source",
        "_wanted",
        "state",
    )

    _exchange: Handshake
    """The one that this end has begun last; once it is over it holds no secrets."""

    def __init__(self, source: KeySource, *, is_dialer: bool, peer: EstablishedLink, pulse: Pulse) -> None:
        self.state = State.HOLDS
        self._source = source
        self._is_dialer = is_dialer
        self._is_agreed = REKEY_FEATURE in peer.features
        self._peer_static = peer.peer_static
        self._pulse = pulse
        self._binding = peer.binding
        """32 bytes: names the exchange that made the present keys."""
        self._since = self._asked_at = pulse.heard_at
        """When the present keys were made, and when a request was sent or answered."""
        self._carried_bytes = self._carried_before = 0
        """What the link had carried when it was last judged, and when it got the present keys."""
        self._bucket = TokenBucket(source.limits.rate, source.limits.burst)
        self._next_receive_key = b""
        """What opens the peer's frames once it switches, while that is awaited."""
        self._wanted: list[effects.LinkEffect] = []
        """What the frames of the read at hand have made necessary."""

    # -- time and volume -------------------------------------------------------------------------------------

    def judge(self, now: float, carried_bytes: int, wanted: list[effects.LinkEffect]) -> None:
        """Ask for new keys if those there are have served; what is to be done goes to ``wanted``.

        Args:
            now: monotonic seconds.
            carried_bytes: by the link so far, both directions together.
            wanted: effects of the link.
        """
        self._carried_bytes = carried_bytes
        if self.state is not State.HOLDS or not self._is_agreed:
            return
        limits, share = self._source.limits, self._share()
        if (
            now - self._since >= share * limits.after_s
            or carried_bytes - self._carried_before >= share * limits.after_bytes
        ):
            self.state = _advance(self.state, Event.DUE)
            self._asked_at = now
            self._exchange = self._new_exchange(initiator=True)
            message = self._exchange.write_message(b"")
            wanted.append(effects.SendOwn(FrameType.REKEY, link_bodies.encode_rekey(message)))

    def cause_of_death(self, now: float, carried_bytes: int) -> str:
        """Why the link is to end, or an empty text."""
        limits = self._source.limits
        if self.state is not State.HOLDS and now - self._asked_at >= limits.answer_s:
            return f"the peer has not taken up new keys within {limits.answer_s:g} s"
        if carried_bytes - self._carried_before >= limits.most_bytes:
            return "its keys have served as long as any may"
        return ""

    def _share(self) -> float:
        """How much of what keys may serve these do, at this end: drawn by the exchange that made them."""
        draw = int.from_bytes(self._binding[:4], "big") / 2**32
        return (DIALER_SHARE if self._is_dialer else ACCEPTOR_SHARE) + SHARE_SPREAD * draw

    # -- what the peer says ----------------------------------------------------------------------------------

    def take(self, kind: int, body: bytes) -> bytes:
        """The key that opens what stands behind this REKEY or NEW_KEY; empty if it is the same as before.

        Called by the reader of the link, in the middle of what it reads; :meth:`hand_over` says later, when
        the frame has its turn, what is to be done.

        Raises:
            RemoteProtocolError: it is not what the peer is to say now, or it does not authenticate.
        """
        if not self._is_agreed:
            raise RemoteProtocolError(f"{type_name(kind)}, which the two have not agreed upon")
        message = link_bodies.decode_rekey(body)
        if kind == FrameType.REKEY:
            self._take_request(message)
            return b""
        return self._take_switch(message)

    def hand_over(self, wanted: list[effects.LinkEffect]) -> None:
        """What is to be done about the frames that were taken goes to ``wanted``."""
        wanted += self._wanted
        self._wanted = []

    def _take_request(self, message: bytes) -> None:
        now = self._pulse.heard_at
        if not self._bucket.take(now):
            raise RemoteProtocolError("it asks for new keys more often than a link ever needs")
        event = Event.PEER_ASKS
        if self.state is not State.HOLDS:
            event = Event.PEER_IS_VOID if self._is_dialer else Event.PEER_PREVAILS
        self._step(FrameType.REKEY, event)
        if event is Event.PEER_IS_VOID:
            return  # its end will answer the request of this one, and forget its own
        if event is Event.PEER_PREVAILS:
            self._exchange.forget()
        exchange = self._new_exchange(initiator=False)
        exchange.read_message(message)
        answer = exchange.write_message(b"")
        self._next_receive_key, send_key = exchange.split()
        self._binding = exchange.handshake_hash
        self._asked_at = now
        self._wanted.append(effects.SwitchSealing(link_bodies.encode_rekey(answer), send_key))

    def _take_switch(self, message: bytes) -> bytes:
        is_answered = self.state is State.ANSWERED
        self._step(FrameType.NEW_KEY, Event.PEER_SWITCHES)
        if is_answered:
            if message:
                raise RemoteProtocolError("NEW_KEY of whoever has asked, with an answer in it")
            receive_key, self._next_receive_key = self._next_receive_key, b""
        else:
            self._exchange.read_message(message)
            send_key, receive_key = self._exchange.split()
            self._binding = self._exchange.handshake_hash
            self._exchange.forget()
            self._wanted.append(effects.SwitchSealing(link_bodies.encode_rekey(b""), send_key))
        self._since = self._pulse.heard_at
        self._carried_before = self._carried_bytes
        self._wanted.append(effects.LinkRekeyed())
        return receive_key

    def _step(self, kind: FrameType, event: Event) -> None:
        if (self.state, event) not in TRANSITIONS:
            raise RemoteProtocolError(f"{kind.name} on a link that {self.state.value}")
        self.state = _advance(self.state, event)

    # -- the exchange ----------------------------------------------------------------------------------------

    def _new_exchange(self, *, initiator: bool) -> Handshake:
        return Handshake(
            "KK",
            initiator=initiator,
            prologue=PROLOGUE_CONTEXT + self._binding,
            static=self._source.static,
            ephemeral=self._source.fresh(),
            remote_static=self._peer_static,
        )
