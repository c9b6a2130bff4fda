"""A cable between two network interfaces: delay, rate and loss for every packet, in a process of its own.

    python -m scripts.benchmark.wire ONE OTHER --delay-s 0.02 --bits-per-s 1e9 --loss 0.001

For kernels without netem. It makes two TUN interfaces, prints a JSON object when they are there, and carries
packets between them until standard input ends. The TCP on both sides is the kernel's own.
"""

import argparse
import contextlib
import fcntl
import json
import os
import random
import select
import struct
import sys
import time
from collections import deque
from typing import Final

from scripts import arguments as values

TUNSETIFF: Final = 0x400454CA
TUNSETOFFLOAD: Final = 0x400454D0
IFF_TUN: Final = 0x0001
IFF_NO_PI: Final = 0x1000
IFF_VNET_HDR: Final = 0x4000
TUN_F_CSUM_AND_TSO4: Final = 0x01 | 0x02
"""All of linux/if_tun.h."""

VNET_HEADER_BYTES: Final = 10
PACKET_BYTES: Final = 65_536 + VNET_HEADER_BYTES
BATCH: Final = 64
"""Packets taken from one side before the other has its turn."""

MIN_QUEUE_BYTES: Final = 256 * 1024
SEED: Final = 1
"""Of what is lost: two ways that send the same lose about the same."""


class Direction:
    """What happens to packets one way: they queue for the rate, then travel for the delay.

    Args:
        delay_s: from one end to the other.
        bits_per_s: the rate; what waits for it is limited to what fits into a round trip.
        loss: share of the packets that is lost.
    """

    def __init__(self, *, delay_s: float, bits_per_s: float, loss: float, draws: random.Random) -> None:
        self._delay_s = delay_s
        self._byte_s = 8 / bits_per_s
        self._loss = loss
        self._draws = draws
        self._longest_s = max(MIN_QUEUE_BYTES * self._byte_s, 2 * delay_s)
        self._free_at = 0.0
        self._travelling: deque[tuple[float, bytes]] = deque()
        self.lost = 0

    def put(self, packet: bytes, byte_count: int, now: float) -> None:
        """Take a packet that is ``byte_count`` long on the cable; it may be lost, or find the queue full."""
        begins = max(now, self._free_at)
        if begins - now > self._longest_s or (self._loss and self._draws.random() < self._loss):
            self.lost += 1
            return
        self._free_at = begins + byte_count * self._byte_s
        self._travelling.append((self._free_at + self._delay_s, packet))

    def due_s(self, now: float) -> float | None:
        """How long until the next packet arrives; ``None`` while none travels."""
        return max(0.0, self._travelling[0][0] - now) if self._travelling else None

    def arrived(self, now: float) -> list[bytes]:
        """The packets that have arrived by now."""
        packets = []
        while self._travelling and self._travelling[0][0] <= now:
            packets.append(self._travelling.popleft()[1])
        return packets


def open_tun(name: str, *, offload: bool) -> int:
    """Make a TUN interface; its descriptor.

    With ``offload`` a packet may stand for a train of segments, as on a network card that cuts them itself.
    """
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    flags = IFF_TUN | IFF_NO_PI | (IFF_VNET_HDR if offload else 0)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
    if offload:
        fcntl.ioctl(descriptor, TUNSETOFFLOAD, TUN_F_CSUM_AND_TSO4)
    return descriptor


def carry(ends: tuple[int, int], ways: tuple[Direction, Direction], *, header_bytes: int) -> None:
    """Carry packets between the descriptors ``ends`` until standard input ends."""
    control = sys.stdin.fileno()
    while True:
        now = time.perf_counter()
        waits = [due for way in ways if (due := way.due_s(now)) is not None]
        readable, _, _ = select.select([control, *ends], [], [], min(waits, default=None))
        if control in readable and not os.read(control, 1):
            return
        for number in (0, 1):
            if ends[number] in readable:
                _take(ends[number], ways[number], header_bytes)
        now = time.perf_counter()
        for number in (0, 1):
            for packet in ways[number].arrived(now):
                try:
                    os.write(ends[1 - number], packet)
                except OSError:  # the interface is not up, or full: lost, as on any cable
                    ways[number].lost += 1


def _take(end: int, way: Direction, header_bytes: int) -> None:
    for _ in range(BATCH):
        try:
            packet = os.read(end, PACKET_BYTES)
        except BlockingIOError:
            return
        way.put(packet, len(packet) - header_bytes, time.perf_counter())


def main() -> int:
    """Make the cable and carry."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs=2)
    parser.add_argument("--delay-s", type=values.number(0), required=True)
    parser.add_argument("--bits-per-s", type=values.number(1), required=True)
    parser.add_argument("--loss", type=values.number(0, 1), default=0.0)
    given = parser.parse_args()
    offload = given.loss == 0  # what is lost is one packet, never a train of them
    first, second = (open_tun(name, offload=offload) for name in given.names)
    draws = random.Random(SEED)  # noqa: S311 - which packets are lost is no secret
    one, other = (
        Direction(delay_s=given.delay_s, bits_per_s=given.bits_per_s, loss=given.loss, draws=draws)
        for _ in range(2)
    )
    with contextlib.suppress(PermissionError):  # a network does not slow down while a processor is busy
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    print(json.dumps({"interfaces": given.names}), flush=True)
    carry((first, second), (one, other), header_bytes=VNET_HEADER_BYTES if offload else 0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
