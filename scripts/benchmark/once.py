"""What is measured once in a run: idle connections and what they cost, idle agents, the start, a command."""

import contextlib
import os
import resource
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from scripts.benchmark import chain
from scripts.benchmark.chain import Forwards, Members
from scripts.benchmark.figures import CROWD, FEW
from scripts.benchmark.load_clients import Stalled, wait
from scripts.benchmark.measures import LIMIT_S, Effort, Samples, client
from scripts.benchmark.processes import (
    READY_TIMEOUT_S,
    BenchmarkError,
    Holder,
    free_ports,
    usage,
    wait_for_echo,
)
from scripts.benchmark.ways import Servers, Way
from scripts.lab.software import Software

SETTLE_S: Final = 0.5
"""Between opening idle connections and looking at the memory: last acknowledgements, freed buffers."""

CALM_S: Final = 3.0
"""Between the start of agents and watching them idle: records, routes and round trips are known by then."""

PEERS: Final = 3
SPARE_DESCRIPTORS: Final = 300
"""Of a process, for all that is no connection."""

CROWD_LIMIT_S: Final = 110.0
"""For opening all of them."""

CROWD_PING_S: Final = 2.0


class Once:
    """Takes the samples that one a run suffices for."""

    def __init__(self, ways: Mapping[str, Way], effort: Effort, samples: Samples) -> None:
        self._ways = ways
        self._effort = effort
        self._samples = samples

    def memory(self) -> None:
        """Open many connections, and as many again, and look at what the second ones cost.

        The first ones have each process take memory that it needs once, however many there are: of what a
        transit agent took with 1,000 that was four fifths. And before the bulk transfers: what those have
        used and freed would hide it.
        """
        count = self._effort.idle_connections
        for name, way in self._ways.items():
            if not way.pids:
                continue
            if way.process_per_connection:
                self._samples.results.skipped[f"memory, {name}"] = "a process for each connection"
                continue
            with self._samples.guard(name, "memory"), self._samples.of(name, "memory") as keep:
                after = _memory(way)
                with contextlib.ExitStack() as stack:
                    for _ in range(2):
                        stack.callback(Holder([way.echo_port], count, LIMIT_S, way.place).stop)
                        time.sleep(SETTLE_S)
                        before, after = after, _memory(way)
                by_role = {role: (after[role] - before[role]) / count / 1024 for role in way.pids}
                keep["memory"] = sum(by_role.values())
                for role in ("ingress", "transit", "exit"):
                    found = [kib for one, kib in by_role.items() if one.split()[0] == role]
                    if found and "ingress and exit" not in by_role:
                        self._samples.results.add(name, f"memory_{role}", max(found))

    def crowd(self) -> None:
        """Ping-pong with thousands of connections open, against a few."""
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        for name, way in self._ways.items():
            if not way.crowd_ports:
                continue
            count = min(self._effort.crowd, most_connections(way, limit))
            if count != CROWD:
                self._samples.results.note(f"{name}: {count:,} connections were open, not {CROWD:,}")
            metrics = ("few_p50", "crowd_p50", "crowd_slowdown", "crowd_open_rate")
            with self._samples.guard(name, "crowd"), self._samples.of(name, *metrics) as keep:
                keep["few_p50"] = self._ping_with(way, FEW)[0]
                keep["crowd_p50"], keep["crowd_open_rate"] = self._ping_with(way, count)
                keep["crowd_slowdown"] = keep["crowd_p50"] / keep["few_p50"]

    def _ping_with(self, way: Way, count: int) -> tuple[float, float]:
        began = time.monotonic()
        holder = Holder(way.crowd_ports, count, CROWD_LIMIT_S, way.place)
        opened_s = time.monotonic() - began
        try:
            time.sleep(SETTLE_S)
            seconds = min(CROWD_PING_S, self._effort.ping_s * 2)
            done = client(way, "ping", "--rounds", "1000000", seconds=seconds)
        finally:
            holder.stop()
        return done["p50_us"], count / opened_s


def idle(folder: Path, name: str, software: Software, effort: Effort, samples: Samples) -> None:
    """The CPU time of an agent with three peers that does nothing, and how long it takes to ask how it is.

    The way is called ``name``, and ``software``'s agents run.
    """
    with (
        samples.guard(name, "idle"),
        samples.of(name, "idle_cpu", "status") as keep,
        contextlib.ExitStack() as stack,
    ):
        members = Members(folder, chain.chain_of(PEERS + 1), software=software)
        port = free_ports(1)[0]
        target = free_ports(1)[0]  # nobody listens there, and nobody asks
        started = []
        for number in range(PEERS + 1):
            endpoints = {f"key{number}": f"127.0.0.1:{target}"}
            listeners = {"key1": f"127.0.0.1:{port}"} if number == 0 else {}
            process = members.start(number, Forwards(endpoints, listeners), [0] if number else [])
            stack.callback(process.stop)
            started.append(process)
        time.sleep(CALM_S)
        for process in started:
            process.check()
        before, began = usage([started[0].pid]).cpu_s, time.monotonic()
        time.sleep(effort.idle_s)
        spent = usage([started[0].pid]).cpu_s - before
        keep["idle_cpu"] = spent / (time.monotonic() - began) * 100
        keep["status"] = statistics.median(
            _status_s(members.config(0), software) for _ in range(effort.starts)
        )


def _status_s(config: Path, software: Software) -> float:
    """Seconds that the command takes at an agent that answers; until it does, it is asked anew."""
    command = software.command("-m", software.client, "status", "--config", config)
    environment = {**os.environ, **software.environment}
    deadline = time.perf_counter() + READY_TIMEOUT_S
    while True:
        began = time.perf_counter()
        done = subprocess.run(
            command,
            capture_output=True,
            check=False,
            cwd=software.folder,
            env=environment,
            timeout=READY_TIMEOUT_S,
        )
        if not done.returncode:
            return time.perf_counter() - began
        if began > deadline:
            raise BenchmarkError(f"mesh status: {done.stderr.decode().strip()}")


def start(
    services: Servers, folder: Path, meshes: Mapping[str, Software], effort: Effort, samples: Samples
) -> None:
    """From the start of an agent's process to the first answer through its listener.

    The agents of all of ``meshes`` take turns; each is a way of that name.
    """
    folder.mkdir()
    for number in range(effort.starts):
        for name, software in meshes.items():
            _start(services, folder / f"{name}{number}", name, software, samples)


def _start(services: Servers, folder: Path, name: str, software: Software, samples: Samples) -> None:
    folder.mkdir()
    target = {"echo": f"127.0.0.1:{services.echo_port}"}
    port, other_port = free_ports(2)
    here, there = ({"echo": f"127.0.0.1:{one}"} for one in (port, other_port))
    with samples.guard(name, "start, alone"), samples.of(name, "start_alone") as keep:
        alone = Members(folder / "alone", chain.chain_of(1), software=software)
        keep["start_alone"] = _until_served(port, alone, Forwards(target, here))
    with samples.guard(name, "start, joining"), samples.of(name, "start_joining") as keep:
        pair = Members(folder / "pair", chain.chain_of(2), software=software)
        running = pair.start(1, Forwards(target, there))
        try:
            wait_for_echo(other_port, [running])
            keep["start_joining"] = _until_served(port, pair, Forwards({}, here), [1])
        finally:
            running.stop()


def _until_served(port: int, members: Members, forwards: Forwards, dials: Sequence[int] = ()) -> float:
    """Seconds from before the first member's process is started until ``port`` serves; it ends here."""
    began = time.perf_counter()
    process = members.start(0, forwards, dials)
    try:
        wait(port, seconds=READY_TIMEOUT_S)
        return time.perf_counter() - began
    except Stalled as error:
        raise BenchmarkError(f"{error}\n{process.last_words()}") from None
    finally:
        process.stop()


def _memory(way: Way) -> dict[str, int]:
    return {role: usage([pid], memory=True).memory_bytes for role, pid in way.pids.items()}


def most_connections(way: Way, limit: int) -> int:
    """Connections that its agents' descriptors allow, where each process may have ``limit`` of them.

    An agent that is ingress and exit at once needs two for each connection.
    """
    return (limit - SPARE_DESCRIPTORS) // (2 if len(way.pids) == 1 else 1)
