"""Measure the mesh beside plain TCP, ssh and socat: real processes, interleaved in the same minutes.

    python scripts/bench.py                          everything, seven rounds
    python scripts/bench.py --quick                  three short rounds, ratios only, under a minute
    python scripts/bench.py --measures bulk ping     only some measures
    python scripts/bench.py --ways plain mesh-1      only some ways
    python scripts/bench.py --compiled PYTHON        and the compiled package that is installed there
    python scripts/bench.py --before TREE            and another checkout
    python scripts/bench.py --json bench.json --plot bench.svg

See docs/BENCHMARKS.md for what each figure means, and how to read it.
"""

import argparse
import contextlib
import json
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from scripts import arguments as values
from scripts.benchmark import chain, interpreters, once, plot, ssh, wan, ways
from scripts.benchmark.figures import COMPILED, NETWORKS
from scripts.benchmark.measures import FULL, QUICK, Effort, Rounds, Samples
from scripts.benchmark.processes import BenchmarkError
from scripts.benchmark.report import as_text
from scripts.benchmark.results import Results, as_json
from scripts.benchmark.ways import Chosen, Opener, Servers, Way
from scripts.lab.processes import sigterm_unwinds
from scripts.lab.software import OURS, Software, found_at

MESHES: Final = tuple(f"mesh-{agents}" for agents in range(1, chain.MOST_AGENTS + 1))
BEFORE: Final = f"{ways.CHAIN}-before"
"""Three agents of another checkout."""

COMPILED_MESH: Final = ways.CHAIN + COMPILED
"""Three agents whose package is compiled."""

BESIDE: Final = (BEFORE, COMPILED_MESH)
"""Ways that are there if their software is named."""

AGENT: Final = "agent"
"""Stands for a way where agents are measured that carry nothing."""

WAYS: Final = ("plain", "socat-3", "ssh-L", "ssh-J", "ssh-L-chacha", "ssh-J-chacha", *MESHES)
QUICK_WAYS: Final = ("plain", "ssh-L", "ssh-J", "mesh-2", "mesh-3")
EACH_ROUND: Final = ("bulk", "many", "ping", "busy", "slow", "connect", "at-once")
ONCE: Final = ("memory", "crowd")
APART: Final = ("idle", "start", "wan-connect", "wan")
"""These start processes of their own, whatever ways are asked for."""

MEASURES: Final = (*EACH_ROUND, *ONCE, *APART)
QUICK_MEASURES: Final = ("bulk", "many", "ping", "busy", "connect", "at-once", "memory")


def open_ways(
    chosen: Chosen, services: Servers, folder: Path, results: Results, stack: contextlib.ExitStack
) -> dict[str, Way]:
    """Start each way; one whose programs are not installed is skipped, visibly."""

    def over_ssh(name: str) -> Opener:
        cipher = ssh.CHACHA if name.endswith("chacha") else ssh.AES
        return lambda: ssh.ssh(services, folder / name, jump=name.startswith("ssh-J"), cipher=cipher)

    def over_mesh(name: str, agents: int, software: Software = OURS) -> Opener:
        places = chain.chain_of(agents)
        return lambda: chain.mesh(services, folder / name, places=places, software=software)

    openers: dict[str, Opener] = {
        "plain": lambda: ways.plain(services),
        "socat-3": lambda: ways.socat(services, folder / "socat-3", places=chain.chain_of(3)),
        **{name: over_ssh(name) for name in WAYS if name.startswith("ssh")},
        **{name: over_mesh(name, number + 1) for number, name in enumerate(MESHES)},
        **{name: over_mesh(name, 3, software) for name, software in chosen.beside.items()},
    }
    missing = {"ssh": ssh.ssh_missing(), "socat": ways.socat_missing()}
    opened = {}
    for name in (*chosen.names, *chosen.beside):
        reason = missing.get(name.partition("-")[0])
        if reason:
            results.skipped[name] = reason
            continue
        say(f"starting {name}")
        try:
            opened[name] = stack.enter_context(openers[name]())
        except BenchmarkError as error:
            results.failures.append(f"{name} did not start: {error}")
    return opened


def run(chosen: Chosen, measures: Sequence[str], effort: Effort) -> Results:
    """Start the ways, take all samples, stop everything.

    Raises:
        BenchmarkError: an interpreter does not say what it is.
    """
    results = Results(machine=machine(), options=msgspec.to_builtins(effort))
    samples = Samples(results)
    _say_interpreters(chosen.beside, results)
    agents = {AGENT: OURS}
    agents |= {name.replace(ways.CHAIN, AGENT): one for name, one in chosen.beside.items()}
    with tempfile.TemporaryDirectory(prefix="mesh-bench-") as text:
        folder = Path(text)
        with ways.servers() as services:
            if "idle" in measures:
                say("idle")
                for name, software in agents.items():
                    once.idle(folder / f"idle-{name}", name, software, effort, samples)
            if "start" in measures:
                say("start")
                once.start(services, folder / "start", agents, effort, samples)
            if any(name in measures for name in (*EACH_ROUND, *ONCE)):
                with contextlib.ExitStack() as stack:
                    _take_samples(
                        open_ways(chosen, services, folder, results, stack), measures, effort, samples
                    )
                    say("stopping")
        for measure in ("wan-connect", "wan"):
            if measure in measures:
                networks = {
                    short: network
                    for short, network in NETWORKS.items()
                    if bool(network.connections) == (measure == "wan-connect")
                }
                wan.take(folder / measure, networks, chosen, effort, samples=samples, say=say)
    return results


def _say_interpreters(beside: Mapping[str, Software], results: Results) -> None:
    """Keep what all agents run on."""
    for name, software in {"": OURS, **beside}.items():
        found = interpreters.ask(software)
        if name == COMPILED_MESH and found.package != "compiled":
            raise BenchmarkError(f"{software.python}: its package is {found.package}, not compiled")
        suffix = f" of {name}" if name else ""
        results.machine[f"python{suffix}"] = found.version
        results.machine[f"python build{suffix}"] = found.build
        results.machine[f"package{suffix}"] = found.package
        if not found.profiled:
            results.note(f"{software.python} is {interpreters.SLOW}")


def _take_samples(opened: dict[str, Way], measures: Sequence[str], effort: Effort, samples: Samples) -> None:
    if not opened:
        return
    one_time = once.Once(opened, effort, samples)
    rounds = Rounds(opened, effort, samples)
    if "memory" in measures:
        say("memory")
        one_time.memory()
    each_round = [name for name in EACH_ROUND if name in measures]
    if each_round:
        say("warm-up")
        rounds.warm_up()
        for number in range(effort.rounds):
            say(f"round {number + 1} of {effort.rounds}")
            rounds.round(number, each_round)
    if "crowd" in measures:
        say("crowd")
        one_time.crowd()


def say(text: str) -> None:
    """Progress, apart from the results."""
    print(text, file=sys.stderr, flush=True)


def machine() -> dict[str, str]:
    """What the figures were taken on."""
    model = congestion_control = ""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    with contextlib.suppress(OSError):
        congestion_control = Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()
    return {
        "processor": model,
        "cores": str(os.cpu_count()),
        "kernel": platform.release(),
        "congestion control": congestion_control,
    }


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    arguments = argparse.ArgumentParser(
        prog="bench.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--quick", action="store_true", help="three short rounds; print the ratios only")
    arguments.add_argument(
        "--json",
        type=values.file_to_write,
        metavar="FILE",
        help="write every sample, medians, ratios and bars there",
    )
    arguments.add_argument(
        "--plot", type=values.file_to_write, metavar="FILE", help="draw medians and ranges there, as SVG"
    )
    arguments.add_argument("--ways", nargs="+", choices=WAYS, metavar="WAY", help=f"of: {', '.join(WAYS)}")
    arguments.add_argument(
        "--measures", nargs="+", choices=MEASURES, metavar="MEASURE", help=f"of: {', '.join(MEASURES)}"
    )
    arguments.add_argument("--rounds", type=values.whole(1), help="instead of the usual number")
    arguments.add_argument(
        "--compiled",
        type=Path,
        metavar="PYTHON",
        help=f"measure the compiled package of this one's environment, too, as {COMPILED_MESH}",
    )
    arguments.add_argument(
        "--before", type=Path, metavar="TREE", help=f"measure another checkout, too, as {BEFORE}"
    )
    return arguments


def main(words: Sequence[str]) -> int:
    """Measure and report; the exit status is 1 where a measurement failed, whatever the figures are."""
    arguments = parser()
    given = arguments.parse_args(words)
    effort = QUICK if given.quick else FULL
    if given.rounds is not None:
        effort = msgspec.structs.replace(effort, rounds=given.rounds)
    beside = {}
    try:
        for name, path in zip(BESIDE, (given.before, given.compiled), strict=True):
            if path is not None:
                beside[name] = found_at(path)
    except ValueError as error:
        arguments.error(str(error))
    names = given.ways or (QUICK_WAYS if given.quick else WAYS)
    measures = given.measures or (QUICK_MEASURES if given.quick else MEASURES)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # ssh inherits it; a thousand forwards need it
    began = time.monotonic()
    try:
        with sigterm_unwinds():
            results = run(Chosen(names, beside), measures, effort)
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return 1
    print(as_text(results, ratios_only=given.quick))
    print(
        f"\n{effort.rounds} rounds, {time.monotonic() - began:.0f} s\n"
        + "\n".join(f"{what}: {found}" for what, found in results.machine.items())
    )
    if given.json is not None:
        given.json.write_text(json.dumps(as_json(results), indent=2) + "\n")
    if given.plot is not None:
        given.plot.write_text(plot.draw(results))
    return 1 if results.failures or not results.samples else 0
