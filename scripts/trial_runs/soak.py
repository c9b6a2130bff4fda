"""Mixed load for a long time on a diamond with two exits, while relays and exits fail time and again."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from scripts.trial_runs.clients import Load, Request, conversation, request, transfer, transfers
from scripts.trial_runs.trial import MIB, Stage

CONVERSATIONS: Final = 20
CONVERSATION_PAUSE_S: Final = 1.0
TRANSFER_BYTES: Final = 16 * MIB
NAMES: Final = ("hq", "spare")
"""Of the exits, by what their services answer; all that lasts is with the first, which never fails."""

SHORT_PAUSE_S: Final = 0.5
LONG_PAUSE_S: Final = 4.0
"""Of a relay: its links hold, or are taken for dead."""
CALM_S: Final = (0.5, 2.0)
"""Between two faults."""
REROUTE_TIMEOUT_S: Final = 3
"""What an exit that was killed had open waits so long for a path. With less a connection may be given up
before it has left a relay that was paused: with 2 s that came to 31 of them in an hour."""
NOTICE_S: Final = 1.0
"""After so long the whole mesh knows that an exit is gone; what is opened from then on is served."""
QUIET_S: Final = 30.0
"""For what the load took to be given back."""

MOST_GROWTH_BYTES: Final = 48 * MIB
"""Of an agent that is not restarted, from a quarter of the time on: more than buffers come and go, and less
than an hour's connections come to if one in a hundred leaves behind what it takes while it is open."""

FAULTS: Final = "faults"
REQUESTS: Final = "requests"
IN_FLIGHT: Final = "requests in flight to a killed exit that failed"
SLOWEST: Final = "slowest request [s]"
ROUNDS: Final = "rounds on long connections"
LONGEST: Final = "longest wait of a long connection [s]"
TRANSFERS: Final = "transfers"
STALL: Final = "longest wait of a transfer [s]"
GROWTH: Final = "memory grown: {} [MiB]"


@dataclass
class _Seen:
    """What became of the requests; there are millions in an hour."""

    count: int = 0
    slowest_s: float = 0.0
    failed: list[Request] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, one: Request) -> None:
        """Count it."""
        with self._lock:
            self.count += 1
            self.slowest_s = max(self.slowest_s, one.ended_at - one.began_at)
            if one.failure:
                self.failed.append(one)


class _Mesh:
    """branch and two exits, each linked with both relays."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.branch, self.hq, self._spare = (stage.agent(name) for name in ("branch", *NAMES))
        self._relays = [stage.agent("left"), stage.agent("right")]
        self.branch.config["connections"]["reroute_timeout"] = REROUTE_TIMEOUT_S
        for end in (self.branch, self.hq, self._spare):
            end.dial(*self._relays)
        self.ports = {}
        for kind in ("web", "echo", "bulk"):
            self.hq.offer(kind, stage.serve(kind, "hq")[1])
            self.ports[kind] = self.branch.listen(kind)
        self._spare.offer("web", stage.serve("web", "spare")[1])
        stage.mesh.start()
        self._wait_until_whole()
        for kind in self.ports:
            self.branch.wait_for_route(kind, self.hq)
        self.killed: list[tuple[float, float]] = []
        """When exits were killed, and when everybody knew."""

    def faults(self) -> Iterator[Callable[[], None]]:
        """What may happen, for ever; each as often as the others."""
        kinds = [self._kill_relay, self._restart_relay, self._pause_relay, self._kill_exit]
        while True:
            self._stage.draw.shuffle(kinds)
            yield from kinds

    def _wait_until_whole(self) -> None:
        for end in (self.branch, self.hq, self._spare):
            end.wait_for_peers(*self._relays)
        self.branch.wait_for_route("web", self._spare)

    def _relay(self) -> Any:
        return self._stage.draw.choice(self._relays)

    def _kill_relay(self) -> None:
        relay = self._relay()
        self._stage.tell(f"kill {relay.name}")
        self._start_anew(relay, lambda relay: relay.kill())

    def _restart_relay(self) -> None:
        relay = self._relay()
        self._stage.tell(f"restart {relay.name}")
        relay.process.signal(signal.SIGTERM)
        self._start_anew(relay, lambda relay: relay.process.wait())

    def _pause_relay(self) -> None:
        relay, pause_s = self._relay(), self._stage.draw.choice((SHORT_PAUSE_S, LONG_PAUSE_S))
        self._stage.tell(f"pause {relay.name} for {pause_s:g} s")
        relay.pause()
        time.sleep(pause_s)
        relay.resume()
        self._wait_until_whole()

    def _kill_exit(self) -> None:
        began_at = time.monotonic()
        self._stage.tell(f"kill {self._spare.name}")
        self._spare.kill()
        self.killed.append((began_at, time.monotonic() + NOTICE_S))
        time.sleep(NOTICE_S)
        self._start_anew(self._spare, lambda _: None)

    def _start_anew(self, agent: Any, end: Callable[[Any], object]) -> None:
        end(agent)
        agent.start()
        self._wait_until_whole()


def run(stage: Stage) -> None:
    """Requests, long connections and transfers for the time that the effort says; nothing is left of them."""
    mesh = _Mesh(stage)
    ports = mesh.ports
    request(ports["web"], NAMES)
    next(conversation(ports["echo"], [])())
    transfer(ports["bulk"], MIB, up=True)
    lasting = (mesh.branch, mesh.hq)
    for agent in lasting:
        agent.wait_until_quiet()
    baselines = [agent.usage() for agent in lasting]
    load, seen, waits_s, stalls_s = Load(stage.effort.rest_s), _Seen(), list[float](), list[float]()

    def asking() -> Iterator[None]:
        while True:
            seen.note(request(ports["web"], NAMES))
            yield

    load.start(asking, stage.effort.clients)
    load.start(conversation(ports["echo"], waits_s, CONVERSATION_PAUSE_S), CONVERSATIONS)
    load.start(transfers(ports["bulk"], min(stage.effort.byte_count, TRANSFER_BYTES), stalls_s))
    try:
        memory = _break(stage, mesh)
    finally:
        load.stop()
    for failure in load.failures:
        stage.fault(f"a long connection or a transfer broke: {failure}")
    in_flight = [one for one in seen.failed if _met(one, mesh.killed)]
    for one in seen.failed:
        if one not in in_flight:
            stage.fault(f"a request failed: {one.failure}")
    for agent, baseline, before in zip(lasting, baselines, memory, strict=True):
        agent.wait_until_quiet(baseline, QUIET_S)
        grown = agent.process.memory() - before
        stage.figure(GROWTH.format(agent.name), grown / MIB)
        if grown > MOST_GROWTH_BYTES:
            stage.fault(f"{agent.name} has grown by {grown / MIB:.0f} MiB")
    stage.figure(REQUESTS, seen.count)
    stage.figure(IN_FLIGHT, len(in_flight))
    stage.figure(SLOWEST, seen.slowest_s)
    stage.figure(ROUNDS, len(waits_s))
    stage.figure(LONGEST, max(waits_s, default=0.0))
    stage.figure(TRANSFERS, len(stalls_s))
    stage.figure(STALL, max(stalls_s, default=0.0))


def _break(stage: Stage, mesh: _Mesh) -> list[int]:
    """One fault after another until the time is over; the memory of branch and hq after a quarter of it."""
    began_at = time.monotonic()
    memory: list[int] = []
    for number, fault in enumerate(mesh.faults()):
        passed_s = time.monotonic() - began_at
        if not memory and passed_s >= stage.effort.soak_s / 4:
            memory = [agent.process.memory() for agent in (mesh.branch, mesh.hq)]
        if memory and passed_s >= stage.effort.soak_s:
            stage.figure(FAULTS, number)
            return memory
        time.sleep(stage.draw.uniform(*CALM_S))
        fault()
    raise AssertionError("faults never end")


def _met(one: Request, killed: list[tuple[float, float]]) -> bool:
    """Whether an exit was killed while it was under way, or opened before everybody knew."""
    return any(one.began_at <= known_at and one.ended_at >= began_at for began_at, known_at in killed)
