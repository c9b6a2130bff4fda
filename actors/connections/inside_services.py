"""What an agent serves by itself under reserved keys: who may have it, how much, and by which actors."""

import enum
import logging
from collections.abc import Callable
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

from actors.messages import inside_end as messages
from actors.runtime.reference import tell_if_alive
from actors.runtime.seam import Dispatcher, Ref, StreamSocket
from mesh.connection.reject_codes import RejectCode
from mesh.connection.reserved import BENCH, CONTROL, ECHO, ENROL, Caller, ReservedKey
from mesh.connection.rights import INVITATION_ONLY
from mesh.connection.shares import Shares
from mesh.journal import EventKind
from mesh.sampling import sampled
from mesh.telling import event
from mesh.trust.identity import AgentId
from mesh.trust.naming import named

log = logging.getLogger("mesh.agent")

ECHO_PLACES: Final = 64
"""Echoes at one time, of all ingresses; each takes two descriptors and at most 16 KiB."""

ECHO_PLACES_EACH: Final = 16
"""Of these, for one ingress."""

BENCH_PLACES: Final = 2
"""Benches at one time: each may take all that the processor has."""

CONTROL_PLACES: Final = 8
"""Questions to this agent's API at one time, of all agents; each may hold an answer of some megabytes."""

CONTROL_PLACES_EACH: Final = 4
"""Of these, for one agent."""


ENROL_PLACES: Final = 64
"""Questions for certificates at one time, of all agents. Each is answered at once, but a few that ask slowly
on purpose are not to keep all others from theirs. Each takes two descriptors."""

ENROL_PLACES_EACH: Final = 1
"""Of these, for one agent."""


IDLE_FACTOR: Final = 4
"""An agent that has held a place for a certificate and asked for none has none for so many times as long:
those that do so on purpose leave most of the places, most of the time, to others."""

MAX_IDLE: Final = 4_096
"""Agents of which that is remembered; the first one is forgotten first."""


class Refusal(NamedTuple):
    """Why an inside service does not serve."""

    code: RejectCode
    reason: str


class _Need(enum.Enum):
    """What it takes to be served."""

    NOTHING = enum.auto()
    SUBJECT = enum.auto()
    """To speak of a key, which one may use here."""
    MANAGE = enum.auto()
    """The right to manage, and to speak of no key."""
    NO_SUBJECT = enum.auto()
    """To speak of no key; the service judges by itself whom it serves."""


class _Kind(NamedTuple):
    """One inside service."""

    places: int
    places_each: int
    need: _Need


_KINDS: Final = MappingProxyType(
    {
        ECHO: _Kind(ECHO_PLACES, ECHO_PLACES_EACH, _Need.NOTHING),
        BENCH: _Kind(BENCH_PLACES, 1, _Need.SUBJECT),
        CONTROL: _Kind(CONTROL_PLACES, CONTROL_PLACES_EACH, _Need.MANAGE),
        ENROL: _Kind(ENROL_PLACES, ENROL_PLACES_EACH, _Need.NO_SUBJECT),
    }
)

StartEnd: TypeAlias = Callable[[str, Caller, Callable[[bool], None]], Ref[messages.Inbound]]
"""Starts an actor that serves an agent with the service of this name, and calls the latter when it ends:
whether it was of use."""


class InsideServices:
    """Those of one agent. A connection that is served counts like any other, too.

    Args:
        dispatcher: where the ends run.
        start_end: starts what serves.
    """

    def __init__(self, dispatcher: Dispatcher, start_end: StartEnd) -> None:
        self._dispatcher = dispatcher
        self._start_end = start_end
        self._places: dict[str, Shares[AgentId]] = {
            name: Shares(kind.places) for name, kind in _KINDS.items()
        }
        self._ends: dict[Ref[messages.Inbound], tuple[str, AgentId]] = {}
        self._idle: dict[AgentId, float] = {}
        """Who has held a place for a certificate in vain, and until when (s, monotonic) it gets none."""
        self._is_open = True

    def objection(self, key: ReservedKey, ingress: Caller) -> Refusal | None:
        """Why ``ingress``, which may use the key that this one speaks of, is not served now."""
        kind = _KINDS.get(key.service)
        if ingress.certificate.is_invitation and key.service != ENROL:
            return Refusal(RejectCode.NOT_PERMITTED, INVITATION_ONLY)
        if kind is None:
            return Refusal(RejectCode.UNKNOWN_KEY, "this agent has no such service")
        if (
            kind.need is _Need.MANAGE and not ingress.certificate.may_manage
        ):  # before all that would tell of this agent
            facts = {"agent": named(ingress.name, ingress.id)}
            marks = sampled(facts["agent"]) | event(EventKind.MANAGEMENT)
            log.warning("%(agent)s may not manage this agent, and asks to", facts, extra=marks)
            return Refusal(RejectCode.NOT_PERMITTED, "this is for those whose certificates let them manage")
        if kind.need in (_Need.MANAGE, _Need.NO_SUBJECT) and key.subject:
            return Refusal(RejectCode.UNKNOWN_KEY, "this service speaks of no key")
        if kind.need is _Need.SUBJECT and not key.subject:
            return Refusal(RejectCode.NOT_PERMITTED, "this service is for those that may use a key here")
        if not self._is_open:
            return Refusal(RejectCode.UNAVAILABLE, "the agent is leaving")
        held = sum(each == (key.service, ingress.id) for each in self._ends.values())
        if held >= kind.places_each:
            return Refusal(RejectCode.AT_CAPACITY, "this agent has as many of it as it may have at one time")
        if key.service == ENROL and self._dispatcher.now() < self._idle.get(ingress.id, 0.0):
            return Refusal(
                RejectCode.AT_CAPACITY, "this agent has just held a place and asked nothing; later"
            )
        if not self._places[key.service].may_take(ingress.id):
            return Refusal(RejectCode.AT_CAPACITY, "too many use it at present")
        return None

    def open(self, key: ReservedKey, ingress: Caller) -> StreamSocket | None:
        """Begin to serve ``ingress``, to which there is no objection; the caller owns the socket.

        ``None`` if no descriptor is left for it.
        """
        try:
            near, far = self._dispatcher.pair()
        except OSError:
            return None
        end: Ref[messages.Inbound]

        began_at = self._dispatcher.now()

        def leave(was_of_use: bool) -> None:
            service, holder = self._ends.pop(end)
            self._places[service].leave(holder)
            if service == ENROL and not was_of_use:  # those who may manage are trusted with more
                self._was_idle(holder, began_at)

        end = self._start_end(key.service, ingress, leave)
        self._places[key.service].take(ingress.id)
        self._ends[end] = (key.service, ingress.id)
        end.tell(messages.ServeInside(far))
        return near

    def _was_idle(self, who: AgentId, began_at: float) -> None:
        now = self._dispatcher.now()
        self._idle.pop(who, None)
        self._idle[who] = now + IDLE_FACTOR * (now - began_at)
        if len(self._idle) > MAX_IDLE:
            del self._idle[next(iter(self._idle))]

    def close(self) -> None:
        """Serve nobody from now on."""
        self._is_open = False
        for end in list(self._ends):
            tell_if_alive(end, messages.EndService())
