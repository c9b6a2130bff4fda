"""The mesh and ssh over long, narrow links: three network namespaces in a row, emulated networks between.

The kernel's netem emulates where it can; elsewhere a process carries every packet (``wire.py``).
"""

import contextlib
import functools
import itertools
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from scripts.benchmark import chain, ssh, ways
from scripts.benchmark.figures import NETWORKS, Network
from scripts.benchmark.measures import Effort, Samples, client
from scripts.benchmark.processes import BenchmarkError, Place, Wire, command
from scripts.benchmark.ways import Chosen, Opener, Way
from scripts.lab.software import Software

OTHERS: Final = ("plain", "socat-3", "ssh-J")
"""Carried beside the meshes. Plain TCP has one connection end to end: the host between forwards packets."""

HOSTS: Final = 3
PING_ROUNDS: Final = 15
NETEM_PACKETS: Final = 100_000
"""That netem holds, those on their way included: more than a round trip's worth of any network here."""

FORWARDING: Final = "/proc/sys/net/ipv4/ip_forward"
CHOSEN_PORTS: Final = "/proc/sys/net/ipv4/ip_local_port_range"
OTHER_PORTS: Final = "10000 30000"
"""That a host's kernel chooses from: none that this one chooses, which agents and relays there are told."""

TUN: Final = Path("/dev/net/tun")
QUEUE_PACKETS: Final = 10_000
"""That an interface holds for the process that carries them."""


def missing() -> str | None:
    """Why no network can be emulated here; ``None`` where one can."""
    if os.geteuid() != 0:
        return "needs root"
    if shutil.which("ip") is None:
        return "ip not installed"
    name = _namespace("probe")
    try:
        command(["ip", "netns", "add", name])
    except BenchmarkError:
        return "no network namespaces here"
    command(["ip", "netns", "delete", name])
    if not has_netem() and not TUN.exists():
        return "this kernel has neither netem nor TUN"
    return None


def has_netem() -> bool:
    """Whether the kernel emulates networks itself."""
    if shutil.which("tc") is None:
        return False
    name = _namespace("netem")
    command(["ip", "netns", "add", name])
    try:
        command(["tc", "-n", name, "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"])
    except BenchmarkError:
        return False
    finally:
        command(["ip", "netns", "delete", name])
    return True


def netem(device: str, network: Network) -> list[str]:
    """What ``tc`` is told of one end of a link."""
    words = ["qdisc", "add", "dev", device, "root", "netem", "limit", str(NETEM_PACKETS)]
    words += ["delay", f"{network.round_trip_s / 2 * 1000:g}ms", "rate", f"{network.bits_per_s:.0f}bit"]
    return words + (["loss", f"{network.loss * 100:g}%"] if network.loss else [])


@contextlib.contextmanager
def places(network: Network, *, by_kernel: bool) -> Iterator[tuple[Place, ...]]:
    """Three hosts in a row; each link between them is like ``network``."""
    names = [_namespace(str(number)) for number in range(HOSTS)]
    with contextlib.ExitStack() as stack:
        for name in names:
            command(["ip", "netns", "add", name])
            stack.callback(command, ["ip", "netns", "delete", name])
            command(["ip", "-n", name, "link", "set", "lo", "up"])
            command(_inside(name, f"echo {OTHER_PORTS} > {CHOSEN_PORTS}"))
        addresses = ["127.0.0.1"]
        for number, (left, right) in enumerate(itertools.pairwise(names)):
            devices = [f"b{os.getpid()}-{number}{side}" for side in "lr"]
            ends = list(zip(devices, (left, right), strict=True))
            if by_kernel:
                # Made where they belong: whatever fails then, they go with their namespaces.
                one, other = ([device, "netns", name] for device, name in ends)
                command(["ip", "link", "add", *one, "type", "veth", "peer", "name", *other])
            else:
                wire = Wire(
                    devices,
                    delay_s=network.round_trip_s / 2,
                    bits_per_s=network.bits_per_s,
                    loss=network.loss,
                )
                stack.callback(wire.stop)
                for device, name in ends:
                    command(["ip", "link", "set", device, "netns", name])
            for host, (device, name) in enumerate(ends):
                here, there = (f"10.77.{number}.{1 + end}" for end in (host, 1 - host))
                command(["ip", "-n", name, "address", "add", f"{here}/32", "peer", there, "dev", device])
                command(["ip", "-n", name, "link", "set", device, "txqueuelen", str(QUEUE_PACKETS), "up"])
                if by_kernel:
                    command(["tc", "-n", name, *netem(device, network)])
            addresses.append(f"10.77.{number}.2")
        _lead_through(names)
        yield tuple(
            Place(("ip", "netns", "exec", name), address)
            for name, address in zip(names, addresses, strict=True)
        )


def _lead_through(names: Sequence[str]) -> None:
    """Let packets go from the first host to the last over the one between."""
    first, between, last = names
    command(_inside(between, f"echo 1 > {FORWARDING}"))
    command(["ip", "-n", first, "route", "add", "10.77.1.0/24", "via", "10.77.0.2"])
    command(["ip", "-n", last, "route", "add", "10.77.0.0/24", "via", "10.77.1.1"])


def take(
    folder: Path,
    networks: Mapping[str, Network],
    chosen: Chosen,
    effort: Effort,
    *,
    samples: Samples,
    say: Callable[[str], None],
) -> None:
    """Bulk, ping-pong and connections through each of ``networks``, as it says."""
    reason = missing()
    if reason is not None:
        samples.results.skipped["wan"] = reason
        return
    gone = {"ssh-J": ssh.ssh_missing(), "socat-3": ways.socat_missing()}
    wanted = [name for name in OTHERS if name in chosen.names and not gone.get(name)]
    for name, why in gone.items():
        if name in chosen.names and why:
            samples.results.skipped[name] = why
    by_kernel = has_netem()
    emulated = "the kernel's netem" if by_kernel else "a process that carries every packet (no netem here)"
    samples.results.note(f"wan: emulated by {emulated}")
    folder.mkdir()
    for short, network in networks.items():
        say(f"wan: {network.title}")
        with samples.guard("wan", network.title), places(network, by_kernel=by_kernel) as hosts:
            _through(folder / short, hosts, wanted, chosen.chains, rounds=effort.wan_rounds, samples=samples)


def _through(
    folder: Path,
    hosts: tuple[Place, ...],
    others: Sequence[str],
    chains: Mapping[str, Software],
    *,
    rounds: int,
    samples: Samples,
) -> None:
    folder.mkdir()
    short = folder.name
    with ways.servers(hosts[-1]) as services, contextlib.ExitStack() as stack:
        openers: dict[str, Opener] = {
            "plain": lambda: ways.plain(services, hosts[0]),
            "socat-3": lambda: ways.socat(services, folder / "socat-3", places=hosts),
            "ssh-J": lambda: ssh.ssh(services, folder / "ssh-J", jump=True, cipher=ssh.AES, places=hosts),
        }
        ways_wanted = {name: openers[name] for name in others}
        for name, software in chains.items():
            ways_wanted[name] = functools.partial(
                chain.mesh, services, folder / name, places=hosts, software=software
            )
        opened = {}
        for name, opener in ways_wanted.items():
            with samples.guard(name, short):
                opened[name] = stack.enter_context(opener())
        for number in range(rounds):
            for name, way in opened.items():
                with samples.guard(name, f"{short}, round {number + 1}"):
                    _sample(name, way, short, samples)


def _sample(name: str, way: Way, short: str, samples: Samples) -> None:
    network = NETWORKS[short]
    for load, rounds in (("ping", PING_ROUNDS), ("connect", network.connections)):
        if rounds:
            with samples.of(name, f"{short}_{load}") as keep:
                keep[f"{short}_{load}"] = client(way, load, "--rounds", str(rounds))["p50_us"] / 1000
    for direction in ("up", "down") if network.byte_count else ():
        with samples.of(name, f"{short}_{direction}") as keep:
            options = ["--up"] if direction == "up" else []
            done = client(way, "bulk", *options, "--bytes", str(network.byte_count))
            keep[f"{short}_{direction}"] = done["byte_count"] / done["seconds"] / 1e6


def _inside(name: str, line: str) -> list[str]:
    return ["ip", "netns", "exec", name, "sh", "-c", line]


def _namespace(name: str) -> str:
    return f"bench{os.getpid()}-{name}"
