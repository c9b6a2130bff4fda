"""Hearing of an actor's end, however it ends."""

import threading
from typing import Any

import pykka
import pytest

from actors.runtime.real.loop import LoopDispatcher
from tests.actors.runtime.probe import ENDS, LIMIT_S, Probe, explode, wait_for_end


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
