"""What the base actor adds to Pykka's: one release however it ends, owned timers and sockets, death-watch."""

import gc
import logging
import threading
import weakref
from collections.abc import Callable
from typing import Any

import msgspec
import pykka
import pytest
from pykka._envelope import Envelope
from pykka.messages import _ActorStop

from actors.runtime.actor import Actor, FatalError
from actors.runtime.real.loop import LoopDispatcher
from actors.runtime.seam import Connected

LIMIT_S = 10.0


class Note(msgspec.Struct, frozen=True, weakref=True):
    """A message that a test can see dying."""

    text: str


class Probe(Actor[Any]):
    """Runs the callables it is told; ``broken`` names hooks, and what each raises."""

    def __init__(
        self,
        dispatcher: Any,
        log: "list[Any] | None" = None,
        broken: "dict[str, BaseException] | None" = None,
    ) -> None:
        super().__init__(dispatcher)
        self.log = [] if log is None else log
        self.broken = broken or {}

    def on_receive(self, message: Any) -> Any:
        if callable(message):
            return message(self)
        self.log.append(message)
        return None

    def on_start(self) -> None:
        self._hook("on_start")

    def on_stop(self) -> None:
        self._hook("on_stop")

    def on_failure(self, *_: Any) -> None:
        self._hook("on_failure")

    def release(self) -> None:
        self._hook("release")

    def _hook(self, name: str) -> None:
        self.log.append(name)
        if name in self.broken:
            raise self.broken[name]


class FakeSocket:
    """A socket that notes what is done to it."""

    local_name = "fake"

    def __init__(self, close_error: "Exception | None" = None) -> None:
        self.owner: Any = None
        self.closed = 0
        self._close_error = close_error

    def attach(self, owner: Any) -> None:
        self.owner = owner

    def close(self) -> None:
        self.closed += 1
        if self._close_error is not None:
            raise self._close_error


def explode(_: Any) -> None:
    raise ValueError("asked to")


def leave(_: Any) -> None:
    raise SystemExit("asked to")


def wait_for_end(dispatcher: LoopDispatcher, ref: Any) -> None:
    ended = threading.Event()
    watcher = Probe.start(dispatcher)
    watcher.tell(lambda probe: probe.watch(ref, lambda _: ended.set()))
    assert ended.wait(LIMIT_S)
    watcher.stop(timeout=LIMIT_S)


ENDS: "dict[str, tuple[Callable[[Any], Any], dict[str, BaseException], list[str]]]" = {
    "stop": (lambda ref: ref.stop(block=False), {}, ["on_start", "on_stop", "release"]),
    "error": (lambda ref: ref.tell(explode), {}, ["on_start", "on_failure", "release"]),
    "fatal": (lambda ref: ref.tell(leave), {}, ["on_start", "on_failure", "release"]),
    "on_start": (lambda _: None, {"on_start": ValueError()}, ["on_start", "release"]),
    "fatal on_start": (lambda _: None, {"on_start": SystemExit()}, ["on_start", "release"]),
    "on_stop": (
        lambda ref: ref.stop(block=False),
        {"on_stop": ValueError()},
        ["on_start", "on_stop", "release"],
    ),
    "fatal on_failure": (
        lambda ref: ref.tell(explode),
        {"on_failure": SystemExit()},
        ["on_start", "on_failure", "release"],
    ),
    "socket": (
        lambda ref: ref.tell(lambda probe: probe.socket_turn(explode, None)),
        {},
        ["on_start", "on_failure", "release"],
    ),
    "release": (
        lambda ref: ref.stop(block=False),
        {"release": ValueError()},
        ["on_start", "on_stop", "release"],
    ),
    "fatal release": (
        lambda ref: ref.stop(block=False),
        {"release": SystemExit()},
        ["on_start", "on_stop", "release"],
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_release_runs_once_and_owned_things_go_however_the_actor_ends(dispatcher: LoopDispatcher, end: str):
    act, broken, expected = ENDS[end]
    log: list[Any] = []
    sockets = [FakeSocket(OSError("broken")), FakeSocket()]
    message = Note("much later")
    gone = weakref.ref(message)

    class Owner(Probe):
        def __init__(self, message: Note) -> None:
            super().__init__(dispatcher, log, broken)
            for socket in sockets:
                self.own(socket)
            self._later = message

        def on_start(self) -> None:
            self.schedule(3600.0, self._later)
            del self._later
            super().on_start()

    ref = Owner.start(message)
    del message
    act(ref)
    wait_for_end(dispatcher, ref)
    assert log == expected
    assert [socket.closed for socket in sockets] == [1, 1]
    assert not ref.is_alive()
    assert ref not in pykka.ActorRegistry.get_all()
    gc.collect()  # asyncio's own loop drops a cancelled timer's message when the handle goes
    assert gone() is None


def test_a_stopped_dispatcher_ends_what_runs_the_last_started_first(dispatcher: LoopDispatcher):
    logs: list[tuple[int, str]] = []

    class Ordered(Actor[Any]):
        def __init__(self, number: int) -> None:
            super().__init__(dispatcher)
            self._number = number

        def on_stop(self) -> None:
            logs.append((self._number, "on_stop"))

        def release(self) -> None:
            logs.append((self._number, "release"))

    refs = [Ordered.start(number) for number in range(3)]
    refs[2].ask("a barrier", timeout=LIMIT_S)
    assert dispatcher.stop(LIMIT_S)
    assert logs == [(number, hook) for number in (2, 1, 0) for hook in ("on_stop", "release")]
    assert not any(ref.is_alive() for ref in refs)


def test_an_ended_actor_is_freed_without_the_garbage_collector(dispatcher: LoopDispatcher):
    gc.collect()
    gc.disable()
    try:
        ref = Probe.start(dispatcher)
        actor = ref._actor_weakref
        assert actor() is not None
        ref.stop(timeout=LIMIT_S)
        wait_for_end(dispatcher, ref)
        assert actor() is None
    finally:
        gc.enable()


def test_an_ask_that_lands_after_the_end_completes(dispatcher: LoopDispatcher):
    ref = Probe.start(dispatcher)
    ref.stop(timeout=LIMIT_S)
    wait_for_end(dispatcher, ref)
    # As if the asker had looked at the flag just before it was set.
    asked: pykka.ThreadingFuture[Any] = pykka.ThreadingFuture()
    ref.actor_inbox.put(Envelope("late", reply_to=asked))
    with pytest.raises(pykka.ActorDeadError, match="stopped before handling"):
        asked.get(timeout=0)
    stopped: pykka.ThreadingFuture[Any] = pykka.ThreadingFuture()
    ref.actor_inbox.put(Envelope(_ActorStop(), reply_to=stopped))
    assert stopped.get(timeout=0) is None


def test_a_connected_socket_that_nobody_takes_is_closed(dispatcher: LoopDispatcher):
    log: list[Any] = []
    ref = Probe.start(dispatcher, log)
    waiting, late = FakeSocket(), FakeSocket()
    entered = threading.Event()
    go_on = threading.Event()

    def hold(_: Any) -> None:
        entered.set()
        assert go_on.wait(LIMIT_S)
        raise ValueError("asked to")

    ref.tell(hold)
    assert entered.wait(LIMIT_S)
    ref.tell(Connected(1, waiting))
    go_on.set()
    wait_for_end(dispatcher, ref)
    ref.actor_inbox.put(Envelope(Connected(2, late)))
    assert (waiting.closed, late.closed) == (1, 1)
    assert log == ["on_start", "on_failure", "release"]


def test_urns_are_unique(dispatcher: LoopDispatcher):
    refs = [Probe.start(dispatcher) for _ in range(100)]
    assert len({ref.actor_urn for ref in refs}) == 100
    for ref in refs:
        ref.stop(timeout=LIMIT_S)


def test_tell_says_whether_the_other_was_alive_and_never_raises(dispatcher: LoopDispatcher):
    dead, living = Probe.start(dispatcher), Probe.start(dispatcher)
    dead.stop(timeout=LIMIT_S)
    teller = Probe.start(dispatcher)
    assert teller.ask(lambda probe: probe.tell(living, "hello"), timeout=LIMIT_S) is True
    assert teller.ask(lambda probe: probe.tell(dead, "hello"), timeout=LIMIT_S) is False
    assert teller.is_alive()


def test_a_scheduled_message_arrives_and_a_cancelled_one_does_not(dispatcher: LoopDispatcher):
    arrived = threading.Event()
    log: list[Any] = []
    ref = Probe.start(dispatcher, log)

    def schedule(probe: Probe) -> int:
        probe.schedule(0.0, "cancelled").cancel()
        timer = probe.schedule(0.01, "cancelled too")
        probe.schedule(0.02, lambda _: arrived.set())
        timer.cancel()
        timer.cancel()
        return len(probe._timers or ())

    assert ref.ask(schedule, timeout=LIMIT_S) == 1
    assert arrived.wait(LIMIT_S)
    assert ref.ask(lambda probe: len(probe._timers), timeout=LIMIT_S) == 0
    assert log == ["on_start"]


@pytest.mark.parametrize("end", ENDS)
def test_a_watch_fires_however_the_other_ends(dispatcher: LoopDispatcher, end: str):
    act, broken, _ = ENDS[end]
    ref = Probe.start(dispatcher, None, broken)
    act(ref)
    wait_for_end(dispatcher, ref)  # by a watch; and one on an actor that has ended fires at once
    wait_for_end(dispatcher, ref)


def test_a_watch_fires_across_dispatchers(dispatcher: LoopDispatcher):
    other = LoopDispatcher("other")
    other.start()
    ref = Probe.start(other)
    ended = threading.Event()
    watcher = Probe.start(dispatcher)
    watcher.ask(lambda probe: probe.watch(ref, lambda _: ended.set()), timeout=LIMIT_S)
    ref.tell(explode)
    assert ended.wait(LIMIT_S)
    assert other.stop(LIMIT_S)


def test_a_watch_stands_nowhere_once_either_end_is_gone(dispatcher: LoopDispatcher):
    watched, watcher, other = (Probe.start(dispatcher) for _ in range(3))

    def count(ref: Any) -> int:
        return len(ref.actor_inbox._watches)

    def held(ref: Any) -> int:
        return ref.ask(lambda probe: len(probe._watches or ()), timeout=LIMIT_S)

    watcher.ask(lambda probe: probe.watch(watched, "ended"), timeout=LIMIT_S)
    watcher.ask(lambda probe: probe.watch(watched, "cancelled").cancel(), timeout=LIMIT_S)
    assert (count(watched), held(watcher)) == (1, 1)
    watcher.ask(lambda probe: probe.watch(other, "ended"), timeout=LIMIT_S)
    other.stop(timeout=LIMIT_S)
    wait_for_end(dispatcher, other)
    assert (count(other), held(watcher)) == (0, 1)
    watcher.stop(timeout=LIMIT_S)
    wait_for_end(dispatcher, watcher)
    assert count(watched) == 0


def test_watches_fire_in_the_order_they_were_made(dispatcher: LoopDispatcher):
    log: list[Any] = []
    watched, watcher = Probe.start(dispatcher), Probe.start(dispatcher, log)
    for number in range(5):
        watcher.ask(lambda probe, number=number: probe.watch(watched, number), timeout=LIMIT_S)
    watched.stop(timeout=LIMIT_S)
    wait_for_end(dispatcher, watched)
    watcher.ask(lambda _: None, timeout=LIMIT_S)
    assert log == ["on_start", 0, 1, 2, 3, 4]


def test_only_actors_of_a_dispatcher_can_be_watched(dispatcher: LoopDispatcher):
    class OnAThread(pykka.ThreadingActor):
        pass

    foreign = OnAThread.start()
    ref = Probe.start(dispatcher)
    with pytest.raises(TypeError, match="an actor of a dispatcher"):
        ref.ask(lambda probe: probe.watch(foreign, "ended"), timeout=LIMIT_S)
    foreign.stop(timeout=LIMIT_S)


def test_a_disowned_socket_stays_open(dispatcher: LoopDispatcher):
    kept, given = FakeSocket(), FakeSocket()
    ref = Probe.start(dispatcher)

    def own(probe: Probe) -> None:
        assert probe.own(kept) is kept
        probe.own(given)
        probe.disown(given)

    ref.ask(own, timeout=LIMIT_S)
    ref.stop(timeout=LIMIT_S)
    wait_for_end(dispatcher, ref)
    assert (kept.closed, given.closed) == (1, 0)


@pytest.mark.parametrize("report", ["on_readable", "on_writable"])
def test_readiness_that_nobody_handles_is_a_failure_of_its_actor(dispatcher: LoopDispatcher, report: str):
    log: list[Any] = []
    ref = Probe.start(dispatcher, log)
    ref.tell(lambda probe: probe.socket_turn(getattr(probe, report), FakeSocket()))
    wait_for_end(dispatcher, ref)
    assert log == ["on_start", "on_failure", "release"]


def test_readiness_before_the_first_turn_runs_on_start_first():
    log: list[Any] = []
    idle = LoopDispatcher("never started")
    actor = Probe(idle, log)
    actor.socket_turn(lambda _: log.append("readable"), None)
    assert log == ["on_start", "readable"]
    failing = Probe(idle, log, {"on_start": ValueError()})
    failing.socket_turn(lambda _: log.append("readable"), None)
    failing.socket_turn(lambda _: log.append("readable"), None)
    assert log == ["on_start", "readable", "on_start", "release"]
    idle.stop()


@pytest.mark.parametrize("end", [name for name in ENDS if "fatal" in name])
def test_a_fatal_error_asks_for_a_shutdown_and_the_dispatcher_goes_on(end: str):
    reported: list[BaseException] = []
    dispatcher = LoopDispatcher(on_fatal=reported.append)
    dispatcher.start()
    bystander = Probe.start(dispatcher)
    act, broken, _ = ENDS[end]
    ref = Probe.start(dispatcher, None, broken)
    act(ref)
    wait_for_end(dispatcher, ref)
    assert [type(error) for error in reported] == [SystemExit]
    assert bystander.ask(lambda _: "alive", timeout=LIMIT_S) == "alive"
    again = Probe.start(dispatcher)
    again.tell(leave)
    wait_for_end(dispatcher, again)
    assert len(reported) == 1
    assert dispatcher.stop(LIMIT_S)


def test_a_fatal_error_in_readiness_is_reported_too():
    reported: list[BaseException] = []
    dispatcher = LoopDispatcher(on_fatal=reported.append)
    dispatcher.start()
    ref = Probe.start(dispatcher)
    ref.tell(lambda probe: probe.socket_turn(leave, None))
    wait_for_end(dispatcher, ref)
    assert [type(error) for error in reported] == [SystemExit]
    assert dispatcher.stop(LIMIT_S)


def test_who_asks_into_a_fatal_error_gets_an_error(dispatcher: LoopDispatcher):
    ref = Probe.start(dispatcher)
    with pytest.raises(FatalError) as caught:
        ref.ask(leave, timeout=LIMIT_S)
    assert isinstance(caught.value.__cause__, SystemExit)
    wait_for_end(dispatcher, ref)


def test_a_fatal_callback_that_fails_is_logged(caplog: pytest.LogCaptureFixture):
    def broken(_: BaseException) -> None:
        raise ValueError("broken callback")

    dispatcher = LoopDispatcher(on_fatal=broken)
    dispatcher.start()
    ref = Probe.start(dispatcher)
    with caplog.at_level(logging.ERROR):
        ref.tell(leave)
        wait_for_end(dispatcher, ref)
    assert "broken callback" in caplog.text
    assert dispatcher.stop(LIMIT_S)


def test_an_actor_that_was_never_started_can_be_driven_by_hand():
    log: list[Any] = []
    idle = LoopDispatcher("never started")
    actor = Probe(idle, log)
    actor.ref.tell("queued, for nobody")
    actor.on_receive("by hand")
    assert log == ["by hand"]
    assert not actor.actor_inbox.empty()
    idle.stop()
