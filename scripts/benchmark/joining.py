"""From ``mesh invite`` to a request that is served to the new agent: how long it takes, and how much work."""

import argparse
import contextlib
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from mesh.trust.issuing import IssuingLimits
from scripts.benchmark.processes import usage
from scripts.lab.agents import DAY_S
from scripts.lab.clients import connect
from scripts.lab.meshes import Mesh
from scripts.lab.ports import LOOPBACK
from scripts.lab.processes import Process, python
from scripts.lab.services import Service, announce
from scripts.lab.waiting import wait_until

GREETING: Final = b"hello"
COMMAND_S: Final = 60.0
LIMIT_S: Final = 5.0
"""What it may take."""


class Joined(NamedTuple):
    """What it took."""

    wall_s: float
    cpu_s: float
    """Of all processes, those that were there before included."""
    steps: tuple[tuple[str, float], ...]
    """Wall time at the end of each, in seconds since the beginning."""


def main(arguments: Sequence[str]) -> int:
    """Measure, and print; the status is 0 if no time was longer than it may be."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=3, help="how often (3)")
    times = parser.parse_args(arguments).times
    worst_s = 0.0
    for _ in range(times):
        took = joined()
        worst_s = max(worst_s, took.cpu_s)
        steps = ", ".join(f"{name} after {at_s:.2f} s" for name, at_s in took.steps)
        print(f"served after {took.wall_s:.2f} s, {took.cpu_s:.2f} s of a processor: {steps}")
    return 0 if worst_s < LIMIT_S else 1


def joined() -> Joined:
    """Have an agent join a mesh of an issuer and a relay, once, and use a service."""
    with tempfile.TemporaryDirectory(prefix="mesh-join-") as folder, _mesh(Path(folder)) as mesh:
        relay, hq = mesh.agents
        before = usage([relay.process.pid, hq.process.pid]).cpu_s
        began, children = time.monotonic(), _children_s()
        steps: list[tuple[str, float]] = []

        def done(step: str) -> None:
            steps.append((step, time.monotonic() - began))

        home, address = Path(folder) / "laptop", f"{LOOPBACK}:{relay.accept_port}"
        asking = ("--use", "web", "--dial", address, "--config", hq.config_file)
        token = _command("invite", "laptop", *asking).strip()
        done("invited")
        agent = Process(
            [str(part) for part in python("-m", "mesh.agent.entry", "join", token, "--dir", home, "--start")],
            Path(folder) / "laptop.log",
        )
        try:
            wait_until(lambda: "runs on" in agent.output, "the new agent runs", COMMAND_S)
            done("joined and started")
            port = mesh.ports.reserve()
            _command("listen", "web", f"{LOOPBACK}:{port}", "--save", "--config", home / "config.yaml")
            done("listens")
            wait_until(lambda: _fetched(port), "the request is served", COMMAND_S)
            done("served")
            wall_s = time.monotonic() - began
            cpu_s = usage([relay.process.pid, hq.process.pid, agent.pid]).cpu_s - before
            cpu_s += _children_s() - children
        finally:
            agent.kill()
        return Joined(wall_s, cpu_s, tuple(steps))


@contextlib.contextmanager
def _mesh(folder: Path) -> Iterator[Mesh]:
    """A relay, and an issuer that offers a service."""
    (folder / "mesh").mkdir()
    with contextlib.closing(Mesh(folder / "mesh")) as mesh, Service(announce(GREETING)) as service:
        relay, hq = mesh.agent("relay"), mesh.agent("hq")
        hq.dial(relay)
        hq.offer("web", service.port)
        hq.certify(may_issue=IssuingLimits(30 * DAY_S, (), ("*",)))
        mesh.start()
        yield mesh


def _fetched(port: int) -> bool:
    with connect(port) as client:
        return client.recv(64) == GREETING


def _command(*arguments: object) -> str:
    command = [str(part) for part in python("-m", "mesh.agent.entry", *arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=COMMAND_S).stdout


def _children_s() -> float:
    """What children that have ended have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
