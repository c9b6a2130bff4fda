"""One seed gives one history; its randomness is a matter of seed, host and start."""

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

from actors.runtime.actor import Actor
from actors.runtime.seam import Connected, SocketOptions
from actors.runtime.virtual.world import VirtualWorld
from mesh.addresses import TcpAddress
from tests.actors.runtime.virtual.recorder import start

PORT = 4433


def test_randomness_is_a_matter_of_seed_host_and_start():
    def drawn(seed: int, host: str) -> tuple[bytes, float]:
        with VirtualWorld(seed) as world:
            dispatcher = world.dispatcher(host)
            return dispatcher.random_bytes(32), dispatcher.uniform()

    assert drawn(1, "a") == drawn(1, "a")
    assert len({drawn(1, "a"), drawn(2, "a"), drawn(1, "b")}) == 3


def test_keys_do_not_depend_on_how_much_jitter_was_drawn():
    with VirtualWorld(1) as one, VirtualWorld(1) as other:
        other.dispatcher("a").uniform()
        assert one.dispatcher("a").random_bytes(32) == other.dispatcher("a").random_bytes(32)


class Gossip(Actor[Any]):
    """Talks to random others over random connections, in a way that shows any lack of determinism."""

    def __init__(self, dispatcher: Any, others: tuple[str, ...]) -> None:
        super().__init__(dispatcher)
        self.others = others
        self.listener: Any = None
        self.received = 0

    def on_start(self) -> None:
        self.listener = self.own(self.dispatcher.bind(TcpAddress("", PORT)))
        self.listener.listen()
        self.listener.watch_read(True)
        self.schedule(self.dispatcher.uniform(), "tick")

    def on_receive(self, message: Any) -> None:
        if message == "tick":
            peer = self.others[int(self.dispatcher.uniform() * len(self.others))]
            self.dispatcher.connect(self.ref, TcpAddress(peer, PORT), 1, SocketOptions())
            self.schedule(self.dispatcher.uniform(), "tick")
        elif isinstance(message, Connected):
            socket = self.own(message.socket)
            socket.send([self.dispatcher.random_bytes(1 + int(self.dispatcher.uniform() * 100_000))])
            socket.watch_read(True)

    def on_readable(self, socket: Any) -> None:
        if socket is self.listener:
            self.own(socket.accept()).watch_read(True)
            return
        try:
            count = socket.recv_into(self.dispatcher.read_buffer)
        except ConnectionResetError:
            count = 0
        self.received += count
        if not count or self.dispatcher.uniform() < 0.3:
            socket.close()
            self.disown(socket)


def gossip_digest(seed: int) -> str:
    with VirtualWorld(seed) as world:
        hosts = tuple(f"host-{number}" for number in range(6))
        choose = random.Random(seed)
        for host in hosts:
            Gossip.start(world.dispatcher(host), hosts)
        world.network.shape(hosts[0], hosts[1], latency_s=0.05, bytes_per_s=200_000)
        for second in range(1, 10):
            one, other = choose.sample(hosts, 2)
            world.at(second, lambda one=one, other=other: world.network.cut(one, other))
            world.at(second + 0.7, lambda one=one, other=other: world.network.heal(one, other))
        world.at(5.5, lambda: world.crash(hosts[2]))
        world.at(6.0, lambda: Gossip.start(world.dispatcher(hosts[2]), hosts) and None)
        world.at(3.0, lambda: world.pause(hosts[3]))
        world.at(4.0, lambda: world.resume(hosts[3]))
        world.run(10.0)
        return world.trace_digest()


def test_one_seed_gives_one_history_in_one_process():
    assert gossip_digest(1) == gossip_digest(1)
    assert gossip_digest(1) != gossip_digest(2)


def test_one_seed_gives_one_history_whatever_the_hash_seed():
    root = Path(__file__).parents[4]
    digests = [
        subprocess.run(
            [sys.executable, __file__],
            env=os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(root)},
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        ).stdout
        for hash_seed in ("0", "1", "4242")
    ]
    assert digests == [gossip_digest(7) + "\n"] * 3


def test_the_trace_shows_where_histories_part():
    lines: list[list[str]] = []
    for message in ("text", 1):
        with VirtualWorld(1) as world:
            heard: list[str] = []
            world.trace.listener = heard.append
            _, ref = start(world)
            world.dispatcher("a").schedule(ref, 1.0, message)
            world.run(2.0)
            lines.append(heard)
    parted = [pair for pair in zip(*lines, strict=False) if pair[0] != pair[1]]
    assert parted == [("1.0 told a str\n", "1.0 told a int\n")]


if __name__ == "__main__":
    sys.stdout.write(gossip_digest(7) + "\n")
