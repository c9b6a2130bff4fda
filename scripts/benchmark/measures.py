"""What is measured once a round, of every way in turn."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec

from scripts.benchmark.load_clients import PING_WARM_UP
from scripts.benchmark.processes import Background, BenchmarkError, measure, usage
from scripts.benchmark.results import Results
from scripts.benchmark.ways import Way

GIB: Final = 1 << 30
MIB: Final = 1 << 20
MANY: Final = 16
AT_ONCE: Final = 64
LIMIT_S: Final = 60.0
"""For one measurement. What takes longer has failed."""

HEAD_START_S: Final = 0.2
"""For a transfer in the background to reach its pace before something is measured beside it."""

SLOW_RATE: Final = 1_000_000
"""Bytes a second that a slow receiver takes."""

SLOW_HEAD_START_S: Final = 1.0
"""For what is sent to a slow receiver to fill all buffers on the way."""


class Effort(msgspec.Struct, frozen=True):
    """How long to look."""

    rounds: int
    bulk_s: float
    """A bulk transfer is as large as it takes to last about this long."""
    warm_up_bytes: int
    """What is moved to learn how much that is."""
    ping_s: float
    connections: int
    """In one round, one after another; and twice as many 64 at once."""
    idle_connections: int
    crowd: int
    """Connections that are open at one time, at most."""
    idle_s: float
    """How long an idle agent's CPU time is watched."""
    starts: int
    wan_rounds: int


FULL: Final = Effort(
    rounds=7,
    bulk_s=1.5,
    warm_up_bytes=64 * MIB,
    ping_s=1.0,
    connections=1000,
    idle_connections=1000,
    crowd=10_000,
    idle_s=20.0,
    starts=7,
    wan_rounds=3,
)
QUICK: Final = Effort(
    rounds=3,
    bulk_s=0.15,
    warm_up_bytes=32 * MIB,
    ping_s=0.1,
    connections=150,
    idle_connections=500,
    crowd=2000,
    idle_s=3.0,
    starts=1,
    wan_rounds=1,
)


class Samples:
    """Where samples and failures go."""

    def __init__(self, results: Results) -> None:
        self.results = results

    @contextlib.contextmanager
    def of(self, name: str, *metrics: str) -> Iterator[dict[str, float]]:
        """One sample of each of ``metrics``, so that rounds stay aligned: failed ones count as such."""
        keep: dict[str, float] = {}
        try:
            yield keep
        finally:
            for metric in metrics:
                self.results.add(name, metric, keep.get(metric))

    @contextlib.contextmanager
    def guard(self, name: str, title: str) -> Iterator[None]:
        """Note a failure and go on with the rest."""
        try:
            yield
        except BenchmarkError as error:
            self.results.failures.append(f"{name}, {title}: {error}")


class Rounds:
    """Takes one sample of everything in each round."""

    def __init__(self, ways: Mapping[str, Way], effort: Effort, samples: Samples) -> None:
        self._ways = ways
        self._effort = effort
        self._samples = samples
        self._bytes: dict[str, int] = {}
        self.steps: Mapping[str, tuple[tuple[str, Callable[[str, Way], None]], ...]] = {
            "bulk": (
                ("bulk up", lambda name, way: self._bulk(name, way, up=True, connections=1)),
                ("bulk down", lambda name, way: self._bulk(name, way, up=False, connections=1)),
            ),
            "many": (
                ("16 up", lambda name, way: self._bulk(name, way, up=True, connections=MANY)),
                ("16 down", lambda name, way: self._bulk(name, way, up=False, connections=MANY)),
            ),
            "ping": (("ping", self._ping),),
            "busy": (("ping under bulk", self._busy_ping),),
            "slow": (("slow receiver", self._beside_slow),),
            "connect": (("connections", self._connect),),
            "at-once": (("connections at once", self._connect_at_once),),
        }
        """By the name of the measure."""

    def warm_up(self) -> None:
        """Touch every path once, and learn how many bytes make a transfer of the wished length."""
        for name, way in self._ways.items():
            byte_count = self._bytes[name] = self._effort.warm_up_bytes
            with self._samples.guard(name, "warm-up"):
                client(way, "bulk", "--bytes", str(byte_count // 4))
                done = client(way, "bulk", "--bytes", str(byte_count))
                wished = int(done["byte_count"] / done["seconds"] * self._effort.bulk_s)
                self._bytes[name] = min(max(wished // MIB, 16), 8192) * MIB
                client(way, "connect", "--rounds", "50")

    def round(self, number: int, measures: list[str]) -> None:
        """One sample of everything, way by way for each figure, each time beginning with another way."""
        names = list(self._ways)
        start = number % len(names)
        for measure_name in measures:
            for title, step in self.steps[measure_name]:
                for name in names[start:] + names[:start]:
                    with self._samples.guard(name, f"{title}, round {number + 1}"):
                        step(name, self._ways[name])

    def _bulk(self, name: str, way: Way, *, up: bool, connections: int) -> None:
        direction = "up" if up else "down"
        metric = f"bulk_{direction}" + (f"_{connections}" if connections > 1 else "")
        has_cpu = connections == 1 and way.pids
        with self._samples.of(name, metric, *([f"cpu_{direction}"] if has_cpu else [])) as keep:
            before = usage(way.pids.values()).cpu_s
            options = [*(["--up"] if up else []), "--connections", str(connections)]
            done = client(way, "bulk", *options, "--bytes", str(self._bytes[name]))
            spent = usage(way.pids.values()).cpu_s - before
            keep[metric] = done["byte_count"] / done["seconds"] / 1e6
            if has_cpu:
                keep[f"cpu_{direction}"] = spent / (done["byte_count"] / GIB)

    def _ping(self, name: str, way: Way) -> None:
        with self._samples.of(name, "ping_p50", "ping_p99", *(["ping_cpu"] if way.pids else [])) as keep:
            before = usage(way.pids.values()).cpu_s
            done = self._pings(way)
            spent = usage(way.pids.values()).cpu_s - before
            keep["ping_p50"], keep["ping_p99"] = done["p50_us"], done["p99_us"]
            if way.pids:
                keep["ping_cpu"] = spent / (done["count"] + PING_WARM_UP) * 1e6

    def _pings(self, way: Way) -> dict[str, float]:
        return client(way, "ping", "--rounds", "1000000", seconds=self._effort.ping_s)

    def _busy_ping(self, name: str, way: Way) -> None:
        with (
            self._samples.of(name, "busy_p50", "busy_p99", "busy_bulk") as keep,
            beside(way, head_start_s=HEAD_START_S) as transfer,
        ):
            before = transfer.moved()
            done = self._pings(way)
            after = transfer.moved()
            keep["busy_p50"], keep["busy_p99"] = done["p50_us"], done["p99_us"]
            keep["busy_bulk"] = (after[0] - before[0]) / (after[1] - before[1]) / 1e6

    def _beside_slow(self, name: str, way: Way) -> None:
        with self._samples.of(name, "slow_beside", "slow_share") as keep:
            byte_count = str(self._bytes[name])
            without = client(way, "bulk", "--bytes", byte_count)
            with beside(way, "--rate", str(SLOW_RATE), head_start_s=SLOW_HEAD_START_S) as slow:
                before = slow.moved()
                done = client(way, "bulk", "--bytes", byte_count)
                after = slow.moved()
            taken = (after[0] - before[0]) / (after[1] - before[1])
            if not 0.5 * SLOW_RATE <= taken <= 1.5 * SLOW_RATE:
                self._samples.results.note(f"{name}: the slow receiver took {taken / 1e6:.2f} MB/s")
            keep["slow_beside"] = done["byte_count"] / done["seconds"] / 1e6
            keep["slow_share"] = without["seconds"] / done["seconds"]

    def _connect(self, name: str, way: Way) -> None:
        with self._samples.of(name, "connect_p50", "connect_p99") as keep:
            done = client(way, "connect", "--rounds", str(self._effort.connections))
            keep["connect_p50"], keep["connect_p99"] = done["p50_us"], done["p99_us"]

    def _connect_at_once(self, name: str, way: Way) -> None:
        with self._samples.of(name, "connect_rate", *(["connect_cpu"] if way.pids else [])) as keep:
            before = usage(way.pids.values()).cpu_s
            wide = ["--rounds", str(self._effort.connections * 2), "--connections", str(AT_ONCE)]
            done = client(way, "connect-at-once", *wide)
            keep["connect_rate"] = done["per_second"]
            if way.pids:
                keep["connect_cpu"] = (usage(way.pids.values()).cpu_s - before) / done["count"] * 1000


def client(way: Way, load: str, *options: str, seconds: float = LIMIT_S) -> dict[str, float]:
    """Run one load through ``way``: bulk to the one endpoint, all else to the other."""
    port = way.bulk_port if load == "bulk" else way.echo_port
    where = ["--addresses", way.address, "--port", str(port)]
    return measure(load, *where, *options, seconds=seconds, place=way.place)


@contextlib.contextmanager
def beside(way: Way, *options: str, head_start_s: float) -> Iterator[Background]:
    """A transfer that runs meanwhile, down and without end."""
    transfer = Background("--port", str(way.bulk_port), *options, place=way.place)
    try:
        time.sleep(head_start_s)
        yield transfer
    finally:
        transfer.stop()
