"""Asking one exit for one connection: under a pair session if there is one, else with a handshake.

An exit that does not know the pair session says so with UNKNOWN. Nobody vouches for that, so it only makes
the ingress send a full OPEN as well, with the same number; the exit takes one of the two, whichever comes
first, and the answer to either counts. So it is after some silence: UNKNOWN may be lost.
"""

import enum
from collections.abc import Callable
from typing import Protocol

from msgspec import structs

from mesh.connection.opening_payloads import OpenReply, OpenRequest
from mesh.connection.session import Session
from mesh.connection.session_handshake import SessionInitiator
from mesh.connection.short_open import SHORT_OPEN, ShortInitiator
from mesh.errors import AuthenticationError
from mesh.link.frames import Frame


class Openers(Protocol):
    """Makes what opens one connection; each at most once."""

    def prepare_short(self) -> bool:
        """Derive ahead what :meth:`short` takes; whether there is a pair session for it at present."""
        ...

    def short(self) -> ShortInitiator | None:
        """What opens it under the present pair session, if there is one and it is to be used."""
        ...

    def doubt_pair(self) -> None:
        """The exit says, unauthenticated, that it does not know the present pair session."""
        ...

    def full(self, *, is_ahead: bool) -> SessionInitiator:
        """What opens it with a handshake; made ahead, for a client that is yet to come, or at once."""
        ...


class Form(enum.Enum):
    """Which OPEN is sent."""

    UNDECIDED = "undecided"
    """None yet."""
    SHORT = "short"
    FULL = "full"
    BOTH = "both"
    """The short one was sent first, and may have been taken, or not."""


class Initiator:
    """Asks; which form it takes is decided when the OPEN is first wanted, and stays so while it is repeated.

    Args:
        openers: of this exit, and the connection's number.
    """

    __slots__ = ("_answered", "_form", "_full", "_openers", "_short")

    _answered: ShortInitiator | SessionInitiator
    """Set by the answer."""

    def __init__(self, openers: Openers) -> None:
        self._openers = openers
        self._form = Form.UNDECIDED
        self._short: tuple[ShortInitiator, ...] = ()
        self._full: tuple[SessionInitiator, ...] = ()

    @property
    def is_prepared(self) -> bool:
        """Whether a handshake has been begun ahead, with a key pair that grows old."""
        return self._form is Form.UNDECIDED and bool(self._full)

    @property
    def id(self) -> str:
        """The connection's, for people, once there is an answer: also of one that was rejected."""
        return self._answered.id

    def prepare(self, request: Callable[[], OpenRequest]) -> None:
        """Make a full OPEN ahead, or derive the keys of a short one: all else of that takes no time.

        Raises:
            AuthenticationError: the exit's session key is of small order.
        """
        if not self._openers.prepare_short():
            self._full = (self._openers.full(is_ahead=True),)
            self._full[0].open_frame(request())

    def open_frame(self, request: OpenRequest) -> Frame:
        """The OPEN to send at first, or because of :meth:`pair_unknown`; its bytes are the same each time.

        Raises:
            LocalProtocolError: the request differs from that of an earlier call, or a field is out of range.
            AuthenticationError: the exit's session key is of small order.
        """
        if self._form is Form.UNDECIDED:
            self._decide()
        if self._form is Form.SHORT:
            return self._short[0].open_frame(request)
        return self._full[0].open_frame(structs.replace(request, early=b"") if request.early else request)

    def early_room(self, request: OpenRequest) -> int:
        """How many bytes of the client's fit into the OPEN beside ``request``; none into a full one."""
        if self._form is Form.UNDECIDED:
            self._decide()
        return self._short[0].early_room(request) if self._form is Form.SHORT else 0

    def repetitions(self, request: OpenRequest) -> tuple[Frame, ...]:
        """What to repeat: one form, or both, for which the exit has taken is not known.

        The full one first, which the exit can read in any case.

        Raises:
            AuthenticationError: the exit's session key is of small order.
        """
        newest = self.open_frame(request)
        return (newest, self._short[0].open_frame(request)) if self._form is Form.BOTH else (newest,)

    def pair_unknown(self) -> bool:
        """The exit says, unauthenticated, that it has no such pair session; whether that changes anything."""
        if self._form is not Form.SHORT:
            return False
        self._openers.doubt_pair()
        self.insist()
        return True

    def insist(self) -> None:
        """The exit is silent: if the OPEN was short, there is to be a full one as well."""
        if self._form is Form.SHORT:
            self._form = Form.BOTH
            self._full = (self._openers.full(is_ahead=False),)

    def read_reply(self, frame: Frame) -> tuple[OpenReply, Session | None]:
        """The exit's answer from its ACCEPT or REJECT, and the session if it accepts.

        Raises:
            AuthenticationError: the frame is not the exit's answer; the genuine one can still be read.
            RemoteProtocolError: the exit answered what makes no sense.
        """
        for asked in self._short if frame.number == SHORT_OPEN else self._full:
            answer = asked.read_reply(frame)
            self._answered = asked
            if asked in self._full and self._form is Form.BOTH and not answer[0].keeps_pair:
                self._openers.doubt_pair()  # it has not taken the short one, and there is no other pair yet
            return answer
        raise AuthenticationError("an answer to an OPEN of the form that was not sent")

    def _decide(self) -> None:
        short = self._openers.short()
        if short is not None:
            self._form = Form.SHORT
            self._short, self._full = (short,), ()
        else:
            self._form = Form.FULL
            if not self._full:
                self._full = (self._openers.full(is_ahead=False),)
