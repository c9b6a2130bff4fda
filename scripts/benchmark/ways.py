"""The ways between client and server that the benchmark compares; each runs real processes."""

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from scripts.benchmark.processes import HERE, Place, Process, Server, free_ports, wait_for_echo
from scripts.lab.software import OURS, Software

CROWD_ADDRESSES: Final = ("127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5")
"""Where the crowd's service listens: each address has ports of its own for the agent that connects to it."""

CHAIN: Final = "mesh-3"
"""The way of three agents of this checkout."""

SOCAT_BYTES: Final = 256 * 1024
"""For one system call, as in the agents."""


class Way(msgspec.Struct, frozen=True):
    """A way that is up: where to connect, and which processes carry the bytes."""

    bulk_port: int
    echo_port: int
    pids: Mapping[str, int] = {}
    """Role to process; empty for plain TCP."""
    crowd_ports: tuple[int, ...] = ()
    """Where thousands of connections may be opened; none where the way is not meant for so many."""
    place: Place = HERE
    """Where its clients run."""
    address: str = HERE.address
    """What they connect to for bulk, ping-pong and connections one after another."""
    process_per_connection: bool = False
    http_ports: Mapping[str, int] = {}
    """Role to the port where an agent is asked how it is."""


class Chosen(msgspec.Struct, frozen=True):
    """The ways that a run measures."""

    names: Sequence[str]
    """Of those that are always there."""
    beside: Mapping[str, Software]
    """Three agents of other software each, by name."""

    @property
    def chains(self) -> dict[str, Software]:
        """All with three agents on the usual event loop, by name."""
        return ({CHAIN: OURS} if CHAIN in self.names else {}) | dict(self.beside)


Opener = Callable[[], "contextlib.AbstractContextManager[Way]"]


class Servers(msgspec.Struct, frozen=True):
    """What every way leads to; each in a process of its own, so that none delays the others."""

    bulk_port: int
    echo_port: int
    crowd_port: int = 0
    """Of the echo service for thousands of connections, on every one of ``CROWD_ADDRESSES``."""
    place: Place = HERE
    """Where they run; all but the crowd's listen on its address and on loopback."""


@contextlib.contextmanager
def servers(place: Place = HERE) -> Iterator[Servers]:
    """The load servers."""
    near = sorted({HERE.address, place.address})
    with contextlib.ExitStack() as stack:
        started = []
        for kind, addresses in (
            ("bulk", near),
            ("echo", near),
            ("echo", CROWD_ADDRESSES),
        ):
            server = Server(kind, place, addresses)
            stack.callback(server.stop)
            started.append(server.port)
        bulk_port, echo_port, crowd_port = started
        yield Servers(bulk_port, echo_port, crowd_port, place)


@contextlib.contextmanager
def plain(services: Servers, place: Place = HERE) -> Iterator[Way]:
    """No tunnel at all, from ``place`` to the services."""
    yield Way(services.bulk_port, services.echo_port, place=place, address=services.place.address)


def socat_missing() -> str | None:
    """Why ``socat`` cannot be measured here; ``None`` where it can."""
    return None if shutil.which("socat") else "socat not installed"


@contextlib.contextmanager
def socat(services: Servers, folder: Path, *, places: Sequence[Place]) -> Iterator[Way]:
    """A socat relay at each of ``places``, one after another; nothing is encrypted."""
    folder.mkdir()
    with contextlib.ExitStack() as stack:
        pids = {}
        processes: list[Process] = []
        first = []
        for name, target in (("bulk", services.bulk_port), ("echo", services.echo_port)):
            ports = free_ports(len(places))
            first.append(ports[0])
            nexts = [f"{place.address}:{port}" for place, port in zip(places, ports, strict=True)][1:]
            for number, to in enumerate((*nexts, f"127.0.0.1:{target}")):
                place = places[number]
                listens = (
                    f"TCP-LISTEN:{ports[number]},bind={place.address},reuseaddr,fork,backlog=4096,nodelay"
                )
                start = [*place.prefix, "socat", "-b", str(SOCAT_BYTES), listens, f"TCP:{to},nodelay"]
                process = Process(start, folder / f"{name}{number}.log")
                stack.callback(process.stop)
                processes.append(process)
                pids[f"{name} {number + 1}"] = process.pid
        wait_for_echo(first[1], processes, places[0])
        yield Way(first[0], first[1], pids, place=places[0], process_per_connection=True)
