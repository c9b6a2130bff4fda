"""What an agent serves by itself under reserved keys: who may have it, how much, and by which actors."""

from collections.abc import Callable
from types import MappingProxyType
from typing import Final, NamedTuple

from actors.messages import inside_end as messages
from actors.runtime.reference import tell_if_alive
from actors.runtime.seam import Dispatcher, Ref, StreamSocket
from mesh.connection.reject_codes import RejectCode
from mesh.connection.reserved import BENCH, ECHO, ReservedKey
from mesh.connection.shares import Shares
from mesh.diagnostics.serving import Bench, Echo
from mesh.diagnostics.talk import Talk
from mesh.trust.identity import AgentId

ECHO_PLACES: Final = 64
"""Echoes at one time, of all ingresses; each takes two descriptors and at most 16 KiB."""

ECHO_PLACES_EACH: Final = 16
"""Of these, for one ingress."""

BENCH_PLACES: Final = 2
"""Benches at one time: each may take all that the processor has."""


class Refusal(NamedTuple):
    """Why an inside service does not serve."""

    code: RejectCode
    reason: str


class _Kind(NamedTuple):
    """One inside service."""

    begin: Callable[[float], Talk]
    places: int
    places_each: int
    needs_subject: bool
    """Whether it serves those only that may use a key here."""


_KINDS: Final = MappingProxyType(
    {
        ECHO: _Kind(Echo, ECHO_PLACES, ECHO_PLACES_EACH, needs_subject=False),
        BENCH: _Kind(Bench, BENCH_PLACES, 1, needs_subject=True),
    }
)


class InsideServices:
    """Those of one agent. A connection that is served counts like any other, too.

    Args:
        dispatcher: where the ends run.
        start_end: starts an actor that serves with a talk, and calls the latter when it ends.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        start_end: Callable[[Talk, Callable[[], None]], Ref[messages.Inbound]],
    ) -> None:
        self._dispatcher = dispatcher
        self._start_end = start_end
        self._places: dict[str, Shares[AgentId]] = {
            name: Shares(kind.places) for name, kind in _KINDS.items()
        }
        self._ends: dict[Ref[messages.Inbound], tuple[str, AgentId]] = {}
        self._is_open = True

    def objection(self, key: ReservedKey, ingress: AgentId) -> Refusal | None:
        """Why ``ingress``, which may use the key that this one speaks of, is not served now."""
        kind = _KINDS.get(key.service)
        if kind is None:
            return Refusal(RejectCode.UNKNOWN_KEY, "this agent has no such service")
        if kind.needs_subject and not key.subject:
            return Refusal(RejectCode.NOT_PERMITTED, "this service is for those that may use a key here")
        if not self._is_open:
            return Refusal(RejectCode.UNAVAILABLE, "the agent is leaving")
        held = sum(each == (key.service, ingress) for each in self._ends.values())
        if held >= kind.places_each:
            return Refusal(RejectCode.AT_CAPACITY, "this agent has as many of it as it may have at one time")
        if not self._places[key.service].may_take(ingress):
            return Refusal(RejectCode.AT_CAPACITY, "too many use it at present")
        return None

    def open(self, key: ReservedKey, ingress: AgentId) -> StreamSocket | None:
        """Begin to serve ``ingress``, to which there is no objection; the caller owns the socket.

        ``None`` if no descriptor is left for it.
        """
        try:
            near, far = self._dispatcher.pair()
        except OSError:
            return None
        end: Ref[messages.Inbound]

        def leave() -> None:
            service, holder = self._ends.pop(end)
            self._places[service].leave(holder)

        end = self._start_end(_KINDS[key.service].begin(self._dispatcher.now()), leave)
        self._places[key.service].take(ingress)
        self._ends[end] = (key.service, ingress)
        end.tell(messages.ServeInside(far))
        return near

    def close(self) -> None:
        """Serve nobody from now on."""
        self._is_open = False
        for end in list(self._ends):
            tell_if_alive(end, messages.EndService())
