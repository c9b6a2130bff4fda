"""What lies between two simulated hosts: links that delay, serialise, and can be cut.

Loss shows as delay, as it does to a user of TCP. There is no congestion window: a link is shared by turns.
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from actors.runtime.virtual.clock import Trace, VirtualClock, VirtualEvent

BURST_BYTES: Final = 65_536
"""Most that a stream puts on a link in one go: what Linux hands to a network card at once (GSO)."""

SLOW_BURST_S: Final = 0.001
"""On a slow link a burst takes no longer than this (but is a packet at least), so that streams interleave."""

PACKET_BYTES: Final = 1448
"""Payload of a full Ethernet frame with TCP timestamps."""

RETRANSMISSION_S: Final = 0.2
"""After a link has healed, what was lost arrives this much later: Linux's least retransmission time-out."""


class Traffic(Protocol):
    """What takes turns on a link."""

    queued: bool
    """Whether the link has it among those that take turns; the link's to set."""

    def take_burst(self, limit_bytes: int) -> bytes | None:
        """Bytes to send now; empty is the end of the stream, ``None`` is nothing for the time being."""
        ...

    def arrival(self, burst: bytes) -> Callable[[], None]:
        """What happens at the far end once ``burst`` gets there."""
        ...

    def departed(self) -> None:
        """A burst has left."""
        ...


class Link:
    """One direction between two hosts: first in, first out.

    Args:
        latency_s: One way, seconds.
        bytes_per_s: Bandwidth; ``None`` is unlimited.
    """

    def __init__(
        self, clock: VirtualClock, trace: Trace, name: str, latency_s: float, bytes_per_s: float | None
    ) -> None:
        self.latency_s = latency_s
        self.bytes_per_s = bytes_per_s
        self.refusing = False
        """Cut with resets: connect attempts over this link are refused."""
        self._clock = clock
        self._trace = trace
        self._name = name
        self._cut = False
        self._free_at = 0.0
        self._last_arrival = 0.0
        self._lost: list[Callable[[], None]] = []
        self._recovery: VirtualEvent | None = None
        self._waiting: deque[Traffic] = deque()
        self._wake: VirtualEvent | None = None

    @property
    def is_cut(self) -> bool:
        """Whether everything sent over this link is silently lost at present."""
        return self._cut

    def cut(self) -> None:
        """Lose everything from now on, silently; the senders' kernels keep it for later."""
        self._cut = True
        if self._recovery is not None:
            self._recovery.cancel()
            self._recovery = None

    def heal(self) -> None:
        """Carry again; what was lost arrives a retransmission later, in its order."""
        self.refusing = False
        if self._cut:
            self._cut = False
            self._recovery = self._clock.after(RETRANSMISSION_S + self.latency_s, self._recover)

    def carry(self, action: Callable[[], None]) -> None:
        """Run ``action`` at the far end once a packet sent now arrives, behind all sent before."""
        self._depart(self._clock.now, action)

    def carry_signal(self, action: Callable[[], None]) -> float | None:
        """When an acknowledgement sent now would arrive; ``None``, and ``action`` later, if it is lost."""
        if self._cut or self._lost:
            self._lost.append(action)
            return None
        return self._clock.now + self.latency_s

    def request(self, traffic: Traffic) -> None:
        """Give ``traffic`` its turns until it has nothing more that it may send."""
        if not traffic.queued:
            traffic.queued = True
            self._waiting.append(traffic)
        if self._wake is None:
            self._pump()

    def _pump(self) -> None:
        self._wake = None
        clock = self._clock
        while self._waiting:
            if self._free_at > clock.now:
                self._wake = clock.at(self._free_at, self._pump)
                return
            traffic = self._waiting.popleft()
            burst = traffic.take_burst(self._burst_bytes())
            if burst is None:
                traffic.queued = False
                continue
            self._waiting.append(traffic)  # at the end: turns go round
            if self.bytes_per_s is not None:
                self._free_at = clock.now + len(burst) / self.bytes_per_s
            self._depart(max(clock.now, self._free_at), traffic.arrival(burst))
            traffic.departed()

    def _burst_bytes(self) -> int:
        if self.bytes_per_s is None:
            return BURST_BYTES
        return min(BURST_BYTES, max(PACKET_BYTES, int(self.bytes_per_s * SLOW_BURST_S)))

    def _depart(self, time: float, action: Callable[[], None]) -> None:
        # Never before what was sent earlier, also where the latency has been lowered meanwhile.
        self._last_arrival = max(time + self.latency_s, self._last_arrival)
        self._clock.at(self._last_arrival, partial(self._arrive, action))

    def _arrive(self, action: Callable[[], None]) -> None:
        if self._cut or self._lost:
            self._lost.append(action)
        else:
            action()

    def _recover(self) -> None:
        self._recovery = None
        lost, self._lost = self._lost, []
        self._trace.note("recovered", self._name, len(lost))
        for action in lost:
            action()
