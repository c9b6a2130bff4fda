"""What requests to an agent's API cost the data path: a transfer that never ends, with them and without.

    python scripts/bench_api.py                                 100 requests a second, both manners, a minute
    python scripts/bench_api.py --role transit --seconds 120

One transfer runs all the time through three agents. Windows without requests and with them take turns, and
each window with them is compared with the two beside it; windows without are compared in the same way, which
says how much of a difference is chance. The client of the API has a process of its own. Where it shares the
processors with the agents, as on two cores, what it takes of them itself is part of the loss.
"""

import argparse
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from scripts import arguments as values
from scripts.benchmark import chain, ways
from scripts.benchmark.command import say
from scripts.benchmark.processes import Asker, Background, BenchmarkError, usage
from scripts.benchmark.ways import Way
from scripts.lab.processes import ROOT, sigterm_unwinds
from scripts.lab.software import found_at

AGENTS: Final = 3
ROLES: Final = ("ingress", "transit", "exit")
RATE: Final = 100.0
SECONDS: Final = 60.0
"""With requests; windows without take as long and one more."""
WINDOW_S: Final = 2.0
SETTLE_S: Final = 0.2
"""After a change, before a window begins."""
PATHS: Final = ("/api/v1/status", "/api/v1/services", "/api/v1/peers", "/api/v1/agents", "/api/dashboard")


class Window(msgspec.Struct, frozen=True):
    """What was seen in one."""

    rate: float
    """Bytes a second that the transfer moved."""
    cpu: float
    """Of the asked agent, as a share of one core."""
    answered: float = 0.0
    failed: float = 0.0
    client_cpu: float = 0.0
    """Of the client of the API, likewise."""


class Cost(msgspec.Struct, frozen=True):
    """What came of the windows in one manner of asking."""

    ratios: tuple[float, ...]
    """The transfer's rate with requests, to the mean of the windows beside."""
    chance: tuple[float, ...]
    """The same of every second window without requests, to those without on its sides."""
    request_ms: float
    """CPU time of the agent for each request: median."""
    answered_per_s: float
    failed: int
    client_cpu: float


def cost_of(without: Sequence[Window], within: Sequence[Window]) -> Cost:
    """Judge windows that took turns, beginning and ending with one without requests."""
    ratios, spent = [], []
    for number, window in enumerate(within):
        before, after = without[number], without[number + 1]
        ratios.append(window.rate * 2 / (before.rate + after.rate))
        if window.answered:
            spent.append((window.cpu - (before.cpu + after.cpu) / 2) / window.answered * 1000)
    chance = [
        without[number].rate * 2 / (without[number - 1].rate + without[number + 1].rate)
        for number in range(1, len(without) - 1)
    ]
    return Cost(
        tuple(ratios),
        tuple(chance),
        statistics.median(spent) if spent else 0.0,
        statistics.median(window.answered for window in within),
        int(sum(window.failed for window in within)),
        statistics.median(window.client_cpu for window in within),
    )


def measure(way: Way, role: str, *, rate: float, seconds: float, keeps_alive: bool, up: bool) -> Cost:
    """Let windows take turns; ``role`` says which agent is asked.

    Raises:
        BenchmarkError: a load failed.
    """
    asking = ["--port", str(way.http_ports[role]), "--paths", *PATHS, "--rate", str(rate)]
    count = max(1, round(seconds / WINDOW_S))
    with contextlib.ExitStack() as stack:
        transfer = Background("--port", str(way.bulk_port), *(["--up"] if up else []))
        stack.callback(transfer.stop)
        asker = Asker(*asking, *(["--keep-alive"] if keeps_alive else []))
        stack.callback(asker.stop)
        _window(transfer, way.pids[role], None)  # it warms up
        without, within = [_window(transfer, way.pids[role], None)], []
        for _ in range(count):
            within.append(_window(transfer, way.pids[role], asker))
            without.append(_window(transfer, way.pids[role], None))
    return cost_of(without, within)


def _window(transfer: Background, pid: int, asker: Asker | None) -> Window:
    if asker is not None:
        asker.begin()
    time.sleep(SETTLE_S)
    (bytes_before, before_s), cpu_before_s = transfer.moved(), usage([pid]).cpu_s
    time.sleep(WINDOW_S)
    (bytes_after, after_s), cpu_after_s = transfer.moved(), usage([pid]).cpu_s
    said: Mapping[str, float] = {} if asker is None else asker.end()
    elapsed_s, asked_s = after_s - before_s, said.get("seconds", 1.0)
    return Window(
        (bytes_after - bytes_before) / elapsed_s,
        (cpu_after_s - cpu_before_s) / elapsed_s,
        said.get("answered", 0) / asked_s,
        said.get("failed", 0),
        said.get("cpu_s", 0.0) / asked_s,
    )


def line(title: str, cost: Cost) -> str:
    """The figures of one manner of asking."""
    return (
        f"{title:24}{_spread(cost.ratios)}  {_spread(cost.chance)}{cost.request_ms:9.3f}"
        f"{cost.answered_per_s:9.1f}{cost.failed:8d}{cost.client_cpu:9.1%}"
    )


HEADINGS: Final = (
    f"{'':24}{'rate with / without':22}{'without / without':20}{'ms CPU':>9}{'a second':>9}{'failed':>8}"
    f"{'client':>9}"
)


def _spread(ratios: Sequence[float]) -> str:
    if len(ratios) < 2:
        return f"{ratios[0] if ratios else 1.0:5.3f}{'':15}"
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return f"{middle:5.3f} ({low:5.3f}-{high:5.3f})"


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    arguments = argparse.ArgumentParser(
        prog="bench_api.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument(
        "--tree", type=Path, default=ROOT, metavar="TREE", help="the checkout whose agents run; this one"
    )
    arguments.add_argument("--role", choices=ROLES, default="ingress", help="which agent is asked (ingress)")
    arguments.add_argument(
        "--rate", type=values.number(1), default=RATE, help=f"requests a second ({RATE:g})"
    )
    arguments.add_argument(
        "--seconds", type=values.number(WINDOW_S), default=SECONDS,
        help=f"with requests, of each manner of asking ({SECONDS:g})",
    )  # fmt: skip
    arguments.add_argument("--up", action="store_true", help="from the client to the service; else down")
    return arguments


def main(words: Sequence[str]) -> int:
    """Measure and report; the exit status is 1 if something failed, whatever the figures are."""
    arguments = parser()
    given = arguments.parse_args(words)
    try:
        software = found_at(given.tree)
    except ValueError as error:
        arguments.error(str(error))
    try:
        with (
            sigterm_unwinds(),
            tempfile.TemporaryDirectory(prefix="mesh-bench-api-") as text,
            ways.servers() as services,
            chain.mesh(
                services, Path(text) / "mesh", places=chain.chain_of(AGENTS), software=software
            ) as way,
        ):
            print(HEADINGS, flush=True)
            for title, keeps_alive in (("one connection", True), ("a connection each", False)):
                say(f"{given.rate:g} requests a second at the {given.role}, {title}")
                cost = measure(
                    way,
                    given.role,
                    rate=given.rate,
                    seconds=given.seconds,
                    keeps_alive=keeps_alive,
                    up=given.up,
                )
                print(line(title, cost), flush=True)
    except (BenchmarkError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0
