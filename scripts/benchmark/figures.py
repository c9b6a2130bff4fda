"""The figures: what each is called, and the bars that the mesh is held to."""

import enum
from collections.abc import Mapping
from typing import Final

import msgspec

CROWD: Final = 10_000
"""Open connections through each agent, where its descriptors allow them."""

FEW: Final = 10
"""What the crowd is compared with."""


class Network(msgspec.Struct, frozen=True):
    """An emulated network: what each link of a chain is like."""

    title: str
    bits_per_s: float
    round_trip_s: float
    loss: float
    """Share of the packets that is lost, in each direction."""
    byte_count: int = 0
    """Of a bulk transfer; 0 for a network that has none."""
    connections: int = 0
    """That are made one after another, in one round."""


NETWORKS: Final[Mapping[str, Network]] = {
    "wan_near": Network("1 Gbit/s, 20 ms", 1e9, 0.020, 0.0, connections=25),
    "wan_fast": Network("1 Gbit/s, 40 ms", 1e9, 0.040, 0.0, 96 << 20),
    "wan_poor": Network("100 Mbit/s, 100 ms, 0.1 % loss", 100e6, 0.100, 0.001, 24 << 20),
}


class Metric(msgspec.Struct, frozen=True):
    """One figure of a way."""

    title: str
    unit: str
    digits: int
    ratio: bool = True
    """Whether ways are compared by it."""


METRICS: Final[Mapping[str, Metric]] = {
    "bulk_up": Metric("bulk up, 1 connection", "MB/s", 0),
    "bulk_down": Metric("bulk down, 1 connection", "MB/s", 0),
    "bulk_up_16": Metric("bulk up, 16 connections", "MB/s", 0),
    "bulk_down_16": Metric("bulk down, 16 connections", "MB/s", 0),
    "cpu_up": Metric("CPU, bulk up", "s/GiB", 2),
    "cpu_down": Metric("CPU, bulk down", "s/GiB", 2),
    "ping_p50": Metric("64-byte ping-pong, p50", "us", 0),
    "ping_p99": Metric("64-byte ping-pong, p99", "us", 0),
    "ping_cpu": Metric("CPU of a round", "us", 0),
    "busy_p50": Metric("ping-pong under bulk, p50", "us", 0),
    "busy_p99": Metric("ping-pong under bulk, p99", "us", 0),
    "busy_bulk": Metric("bulk meanwhile", "MB/s", 0),
    "slow_beside": Metric("bulk beside a slow receiver", "MB/s", 0),
    "slow_share": Metric("the same, against without it", "", 2, ratio=False),
    "connect_p50": Metric("new connection, p50", "us", 0),
    "connect_p99": Metric("new connection, p99", "us", 0),
    "connect_rate": Metric("new connections, 64 at once", "1/s", 0),
    "connect_cpu": Metric("CPU per connection", "ms", 2),
    "memory": Metric("memory per idle connection, all", "KiB", 1),
    "memory_ingress": Metric("memory per idle connection, ingress", "KiB", 1, ratio=False),
    "memory_transit": Metric("memory per idle connection, transit", "KiB", 1, ratio=False),
    "memory_exit": Metric("memory per idle connection, exit", "KiB", 1, ratio=False),
    "few_p50": Metric(f"ping-pong, {FEW} connections open, p50", "us", 0, ratio=False),
    "crowd_p50": Metric(f"ping-pong, {CROWD:,} connections open, p50", "us", 0, ratio=False),
    "crowd_slowdown": Metric(f"ping-pong, {CROWD:,} open against {FEW}", "", 2, ratio=False),
    "crowd_open_rate": Metric(f"opening {CROWD:,} connections", "1/s", 0, ratio=False),
    "idle_cpu": Metric("CPU of an idle agent with 3 peers", "%", 3, ratio=False),
    "status": Metric("mesh status, at an agent with 3 peers", "s", 3, ratio=False),
    "start_alone": Metric("start to serving, all on one agent", "s", 3, ratio=False),
    "start_joining": Metric("start to serving, endpoint's agent runs", "s", 3, ratio=False),
    **{
        f"{name}_{what}": Metric(f"{network.title}: {title}", unit, digits)
        for name, network in NETWORKS.items()
        for what, title, unit, digits in (
            ("connect", "connect, ask, answer, p50", "ms", 1),
            ("up", "bulk up", "MB/s", 1),
            ("down", "bulk down", "MB/s", 1),
            ("ping", "ping-pong, p50", "ms", 1),
        )
    },
}
"""In the order of the table. Megabytes are 10**6 bytes; GiB and KiB are 2**30 and 2**10."""

COMPARED: Final = (
    ("mesh-2", "ssh-L"),
    ("mesh-3", "ssh-J"),
    ("mesh-3-compiled", "ssh-J"),
    ("mesh-3-compiled", "mesh-3"),
    ("mesh-3", "mesh-3-before"),
    ("mesh-3", "ssh-J-chacha"),
    ("mesh-3", "socat-3"),
    ("mesh-2", "plain"),
    ("mesh-3", "plain"),
    ("mesh-3-compiled", "plain"),
)
"""Ours and what it is measured against: as many encrypted legs, as many relays, or no tunnel at all."""


class Bar(msgspec.Struct, frozen=True):
    """What a figure is held to."""

    title: str
    metric: str
    way: str
    against: str
    """The way whose figure it is divided by, round by round; none: the figure itself is judged."""
    at_least: float
    aim: float
    scale: float = 1.0
    """What the metric's unit is divided by to have that of the bar."""
    unit: str = ""

    @property
    def more_is_better(self) -> bool:
        """Whether the aim is above what is asked for at least."""
        return self.aim > self.at_least


class Standing(enum.Enum):
    """Where a figure stands beside its bar."""

    AIM = "aim reached"
    AT_LEAST = "reached"
    MISSED = "MISSED"
    NOT_MEASURED = "not measured"


BARS: Final = (
    Bar("ping-pong p50, mesh-3 / ssh-J", "ping_p50", "mesh-3", "ssh-J", 1.0, 0.85),
    Bar("CPU of a round, mesh-3 / ssh-J", "ping_cpu", "mesh-3", "ssh-J", 1.2, 1.0),
    Bar("new connection p50, mesh-3 / ssh-J", "connect_p50", "mesh-3", "ssh-J", 1.3, 1.0),
    Bar("new connections 64 at once, mesh-3 / ssh-J", "connect_rate", "mesh-3", "ssh-J", 0.65, 1.0),
    Bar("new connections 64 at once, mesh-3 / plain", "connect_rate", "mesh-3", "plain", 0.14, 0.2),
    Bar(
        "first answer over 2 x 20 ms, mesh-3 / ssh-J",
        "wan_near_connect",
        "mesh-3",
        "ssh-J",
        0.6,
        0.52,
    ),
    Bar(
        "first answer over 2 x 20 ms, mesh-3 / plain",
        "wan_near_connect",
        "mesh-3",
        "plain",
        0.6,
        0.52,
    ),
    Bar("bulk up, mesh-3 / ssh-J", "bulk_up", "mesh-3", "ssh-J", 2.4, 3.0),
    Bar("bulk down, mesh-3 / ssh-J", "bulk_down", "mesh-3", "ssh-J", 1.6, 2.0),
    Bar("16 connections up, mesh-3 / ssh-J", "bulk_up_16", "mesh-3", "ssh-J", 1.6, 2.5),
    Bar("16 connections down, mesh-3 / ssh-J", "bulk_down_16", "mesh-3", "ssh-J", 1.5, 2.0),
    Bar("CPU per GiB up, mesh-3 / ssh-J", "cpu_up", "mesh-3", "ssh-J", 0.65, 0.55),
    Bar("CPU per GiB down, mesh-3 / ssh-J", "cpu_down", "mesh-3", "ssh-J", 0.65, 0.55),
    Bar("bulk up, mesh-2 / ssh-L", "bulk_up", "mesh-2", "ssh-L", 0.9, 1.2),
    Bar("bulk down, mesh-2 / ssh-L", "bulk_down", "mesh-2", "ssh-L", 0.9, 1.2),
    Bar("bulk up over 1 Gbit/s, 40 ms, mesh-3 / ssh-J", "wan_fast_up", "mesh-3", "ssh-J", 1.5, 2.0),
    Bar("bulk down over 1 Gbit/s, 40 ms, mesh-3 / ssh-J", "wan_fast_down", "mesh-3", "ssh-J", 1.5, 2.0),
    Bar("bulk up over 100 Mbit/s with loss, mesh-3 / ssh-J", "wan_poor_up", "mesh-3", "ssh-J", 1.0, 1.5),
    Bar("bulk down over 100 Mbit/s with loss, mesh-3 / ssh-J", "wan_poor_down", "mesh-3", "ssh-J", 1.0, 1.5),
    Bar("ping-pong p99 under bulk, mesh-3", "busy_p99", "mesh-3", "", 5.0, 2.0, 1e3, "ms"),
    Bar("memory per idle connection, ingress", "memory_ingress", "mesh-3", "", 12.0, 6.0, unit="KiB"),
    Bar("memory per idle connection, transit", "memory_transit", "mesh-3", "", 0.1, 0.05, unit="KiB"),
    Bar("memory per idle connection, exit", "memory_exit", "mesh-3", "", 12.0, 6.0, unit="KiB"),
    Bar(f"ping-pong p50, {CROWD:,} open / {FEW} open, mesh-3", "crowd_slowdown", "mesh-3", "", 2.0, 1.2),
    Bar("CPU of an idle agent with 3 peers", "idle_cpu", "agent", "", 0.3, 0.1, unit="%"),
    Bar("mesh status, at an agent with 3 peers", "status", "agent", "", 0.3, 0.2, unit="s"),
    Bar("start to serving, all on one agent", "start_alone", "agent", "", 0.25, 0.15, unit="s"),
    Bar("start to serving, endpoint's agent runs", "start_joining", "agent", "", 0.25, 0.15, unit="s"),
)
"""At least, and aim. Memory at transit has to be none; less than 0.1 KiB cannot be told from it this way."""

COMPILED: Final = "-compiled"
"""What a way's name ends with whose agents are compiled: it is held to the bars of the one without."""


def standing(bar: Bar, value: float | None) -> Standing:
    """Where ``value``, in the bar's unit, stands."""
    if value is None:
        return Standing.NOT_MEASURED
    sign = 1 if bar.more_is_better else -1
    if sign * value >= sign * bar.aim:
        return Standing.AIM
    return Standing.AT_LEAST if sign * value >= sign * bar.at_least else Standing.MISSED
