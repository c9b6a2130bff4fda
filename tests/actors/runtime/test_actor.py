"""What the base actor adds to Pykka's: one release however it ends, owned timers and sockets."""

import gc
import threading
import weakref
from typing import Any

import pykka
import pytest
from pykka._envelope import Envelope
from pykka.messages import _ActorStop

from actors.connections.exit_connection import ExitConnection
from actors.connections.ingress_connection import IngressConnection
from actors.links.peer_link import PeerLink
from actors.route_table import RouteTable
from actors.runtime.actor import Actor
from actors.runtime.real.loop import LoopDispatcher
from actors.runtime.seam import Connected
from tests.actors.runtime.probe import ENDS, LIMIT_S, FakeSocket, Note, Probe, wait_for_end


@pytest.mark.parametrize("kind", [PeerLink, IngressConnection, RouteTable])
def test_every_actor_derives_from_pykkas_and_is_of_no_other_class(kind: type):
    assert {Actor, pykka.Actor} <= set(kind.__mro__)
    assert issubclass(kind, pykka.Actor)
    assert not issubclass(Probe, kind)
    assert not issubclass(ExitConnection, kind)


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
    actor.actor_inbox.bind(actor, lambda _: None)
    actor.socket_turn(lambda _: log.append("readable"), None)
    assert log == ["on_start", "readable"]
    failing = Probe(idle, log, {"on_start": ValueError()})
    failing.actor_inbox.bind(failing, lambda _: None)
    failing.socket_turn(lambda _: log.append("readable"), None)
    with pytest.raises(pykka.ActorDeadError, match="before it heard of its socket"):
        failing.socket_turn(lambda _: log.append("readable"), None)
    assert log == ["on_start", "readable", "on_start", "release"]
    idle.stop()


def test_an_actor_that_was_never_started_can_be_driven_by_hand():
    log: list[Any] = []
    idle = LoopDispatcher("never started")
    actor = Probe(idle, log)
    actor.ref.tell("queued, for nobody")
    actor.on_receive("by hand")
    assert log == ["by hand"]
    assert not actor.actor_inbox.empty()
    idle.stop()


def test_a_socket_whose_closing_takes_others_along_leaves_none_open(dispatcher: LoopDispatcher):
    inner = FakeSocket()
    log: list[Any] = []

    class Outer(FakeSocket):
        def close(self) -> None:
            super().close()
            self.owner.disown(self)
            self.owner.disown(inner)
            inner.close()

    outer = Outer()
    ref = Probe.start(dispatcher, log)
    for socket in (outer, inner):
        ref.ask(lambda probe, socket=socket: probe.own(socket), timeout=LIMIT_S)
    ref.stop(timeout=LIMIT_S)
    wait_for_end(dispatcher, ref)
    assert outer.closed == 1
    assert inner.closed >= 1


def test_actors_that_hold_each_other_are_freed_whatever_they_are_given(dispatcher: LoopDispatcher):
    class Held(Actor[Any]):
        def __init__(self) -> None:
            super().__init__(dispatcher)
            self.other: Held | None = None

    for _ in range(1000):
        one, other = Held(), Held()
        one.other, other.other = other, one
    del one, other
    gc.collect()
    assert not [each for each in gc.get_objects() if isinstance(each, Held)]
