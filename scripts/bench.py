"""Measure the mesh beside plain TCP and ssh: real processes on loopback, interleaved in the same minutes.

    python scripts/bench.py                    all ways, seven rounds
    python scripts/bench.py --quick            three short rounds, ratios only, under a minute
    python scripts/bench.py --json bench.json  keep every sample

See docs/BENCHMARKS.md for what each figure means.
"""

import argparse
import contextlib
import json
import os
import platform
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import bench_ways
import msgspec
from bench_processes import Background, BenchmarkError, Holder, measure, usage
from bench_report import Results, as_json, as_text
from bench_ways import Opener, Servers, Way

WAYS: Final = ("plain", "ssh-L", "ssh-J", "mesh-2", "mesh-3")
GIB: Final = 1 << 30
MIB: Final = 1 << 20
MANY: Final = 16
AT_ONCE: Final = 64
LIMIT_S: Final = 60.0
"""For one measurement. What takes longer has failed."""

HEAD_START_S: Final = 0.2
"""For a bulk transfer to reach its pace before something is measured beside it."""

SETTLE_S: Final = 0.5
"""Between opening idle connections and looking at the memory: last acknowledgements, freed buffers."""

ENDLESS: Final = 1 << 50


class Effort(msgspec.Struct, frozen=True):
    """How long to look."""

    rounds: int
    bulk_s: float
    """A bulk transfer is as large as it takes to last about this long."""
    ping_s: float
    connections: int
    """In one round, one after another; and as many 64 at once."""
    idle_connections: int


FULL: Final = Effort(rounds=7, bulk_s=1.5, ping_s=1.0, connections=1000, idle_connections=1000)
QUICK: Final = Effort(rounds=3, bulk_s=0.15, ping_s=0.1, connections=150, idle_connections=1000)


def open_ways(
    names: Sequence[str], services: Servers, folder: Path, results: Results, stack: contextlib.ExitStack
) -> dict[str, Way]:
    """Start each way; one whose programs are not installed is skipped, visibly."""
    openers: dict[str, Opener] = {
        "plain": lambda: bench_ways.plain(services),
        "ssh-L": lambda: bench_ways.ssh(services, folder, jump=False),
        "ssh-J": lambda: bench_ways.ssh(services, folder, jump=True),
        "mesh-2": lambda: bench_ways.mesh(services, folder, agents=2),
        "mesh-3": lambda: bench_ways.mesh(services, folder, agents=3),
    }
    ways = {}
    for name in names:
        missing = bench_ways.ssh_missing() if name.startswith("ssh") else None
        if missing:
            results.skipped[name] = missing
            continue
        say(f"starting {name}")
        try:
            ways[name] = stack.enter_context(openers[name]())
        except BenchmarkError as error:
            results.failures.append(f"{name} did not start: {error}")
    return ways


class Bench:
    """Takes the samples."""

    def __init__(self, ways: dict[str, Way], effort: Effort, results: Results) -> None:
        self._ways = ways
        self._effort = effort
        self._results = results
        self._octets: dict[str, int] = {}

    def warm_up(self) -> None:
        """Touch every path once, and learn how many octets make a transfer of the wished length."""
        for name, way in self._ways.items():
            self._octets[name] = 64 * MIB
            with self._guard(name, "warm-up"):
                measure("bulk", "--octets", str(16 * MIB), port(way.bulk_port), seconds=LIMIT_S)
                done = measure("bulk", "--octets", str(64 * MIB), port(way.bulk_port), seconds=LIMIT_S)
                wished = int(done["octets"] / done["seconds"] * self._effort.bulk_s)
                self._octets[name] = min(max(wished // MIB, 16), 8192) * MIB
                measure("connect", "--rounds", "50", port(way.echo_port), seconds=LIMIT_S)

    def idle_memory(self) -> None:
        """Open many connections and look at what they cost.

        Before the bulk transfers: what those have used and freed would hide it.
        """
        count = self._effort.idle_connections
        for name, way in self._ways.items():
            if not way.pids:
                continue
            with self._guard(name, "idle_memory"):
                measure("connect", "--rounds", "100", port(way.echo_port), seconds=LIMIT_S)
                time.sleep(SETTLE_S)
                before = {role: usage([pid]).memory_octets for role, pid in way.pids.items()}
                holder = Holder(way.echo_port, count, LIMIT_S)
                try:
                    time.sleep(SETTLE_S)
                    by_role = {
                        role: (usage([pid]).memory_octets - before[role]) / count / 1024
                        for role, pid in way.pids.items()
                    }
                finally:
                    holder.stop()
                self._results.idle_memory_kib[name] = by_role
                self._results.add(name, "idle_memory", sum(by_role.values()))

    def round(self, number: int) -> None:
        """Take one sample of everything, way by way for each figure, each time beginning with another way."""
        names = list(self._ways)
        start = number % len(names)
        steps: tuple[tuple[str, Callable[[str, Way], None]], ...] = (
            ("bulk up", lambda name, way: self._bulk(name, way, up=True, connections=1)),
            ("bulk down", lambda name, way: self._bulk(name, way, up=False, connections=1)),
            ("16 up", lambda name, way: self._bulk(name, way, up=True, connections=MANY)),
            ("16 down", lambda name, way: self._bulk(name, way, up=False, connections=MANY)),
            ("ping", self._ping),
            ("ping under bulk", self._busy_ping),
            ("connections", self._connect),
            ("connections at once", self._connect_at_once),
        )
        for title, step in steps:
            for name in names[start:] + names[:start]:
                with self._guard(name, f"{title}, round {number + 1}"):
                    step(name, self._ways[name])

    def _bulk(self, name: str, way: Way, *, up: bool, connections: int) -> None:
        direction = "up" if up else "down"
        metric = f"bulk_{direction}" + (f"_{connections}" if connections > 1 else "")
        with self._sample(
            name, metric, *([f"cpu_{direction}"] if connections == 1 and way.pids else [])
        ) as keep:
            before = usage(way.pids.values()).cpu_s
            done = measure(
                "bulk",
                *(["--up"] if up else []),
                "--connections",
                str(connections),
                "--octets",
                str(self._octets[name]),
                port(way.bulk_port),
                seconds=LIMIT_S,
            )
            spent = usage(way.pids.values()).cpu_s - before
            keep[metric] = done["octets"] / done["seconds"] / 1e6
            if connections == 1 and way.pids:
                keep[f"cpu_{direction}"] = spent / (done["octets"] / GIB)

    def _ping(self, name: str, way: Way) -> None:
        with self._sample(name, "ping_p50", "ping_p99") as keep:
            done = measure("ping", "--rounds", "1000000", port(way.echo_port), seconds=self._effort.ping_s)
            keep["ping_p50"], keep["ping_p99"] = done["p50_us"], done["p99_us"]

    def _busy_ping(self, name: str, way: Way) -> None:
        with self._sample(name, "busy_p50", "busy_p99") as keep:
            beside = Background("bulk", "--octets", str(ENDLESS), port(way.bulk_port))
            try:
                time.sleep(HEAD_START_S)
                done = measure(
                    "ping", "--rounds", "1000000", port(way.echo_port), seconds=self._effort.ping_s
                )
            finally:
                beside.stop()
            keep["busy_p50"], keep["busy_p99"] = done["p50_us"], done["p99_us"]

    def _connect(self, name: str, way: Way) -> None:
        with self._sample(name, "connect_p50", "connect_p99") as keep:
            rounds = str(self._effort.connections)
            done = measure("connect", "--rounds", rounds, port(way.echo_port), seconds=LIMIT_S)
            keep["connect_p50"], keep["connect_p99"] = done["p50_us"], done["p99_us"]

    def _connect_at_once(self, name: str, way: Way) -> None:
        with self._sample(name, "connect_rate", *(["connect_cpu"] if way.pids else [])) as keep:
            before = usage(way.pids.values()).cpu_s
            done = measure(
                "connect-at-once",
                "--rounds",
                str(self._effort.connections * 2),
                "--connections",
                str(AT_ONCE),
                port(way.echo_port),
                seconds=LIMIT_S,
            )
            keep["connect_rate"] = done["per_second"]
            if way.pids:
                keep["connect_cpu"] = (usage(way.pids.values()).cpu_s - before) / done["count"] * 1000

    @contextlib.contextmanager
    def _sample(self, name: str, *metrics: str) -> Iterator[dict[str, float]]:
        """One sample of each of ``metrics``, so that rounds stay aligned: failed ones count as such."""
        keep: dict[str, float] = {}
        try:
            yield keep
        finally:
            for metric in metrics:
                self._results.add(name, metric, keep.get(metric))

    @contextlib.contextmanager
    def _guard(self, name: str, title: str) -> Iterator[None]:
        """Note a failure and go on with the rest."""
        try:
            yield
        except BenchmarkError as error:
            self._results.failures.append(f"{name}, {title}: {error}")


def port(number: int) -> str:
    """The option that tells a client where to connect."""
    return f"--port={number}"


def say(text: str) -> None:
    """Progress, apart from the results."""
    print(text, file=sys.stderr, flush=True)


def machine() -> dict[str, str]:
    """What the figures were taken on."""
    model = ""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return {
        "processor": model,
        "cores": str(os.cpu_count()),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def run(names: Sequence[str], effort: Effort) -> Results:
    """Start the ways, take all samples, stop everything."""
    results = Results(machine=machine(), options=msgspec.to_builtins(effort))
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mesh-bench-")))
        services = stack.enter_context(bench_ways.servers())
        ways = open_ways(names, services, folder, results, stack)
        if ways:
            bench = Bench(ways, effort, results)
            say("idle memory")
            bench.idle_memory()
            say("warm-up")
            bench.warm_up()
            for number in range(effort.rounds):
                say(f"round {number + 1} of {effort.rounds}")
                bench.round(number)
        say("stopping")
    return results


def main() -> int:
    """Measure and report; the exit status is 1 where a measurement failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="three short rounds; print the ratios only")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write every sample, medians and ratios there"
    )
    parser.add_argument(
        "--ways", nargs="+", choices=WAYS, default=WAYS, metavar="WAY", help=f"of: {', '.join(WAYS)}"
    )
    parser.add_argument("--rounds", type=int, help="instead of the usual number")
    given = parser.parse_args()
    effort = QUICK if given.quick else FULL
    if given.rounds is not None:
        if given.rounds < 1:
            parser.error("--rounds: expected 1 or more")
        effort = msgspec.structs.replace(effort, rounds=given.rounds)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # ssh inherits it; a thousand forwards need it
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM)
    )  # unwinds: nothing is left running
    began = time.monotonic()
    results = run(given.ways, effort)
    print(as_text(results, given.ways, ratios_only=given.quick))
    print(f"\n{effort.rounds} rounds, {time.monotonic() - began:.0f} s; {', '.join(machine().values())}")
    if given.json is not None:
        given.json.write_text(json.dumps(as_json(results), indent=2) + "\n")
    return 1 if results.failures or not results.samples else 0


if __name__ == "__main__":
    sys.exit(main())
