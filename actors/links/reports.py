"""What a link says of its end in the log, and how often."""

import logging
from string import digits
from typing import Final, NamedTuple

from actors.runtime.seam import StreamSocket
from mesh.alarms import THIS_AGENT, AlarmKind
from mesh.black_hole import Evidence, evidence
from mesh.escaping import escaped
from mesh.journal import EventKind
from mesh.sampling import alarming, sampled
from mesh.telling import event

log = logging.getLogger("mesh.links")

_WITHOUT_DIGITS: Final = str.maketrans("", "", digits)


MAX_TROUBLE_CHARACTERS: Final = 300
"""Of a failure, as the dashboard shows it: a peer may supply the reason."""

LINK: Final = event(EventKind.LINK)
"""Of lines about links, which are events."""


def report_refusal(address: str, why: str) -> None:
    """Whoever has connected from ``address`` gets no link."""
    place = f"{address.rpartition(':')[0]} {_kind(why)}"
    line = "link refused: %(reason)s (accepted %(address)s)"
    log.warning(line, {"reason": escaped(why), "address": address}, extra=sampled(place) | LINK)


class End(NamedTuple):
    """How a link ended, for people."""

    why: str = "this agent closed it"
    has_left: bool = False
    """Whether the peer has said that its agent leaves."""


class LinkReports:
    """The log lines of one link; a peer or a stranger can cause each of them at will.

    Args:
        socket: the link's, for the peer's address and what the kernel knows of the path.
        timeout_s: silence after which a peer is dead.
        is_dialer: whether this end has dialed.
    """

    __slots__ = ("_is_dialer", "_socket", "_timeout_s", "end", "evidence", "peer_name")

    def __init__(self, socket: StreamSocket, *, timeout_s: float, is_dialer: bool) -> None:
        self._socket = socket
        self._timeout_s = timeout_s
        self._is_dialer = is_dialer
        self.evidence = Evidence.NONE
        """What the end of the link says of its path."""
        self.end = End()
        self.peer_name = ""
        """As its certificate says, once that is known."""

    def refused(self, why: str) -> None:
        """The handshake of a link that was accepted has failed."""
        report_refusal(self._socket.peer_name, why)

    def met_copy(self, why: str) -> None:
        """The other end has this agent's identity, and is another process."""
        mark = alarming(AlarmKind.IDENTITY, THIS_AGENT)
        facts = {"reason": escaped(why), "address": self._socket.peer_name}
        log.error("duplicate identity: %(reason)s (peer at %(address)s)", facts, extra=mark)

    def broken(self, why: str) -> None:
        """The peer has broken the protocol."""
        self.end = End(f"the peer broke the protocol: {escaped(why)}")
        self._say(logging.WARNING, "link broken: %(reason)s (peer %(peer)s at %(address)s)", escaped(why))

    def forged(self, why: str, member: str) -> None:
        """The peer, ``member``, has spoken in the name of another."""
        self.end = End(f"tampering: {escaped(why)}")
        line = "tampering: link broken: %(reason)s (peer %(peer)s at %(address)s)"
        facts = {"reason": escaped(why), "peer": member, "address": self._socket.peer_name}
        log.warning(line, facts, extra=alarming(AlarmKind.TAMPERING, member))

    def certificate_expired(self) -> None:
        """The peer's certificate has come to its end; the link is closed in order."""
        self.end = End("the peer's certificate has expired")
        log.warning("the certificate of %(peer)s has expired", {"peer": escaped(self.peer_name)})

    def lost(self, why: str, *, has_left: bool) -> None:
        """The link is ending for another reason, its socket is not closed yet."""
        self.end = End(why, has_left)
        self.evidence = evidence(self._socket.path_figures(), self._timeout_s)
        self._say(logging.INFO, "link lost: %(reason)s (peer %(peer)s at %(address)s)", why)
        if self.evidence is Evidence.STRONG and not self._is_dialer:  # a dialer says it, and helps itself
            line = "%(reason)s on the way to %(peer)s at %(address)s: check the MTU of the path"
            self._say(logging.WARNING, line, "packets of full size seem to get lost")

    def retires(self, why: str) -> None:
        """One end does not want the link any more: it will be replaced, or closed."""
        self._say(logging.INFO, "link retires: %(reason)s (peer %(peer)s at %(address)s)", why)

    def met_itself(self) -> None:
        """The other end is this very agent; the dialer says so where people look."""
        log.debug("met itself (%s)", self._socket.peer_name)

    def _say(self, level: int, line: str, why: str) -> None:
        name = escaped(self.peer_name)
        facts = {"reason": why, "peer": name, "address": self._socket.peer_name}
        log.log(level, line, facts, extra=sampled(f"{name} {_kind(why)}") | LINK)


def _kind(why: str) -> str:
    """``why`` without what the other end makes up, such as its first bytes, a length or its reason.

    That must not be a place of its own: there is room for few.
    """
    return why.partition(":")[0].translate(_WITHOUT_DIGITS)


def brief(trouble: str) -> str:
    """A failure as the dashboard shows it."""
    shown = escaped(trouble)
    return shown if len(shown) <= MAX_TROUBLE_CHARACTERS else f"{shown[:MAX_TROUBLE_CHARACTERS]}..."
