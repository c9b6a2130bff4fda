"""Running a simulated world: time, determinism, randomness, and actors that end as they do on a real loop."""

import errno
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pykka
import pytest

from actors.runtime.actor import Actor
from actors.runtime.seam import Connected, SocketOptions
from actors.runtime.virtual.dispatcher import TURN_ENVELOPES
from actors.runtime.virtual.world import UNIX_START_S, VirtualWorld
from mesh.addresses import TcpAddress

PORT = 4433


class Do(msgspec.Struct, frozen=True):
    """Command: run ``action``."""

    action: Callable[["Recorder"], Any]


class Recorder(Actor[Any]):
    """Notes what befalls it; does what it is told."""

    def __init__(self, dispatcher: Any, *, fail_on_start: bool = False) -> None:
        super().__init__(dispatcher)
        self.heard: list[Any] = []
        self.ends: list[str] = []
        self.fail_on_start = fail_on_start

    def on_start(self) -> None:
        self.heard.append("started")
        if self.fail_on_start:
            raise ValueError("on purpose")

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, Do):
            return message.action(self)
        self.heard.append(message)
        return message

    def on_stop(self) -> None:
        self.ends.append("stopped")

    def on_failure(self, *_: object) -> None:
        self.ends.append("failed")

    def release(self) -> None:
        self.ends.append("released")


@pytest.fixture
def world() -> Any:
    with VirtualWorld(1) as made:
        yield made


def start(world: VirtualWorld, host: str = "a", **options: Any) -> tuple[Recorder, Any]:
    ref = Recorder.start(world.dispatcher(host), **options)
    return world.dispatcher(host).actors[-1], ref


def fail(_: Recorder) -> None:
    raise ValueError("on purpose")


# Time


def test_running_moves_the_clock_even_where_nothing_happens(world: VirtualWorld):
    world.run(1.5)
    assert world.now() == 1.5
    world.run_until(4.0)
    assert (world.now(), world.dispatcher("a").now()) == (4.0, 4.0)
    world.run_until(1.0)
    assert world.now() == 4.0, "time does not go back"


def test_running_includes_the_instant_it_ends_at(world: VirtualWorld):
    seen: list[float] = []
    for time in (1.0, 2.0, 2.000001):
        world.at(time, lambda: seen.append(world.now()))
    world.run_until(2.0)
    assert seen == [1.0, 2.0]


def test_running_until_idle_stops_the_clock_at_the_last_event(world: VirtualWorld):
    recorder, ref = start(world)
    world.dispatcher("a").schedule(ref, 3.0, "late")
    world.run_until_idle(10.0)
    assert (world.now(), recorder.heard) == (3.0, ["started", "late"])


def test_running_until_idle_gives_up_at_its_limit(world: VirtualWorld):
    def again() -> None:
        world.at(world.now() + 1.0, again)

    again()
    with pytest.raises(TimeoutError, match=r"no end within 10\.0 virtual seconds.*seed 1"):
        world.run_until_idle(10.0)
    assert world.now() == 10.0


def test_running_while_ends_at_the_instant_the_predicate_turns(world: VirtualWorld):
    recorder, ref = start(world)
    for delay in (1.0, 2.0, 3.0):
        world.dispatcher("a").schedule(ref, delay, delay)
    world.run_while(lambda: 2.0 not in recorder.heard, 10.0)
    assert world.now() == 2.0
    with pytest.raises(TimeoutError):
        world.run_while(lambda: True, 10.0)


def test_timers_are_cancelled_with_their_actor_and_by_hand(world: VirtualWorld):
    recorder, ref = start(world)

    def plan(actor: Recorder) -> None:
        actor.schedule(1.0, "cancelled").cancel()
        actor.schedule(2.0, "kept")
        actor.schedule(4.0, "after the end")

    ref.tell(Do(plan))
    world.run(3.0)
    ref.stop(block=False)
    world.run_until_idle(1.0)
    assert recorder.heard == ["started", "kept"]
    assert world.now() == 3.0


def test_a_timer_of_the_past_fires_at_once(world: VirtualWorld):
    recorder, ref = start(world)
    world.dispatcher("a").schedule(ref, -1.0, "now")
    world.run(0.0)
    assert recorder.heard == ["started", "now"]


def test_wall_clocks_may_be_skewed(world: VirtualWorld):
    world.run(10.0)
    assert world.dispatcher("a").unix_time() == UNIX_START_S + 10.0
    assert world.dispatcher("b", clock_skew_s=-90.0).unix_time() == UNIX_START_S - 80.0
    world.dispatcher("b").clock_skew_s = 5.0
    assert world.dispatcher("b").unix_time() == UNIX_START_S + 15.0


def test_actors_that_let_no_time_pass_are_found_out(world: VirtualWorld, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("actors.runtime.virtual.world.MAX_TURNS_AN_INSTANT", 100)

    def forever(actor: Recorder) -> None:
        actor.ref.tell(Do(forever))

    start(world)[1].tell(Do(forever))
    with pytest.raises(RuntimeError, match=r"turns at 0\.0 s, the last on a"):
        world.run(1.0)


def test_the_world_cannot_be_run_from_inside(world: VirtualWorld):
    _, ref = start(world)
    with pytest.raises(RuntimeError, match="running already"):
        world.ask(ref, Do(lambda _: world.run(1.0)))


def test_busy_actors_take_turns(world: VirtualWorld):
    order: list[str] = []
    for name in ("one", "other"):
        _, ref = start(world)
        for _ in range(TURN_ENVELOPES * 2):
            ref.tell(Do(lambda _, name=name: order.append(name)))
    world.run(0.0)
    chunk = TURN_ENVELOPES
    assert order == ["one"] * chunk + ["other"] * chunk + ["one"] * chunk + ["other"] * chunk


# Actors


def test_an_error_under_tell_ends_the_actor_and_releases_it_once(world: VirtualWorld):
    recorder, ref = start(world)
    watcher, watcher_ref = start(world)
    world.ask(watcher_ref, Do(lambda actor: actor.watch(ref, "it ended") and None))
    world.ask(ref, Do(lambda actor: actor.schedule(1.0, "never") and None))
    ref.tell(Do(fail))
    ref.tell("unheard")
    world.run(5.0)
    assert recorder.heard == ["started"]
    assert recorder.ends == ["failed", "released"]
    assert watcher.heard == ["started", "it ended"]
    with pytest.raises(pykka.ActorDeadError):
        ref.tell("late")


def test_an_error_under_ask_goes_to_the_asker(world: VirtualWorld):
    recorder, ref = start(world)
    with pytest.raises(ValueError, match="on purpose"):
        world.ask(ref, Do(fail))
    assert world.ask(ref, "still alive") == "still alive"
    assert recorder.ends == []


def test_an_error_on_start_ends_the_actor(world: VirtualWorld):
    recorder, ref = start(world, fail_on_start=True)
    world.run(0.0)
    assert not ref.is_alive()
    assert recorder.ends == ["released"]


def test_stopping_runs_on_stop_then_release_behind_the_mail(world: VirtualWorld):
    recorder, ref = start(world)
    ref.tell("first")
    stopped = ref.stop(block=False)
    world.run(0.0)
    assert stopped.get(timeout=0) is True
    assert recorder.heard == ["started", "first"]
    assert recorder.ends == ["stopped", "released"]


def test_an_ask_of_an_actor_that_ends_is_answered(world: VirtualWorld):
    _, ref = start(world)
    ref.tell(Do(fail))
    with pytest.raises(pykka.ActorDeadError):
        world.ask(ref, "too late")


def test_an_unanswered_ask_gives_up(world: VirtualWorld):
    _, ref = start(world)
    world.pause("a")
    with pytest.raises(TimeoutError):
        world.ask(ref, "anyone?", limit_s=5.0)
    assert world.now() == 5.0


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_what_no_actor_may_survive_comes_out_of_the_run(world: VirtualWorld, error: type[BaseException]):
    def quit_all(_: Recorder) -> None:
        raise error

    recorder, ref = start(world)
    ref.tell(Do(quit_all))
    with pytest.raises(error):
        world.run(1.0)
    assert "released" in recorder.ends
    world.run(1.0)
    assert world.now() >= 1.0, "the run can go on"


def test_stopping_the_world_ends_actors_the_last_started_first():
    world = VirtualWorld(1)
    order: list[int] = []

    class Ordered(Actor[Any]):
        def __init__(self, dispatcher: Any, number: int) -> None:
            super().__init__(dispatcher)
            self.number = number

        def release(self) -> None:
            order.append(self.number)

    dispatcher = world.dispatcher("a")
    refs = [Ordered.start(dispatcher, number) for number in range(3)]
    world.run(0.0)
    world.stop()
    assert order == [2, 1, 0]
    assert not any(ref.is_alive() for ref in refs)
    with pytest.raises(RuntimeError, match="has ended"):
        Ordered.start(dispatcher, 4)


def test_stopping_a_process_ends_its_connections_in_order(world: VirtualWorld):
    listener = world.dispatcher("b").bind(TcpAddress("", PORT))
    listener.listen()
    recorder, ref = start(world)
    world.dispatcher("a").connect(ref, TcpAddress("b", PORT), 1, SocketOptions())
    world.run(1.0)
    connected = recorder.heard[-1]
    assert isinstance(connected, Connected)
    world.ask(ref, Do(lambda actor: actor.own(connected.socket) and None))
    server = listener.accept()
    world.dispatcher("a").stop()
    world.run(1.0)
    assert server.recv_into(world.read_buffer) == 0
    assert world.open_sockets("a") == 0


# Randomness and determinism


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


def test_binding_and_closing_leaves_no_sockets(world: VirtualWorld):
    listener = world.dispatcher("a").bind(TcpAddress("", PORT))
    assert world.open_sockets("a") == world.dispatcher("a").open_sockets == 1
    with pytest.raises(OSError) as caught:
        world.dispatcher("a").bind(TcpAddress("localhost", PORT))
    assert caught.value.errno == errno.EADDRINUSE
    listener.close()
    assert world.open_sockets("a") == 0


if __name__ == "__main__":
    sys.stdout.write(gossip_digest(7) + "\n")
