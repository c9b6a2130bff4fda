"""The mesh as a way: agents in a row, and agents alone, with keys and configurations of their own."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from scripts.benchmark.processes import HERE, Place, Process, free_ports, wait_for_echo
from scripts.benchmark.ways import CROWD_ADDRESSES, Servers, Way
from scripts.lab.agent_processes import PROGRAM, write_config
from scripts.lab.keys import init_mesh
from scripts.lab.software import OURS, Software

MOST_AGENTS: Final = 5


class Forwards(msgspec.Struct, frozen=True):
    """What an agent offers and where it listens, routing key to address."""

    endpoints: Mapping[str, str] = {}
    listeners: Mapping[str, str] = {}


class Members:
    """Agents that know each other: their folders are made, none runs yet.

    Args:
        folder: where their keys, configurations and logs go; made here.
        places: where each of them runs.
        software: whose agents run.
    """

    def __init__(self, folder: Path, places: Sequence[Place], software: Software = OURS) -> None:
        self._folder = folder
        self._places = places
        self._software = software
        self.names = [f"agent{number + 1}" for number in range(len(places))]
        self._authority = init_mesh(folder, [f"{name}:all" for name in self.names], software)
        ports = free_ports(2 * len(places))
        self._peer_ports = ports[: len(places)]
        self.http_ports: Final = ports[len(places) :]

    def start(self, number: int, forwards: Forwards, dials: Sequence[int] = ()) -> Process:
        """Run agent ``number``, which dials the others of those numbers."""
        name = self.names[number]
        config: dict[str, Any] = {
            "agent": {"name": name, "data_dir": ".", "drain_timeout": "0s"},
            "trust": {"authorities": [self._authority], "certificate": "agent.cert"},
            "accept": [{"address": self._address(number)}],
            "peers": [{"address": self._address(other)} for other in dials],
            "forward": {
                "endpoints": [{"key": key, "target": at} for key, at in forwards.endpoints.items()],
                "listeners": [{"key": key, "address": at} for key, at in forwards.listeners.items()],
            },
            "http": {"address": f"127.0.0.1:{self.http_ports[number]}"},
        }
        path = self.config(number)
        write_config(path, config)
        command = [*self._places[number].prefix, *self._software.command(*PROGRAM, path)]
        log = self._folder / f"{name}.log"
        return Process(command, log, cwd=self._software.folder, environment=self._software.environment)

    def config(self, number: int) -> Path:
        """The configuration of agent ``number``, once it has been started."""
        return self._folder / self.names[number] / "bench.yaml"

    def _address(self, number: int) -> str:
        return f"{self._places[number].address}:{self._peer_ports[number]}"


@contextlib.contextmanager
def mesh(
    services: Servers,
    folder: Path,
    *,
    places: Sequence[Place],
    software: Software = OURS,
) -> Iterator[Way]:
    """A chain of agents: the first has the listeners, the last the endpoints, each dials the next."""
    targets = {"bulk": f"127.0.0.1:{services.bulk_port}", "echo": f"127.0.0.1:{services.echo_port}"}
    if services.crowd_port:
        for number, address in enumerate(CROWD_ADDRESSES):
            targets[f"crowd{number}"] = f"{address}:{services.crowd_port}"
    ports = dict(zip(targets, free_ports(len(targets)), strict=True))
    listeners = {key: f"127.0.0.1:{port}" for key, port in ports.items()}
    members = Members(folder, places, software)
    last = len(places) - 1
    with contextlib.ExitStack() as stack:
        processes = {}
        for number in range(len(places)):
            forwards = Forwards(targets if number == last else {}, listeners if number == 0 else {})
            process = members.start(number, forwards, [] if number == last else [number + 1])
            stack.callback(process.stop)
            processes[role(number, len(places))] = process
        for key, port in ports.items():
            if key != "bulk":
                wait_for_echo(port, list(processes.values()), places[0])
        yield Way(
            ports.pop("bulk"),
            ports.pop("echo"),
            {role: process.pid for role, process in processes.items()},
            tuple(ports.values()),
            places[0],
            http_ports=dict(zip(processes, members.http_ports, strict=True)),
        )


def chain_of(agents: int) -> tuple[Place, ...]:
    """So many places on this host."""
    return (HERE,) * agents


def role(number: int, agents: int) -> str:
    """What agent ``number`` of a chain is to a connection."""
    if agents == 1:
        return "ingress and exit"
    if number == 0:
        return "ingress"
    if number == agents - 1:
        return "exit"
    return "transit" if agents == 3 else f"transit {number}"
