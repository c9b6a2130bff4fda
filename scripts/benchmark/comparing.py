"""Two trees beside each other: the same chain of three agents, once of each, measured in turn.

    python scripts/compare.py ../before .                              all measures, 20 rounds
    python scripts/compare.py ../before . --measures connect --rounds 60
    python scripts/compare.py . ~/compiled/bin/python                  the package there and this one

Each round measures every tree once and begins with another one than the round before. The table has the ratio
of each other tree to the first: the median of the rounds with its quartiles, and that of the best rounds of
both, which varies less where other programs use the machine too.
"""

import argparse
import contextlib
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from scripts import arguments as values
from scripts.benchmark import chain, ways
from scripts.benchmark.command import say
from scripts.benchmark.load_clients import PING_WARM_UP
from scripts.benchmark.measures import AT_ONCE, GIB, MANY, MIB, client
from scripts.benchmark.processes import BenchmarkError, usage
from scripts.benchmark.ways import Way
from scripts.lab.processes import ROOT, sigterm_unwinds
from scripts.lab.software import found_at

AGENTS: Final = 3
CONNECTIONS: Final = 300
"""In one round, one after another."""
PINGS: Final = 2000
BULK_BYTES: Final = 128 * MIB

ROUNDS: Final = 20


def _connect(way: Way) -> dict[str, float]:
    done, cpu_s = _with_cpu(way, "connect", "--rounds", str(CONNECTIONS))
    return {"new connection, p50": done["p50_us"], "new connection, CPU": cpu_s / CONNECTIONS * 1e6}


def _connect_at_once(way: Way) -> dict[str, float]:
    count = 2 * CONNECTIONS
    done, cpu_s = _with_cpu(way, "connect-at-once", "--rounds", str(count), "--connections", str(AT_ONCE))
    title = f"{AT_ONCE} connections at once"
    return {f"{title}, time": 1e6 / done["per_second"], f"{title}, CPU": cpu_s / done["count"] * 1e6}


def _ping(way: Way) -> dict[str, float]:
    done, cpu_s = _with_cpu(way, "ping", "--rounds", str(PINGS))
    return {"ping-pong, p50": done["p50_us"], "ping-pong, CPU": cpu_s / (PINGS + PING_WARM_UP) * 1e6}


def _bulk(way: Way, title: str, *options: str) -> dict[str, float]:
    done, cpu_s = _with_cpu(way, "bulk", *options, "--bytes", str(BULK_BYTES))
    gib = done["byte_count"] / GIB
    return {f"{title}, time": done["seconds"] / gib * 1e6, f"{title}, CPU": cpu_s / gib * 1e6}


MEASURES: Final[Mapping[str, Callable[[Way], dict[str, float]]]] = {
    "connect": _connect,
    "at-once": _connect_at_once,
    "ping": _ping,
    "up": lambda way: _bulk(way, "bulk up", "--up"),
    "down": lambda way: _bulk(way, "bulk down"),
    "many": lambda way: _bulk(way, f"{MANY} connections up", "--up", "--connections", str(MANY)),
}
"""Each gives its figures by title, in microseconds: less is better."""

Samples = dict[str, dict[int, list[float]]]
"""Figure to the number of its tree to samples, one a round."""


def compare(trees: Sequence[Path], measures: Sequence[str], rounds: int) -> Samples:
    """Run a chain of each tree's agents and take all samples.

    Raises:
        BenchmarkError, RuntimeError: a tree's agents did not start, or a measurement failed.
    """
    samples: Samples = {}
    with (
        tempfile.TemporaryDirectory(prefix="mesh-compare-") as text,
        ways.servers() as services,
        contextlib.ExitStack() as stack,
    ):
        running = []
        for number, tree in enumerate(trees):
            say(f"starting {tree}")
            folder = Path(text) / str(number)
            places = chain.chain_of(AGENTS)
            agents = chain.mesh(services, folder, places=places, software=found_at(tree))
            running.append(stack.enter_context(agents))
        for number in range(-1, rounds):  # the one before the first warms up
            say(f"round {number + 1} of {rounds}")
            for measure in measures:
                for turn in range(len(trees)):
                    tree_number = (number + turn) % len(trees)
                    for title, value in MEASURES[measure](running[tree_number]).items():
                        if number >= 0:
                            samples.setdefault(title, {}).setdefault(tree_number, []).append(value)
    return samples


def table(samples: Samples, trees: Sequence[Path]) -> str:
    """A line for each figure and each tree but the first."""
    lines = [f"{'':24}{'first':>10}{'other':>10}{'ratio':>8}  {'quartiles':13}{'of best':>8}"]
    for other in range(1, len(trees)):
        lines.append(f"{trees[other]} / {trees[0]}")
        for title, by_tree in samples.items():
            first, second = by_tree[0], by_tree[other]
            ratios = [ours / theirs for ours, theirs in zip(second, first, strict=True)]
            low, middle, high = _quartiles(ratios)
            lines.append(
                f"{title:24}{statistics.median(first):10,.0f}{statistics.median(second):10,.0f}"
                f"{middle:8.3f}  {low:5.3f}-{high:5.3f}  {min(second) / min(first):8.3f}"
            )
    return "\n".join(lines)


def _with_cpu(way: Way, load: str, *options: str) -> tuple[dict[str, float], float]:
    before = usage(way.pids.values()).cpu_s
    done = client(way, load, *options)
    return done, usage(way.pids.values()).cpu_s - before


def _quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    arguments = argparse.ArgumentParser(
        prog="compare.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument(
        "trees",
        nargs="+",
        type=Path,
        metavar="TREE",
        help="a checkout, or a Python that has the package; the first is the base, one alone this one's",
    )
    arguments.add_argument(
        "--rounds", type=values.whole(1), default=ROUNDS, help=f"{ROUNDS} unless it is given"
    )
    arguments.add_argument(
        "--measures", nargs="+", choices=MEASURES, default=list(MEASURES), metavar="MEASURE",
        help=f"of: {', '.join(MEASURES)}",
    )  # fmt: skip
    return arguments


def main(words: Sequence[str]) -> int:
    """Compare and report; the exit status is 1 if something failed, whatever the ratios are."""
    arguments = parser()
    given = arguments.parse_args(words)
    trees = given.trees
    if len(trees) == 1:
        trees.append(ROOT)
    try:
        for tree in trees:
            found_at(tree)
    except ValueError as error:
        arguments.error(str(error))
    try:
        with sigterm_unwinds():
            samples = compare(trees, given.measures, given.rounds)
    except (BenchmarkError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    print("times in microseconds, for a ping, a connection or a GiB")
    print(table(samples, trees))
    return 0
