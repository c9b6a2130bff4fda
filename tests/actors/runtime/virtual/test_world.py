"""Running a simulated world: time, and actors that end as they do on a real loop."""

import errno
from typing import Any

import pykka
import pytest

from actors.runtime.actor import Actor
from actors.runtime.seam import Connected, SocketOptions
from actors.runtime.virtual.dispatcher import TURN_ENVELOPES
from actors.runtime.virtual.world import UNIX_START_S, VirtualWorld
from mesh.addresses import TcpAddress
from tests.actors.runtime.virtual.recorder import Do, Recorder, fail, start

PORT = 4433


@pytest.fixture
def world() -> Any:
    with VirtualWorld(1) as made:
        yield made


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


def test_binding_and_closing_leaves_no_sockets(world: VirtualWorld):
    listener = world.dispatcher("a").bind(TcpAddress("", PORT))
    assert world.open_sockets("a") == world.dispatcher("a").open_sockets == 1
    with pytest.raises(OSError) as caught:
        world.dispatcher("a").bind(TcpAddress("localhost", PORT))
    assert caught.value.errno == errno.EADDRINUSE
    listener.close()
    assert world.open_sockets("a") == 0
