"""What agents say to each other, and what it costs, by the size of a simulated mesh. See docs/SCALE.md.

python scripts/bench_scale.py --agents 50 100 200 --rest 120

A random graph in which each agent dials three that came before it. All start together; once all hold the
graph one link is cut, and all learn of that; then nothing happens for a while.
"""

import argparse
import gc
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import bootstrap

KIB = 1024
LINKS = 3
STEP_S = 0.01
"""How exactly the time of convergence is known."""


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measure control traffic in a simulated mesh.")
    parser.add_argument("--agents", type=whole(1), nargs="+", default=[50, 100, 200])
    parser.add_argument("--seed", type=seed, default=1)
    parser.add_argument(
        "--rest", type=number(0), default=0.0, help="seconds of rest; a refresh takes 120 (0)"
    )
    return parser.parse_args()


def main(options: argparse.Namespace) -> None:
    """Print a line for each size."""
    titles = ("agents", "what", "virtual s", "records each", "KiB sent each", "CPU s", "peak MiB")
    sys.stdout.write("{:>7} {:<8} {:>10} {:>13} {:>14} {:>7} {:>9}\n".format(*titles))
    install_ordered_registry()
    for agents in options.agents:
        gc.disable()  # as in a simulation: a world is given back as a whole
        measure(agents, options.seed, options.rest)
        gc.enable()
        gc.collect()


def measure(agents: int, seed: int, rest_s: float) -> None:
    """All of one mesh's life."""
    draw = random.Random(seed)  # noqa: S311 -- to be repeated, not secret
    mesh = MeshWorld(seed)
    names = [f"agent-{number}" for number in range(agents)]
    links = {name: draw.sample(names[:number], min(LINKS, number)) for number, name in enumerate(names)}
    for name, peers in links.items():
        mesh.plan(name, peers=peers)
        for peer in peers:
            mesh.network.shape(name, peer, latency_s=draw.uniform(0.001, 0.02))
    peers_of: dict[str, set[str]] = {name: set(peers) for name, peers in links.items()}
    for name, peers in links.items():
        for peer in peers:
            peers_of[peer].add(name)

    def hold_the_graph() -> bool:
        return all(holds(mesh, name, peers_of) for name in names)

    with counted_bytes() as sent, simulated_mesh(mesh):
        watch = Watch(mesh, names, sent)
        mesh.start()
        watch.run_until(hold_the_graph)
        watch.report("start")
        mesh.run(3.0)
        watch.reset()
        one, other = names[-1], links[names[-1]][0]
        peers_of[one].discard(other)
        peers_of[other].discard(one)
        mesh.network.cut(one, other, reset=True)
        watch.run_until(hold_the_graph)
        watch.report("a change")
        if rest_s:
            mesh.run(3.0)
            watch.reset()
            mesh.run(rest_s)
            watch.report("rest")


def holds(mesh: "MeshWorld", name: str, peers_of: dict[str, set[str]]) -> bool:
    """Whether one agent has the record of every agent, with its links as they are."""
    snapshot = mesh.routes(name)
    if snapshot is None or len(snapshot.records) != len(peers_of):
        return False
    records = snapshot.records.values()
    return all(len(record.body.neighbours) == len(peers_of[record.name]) for record in records)


class Watch:
    """What has been said since the last reset."""

    def __init__(self, mesh: "MeshWorld", names: list[str], sent: Counter[str]) -> None:
        self._mesh, self._names, self._sent = mesh, names, sent
        self.reset()

    def reset(self) -> None:
        """Count from here."""
        self._sent.clear()
        self._stored = self._records() if self._mesh.running else 0
        self._began_at, self._cpu_s = self._mesh.world.now(), time.process_time()

    def _records(self) -> int:
        ask = self._mesh.ask
        return sum(
            counts.records_stored_total + counts.records_duplicate_total + counts.records_older_total
            for counts in (ask(name, "route_table", GetCounts()) for name in self._names)
        )

    def run_until(self, is_so: Callable[[], bool]) -> None:
        """Let time pass until it is so."""
        while not is_so():
            self._mesh.run(STEP_S)

    def report(self, what: str) -> None:
        """Print what has been said."""
        cpu_s = time.process_time() - self._cpu_s
        agents = len(self._names)
        records = (self._records() - self._stored) / agents
        kib = sum(self._sent[name] for name in self._names) / agents / KIB
        peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB
        took_s = self._mesh.world.now() - self._began_at
        sys.stdout.write(
            f"{agents:7} {what:<8} {took_s:10.2f} {records:13.1f} {kib:14.1f} {cpu_s:7.1f} {peak_mib:9.0f}\n"
        )
        sys.stdout.flush()


@contextmanager
def counted_bytes() -> "Iterator[Counter[str]]":
    """Bytes that each host's sockets take, by host."""
    sent: Counter[str] = Counter()
    inner = VirtualStreamSocket.send

    def send(socket: "VirtualStreamSocket", buffers: "Sequence[bytes]") -> int:
        taken = inner(socket, buffers)
        sent[socket._host.name] += taken
        return taken

    VirtualStreamSocket.send = send  # type: ignore[method-assign]
    try:
        yield sent
    finally:
        VirtualStreamSocket.send = inner  # type: ignore[method-assign]


if __name__ == "__main__":
    sys.path.insert(0, str(bootstrap.ROOT))

    from scripts.arguments import number, seed, whole

    arguments = parse()
    bootstrap.continue_in_environment("dev")

    from actors.messages.route_table import GetCounts
    from actors.runtime.registry import install_ordered_registry
    from actors.runtime.virtual.streams import VirtualStreamSocket
    from scripts.simulation.world import MeshWorld, simulated_mesh

    main(arguments)
