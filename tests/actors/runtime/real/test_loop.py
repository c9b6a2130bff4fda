"""The dispatcher over a real loop: its life, its fairness, and what it costs in threads."""

import queue
import threading
import time
from typing import Any

import pykka
import pytest

from actors.runtime.actor import Actor
from actors.runtime.descriptors import raise_descriptor_limit
from actors.runtime.real.loop import LoopDispatcher
from actors.runtime.seam import READ_BUFFER_BYTES, Connected, SocketOptions
from mesh.addresses import TcpAddress
from mesh.link.frames import MAX_BODY_BYTES, SEALED_HEADER_BYTES

LIMIT_S = 10.0


class Probe(Actor[Any]):
    def on_receive(self, message: Any) -> Any:
        return message(self) if callable(message) else message


class Echo(Actor[Any]):
    """Sends back what it reads."""

    def __init__(self, dispatcher: Any, stream: Any) -> None:
        super().__init__(dispatcher)
        self._stream = self.own(stream)

    def on_start(self) -> None:
        self._stream.watch_read(True)

    def on_readable(self, stream: Any) -> None:
        taken = stream.recv_into(self.dispatcher.read_buffer)
        if not taken:
            self._stream.watch_read(False)
            self.stop()
            return
        stream.send([self.dispatcher.read_buffer[:taken]])


class EchoListener(Actor[Any]):
    """Starts an :class:`Echo` for each client."""

    def __init__(self, dispatcher: Any) -> None:
        super().__init__(dispatcher)
        self.listening = self.own(dispatcher.bind(TcpAddress("127.0.0.1", 0)))

    def on_receive(self, message: Any) -> int:
        self.listening.listen()
        self.listening.watch_read(True)
        return self.listening.port

    def on_readable(self, listening: Any) -> None:
        Echo.start(self.dispatcher, listening.accept())


def test_a_busy_actor_starves_neither_sockets_nor_timers_nor_others(dispatcher: LoopDispatcher):
    class Busy(Actor[Any]):
        turns = 0

        def on_receive(self, message: Any) -> Any:
            self.turns += 1
            if message == "count":
                return self.turns
            self.tell(self.ref, "again")
            self.tell(self.ref, "again") if self.turns < 300 else None
            return None

    class Client(Actor[Any]):
        """Runs beside the busy actor: on a thread it would measure how threads share the interpreter."""

        def __init__(self, port: int) -> None:
            super().__init__(dispatcher)
            self._port = port
            self._left = 50

        def on_start(self) -> None:
            address = TcpAddress("127.0.0.1", self._port)
            self.dispatcher.connect(self.ref, address, 1, SocketOptions())

        def on_receive(self, message: Any) -> None:
            stream = self.own(message.socket)
            stream.watch_read(True)
            stream.send([b"once more"])

        def on_readable(self, stream: Any) -> None:
            stream.recv_into(self.dispatcher.read_buffer)
            self._left -= 1
            if self._left:
                stream.send([b"once more"])
            else:
                answered.set()
                self.stop()

    answered = threading.Event()
    busy = Busy.start(dispatcher)
    busy.tell("again")
    Client.start(EchoListener.start(dispatcher).ask("listen", timeout=LIMIT_S))
    assert answered.wait(LIMIT_S)
    timer_fired = threading.Event()
    probe = Probe.start(dispatcher)
    probe.ask(lambda actor: actor.schedule(0.001, lambda _: timer_fired.set()), timeout=LIMIT_S)
    assert timer_fired.wait(LIMIT_S)
    assert busy.ask("count", timeout=LIMIT_S) > 50


@pytest.mark.parametrize(("sinks", "messages"), [(2_000, 1), (1, 2_000), (40, 50)])
def test_what_sockets_bring_is_handled_before_they_bring_more(dispatcher, sinks, messages):
    class Flood(Actor[Any]):
        """Leaves its socket readable, and tells something each time it hears so."""

        def __init__(self, refs: list[Any], port: int) -> None:
            super().__init__(dispatcher)
            self._refs = refs
            self._port = port

        def on_start(self) -> None:
            address = TcpAddress("127.0.0.1", self._port)
            self.dispatcher.connect(self.ref, address, 1, SocketOptions())

        def on_receive(self, message: Any) -> None:
            stream = self.own(message.socket)
            stream.watch_read(True)
            stream.send([b"to be left unread"])

        def on_readable(self, stream: Any) -> None:
            waiting.append(sum(len(ref.actor_inbox) for ref in self._refs))
            if len(waiting) == 50:
                done.set()
                self.stop()
                return
            for ref in self._refs * messages:
                ref.tell("more")

    done, waiting = threading.Event(), []
    port = EchoListener.start(dispatcher).ask("listen", timeout=LIMIT_S)
    Flood.start([Probe.start(dispatcher) for _ in range(sinks)], port)
    assert done.wait(LIMIT_S)
    assert max(waiting) <= sinks * messages


def test_two_thousand_actors_with_sockets_need_no_more_threads(dispatcher: LoopDispatcher):
    assert raise_descriptor_limit() >= 5000
    port = EchoListener.start(dispatcher).ask("listen", timeout=LIMIT_S)
    threads = threading.active_count()
    done: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    class Client(Actor[Any]):
        def on_start(self) -> None:
            address = TcpAddress("127.0.0.1", port)
            self.dispatcher.connect(self.ref, address, 1, SocketOptions())

        def on_receive(self, message: Any) -> None:
            assert isinstance(message, Connected), message
            self._stream = self.own(message.socket)
            self._stream.send([self.actor_urn.encode()])
            self._stream.watch_read(True)

        def on_readable(self, stream: Any) -> None:
            buffer = self.dispatcher.read_buffer
            done.put(bytes(buffer[: stream.recv_into(buffer)]))
            stream.watch_read(False)

    clients = [Client.start(dispatcher) for _ in range(1000)]
    answers = {done.get(timeout=LIMIT_S) for _ in clients}
    assert answers == {client.actor_urn.encode() for client in clients}
    assert len(pykka.ActorRegistry.get_by_class(Echo)) == 1000
    assert threading.active_count() <= threads  # those of an earlier test may have ended


def test_mail_before_the_thread_starts_is_handled_then():
    dispatcher = LoopDispatcher()
    ref = Probe.start(dispatcher)
    asked = ref.ask("early", block=False)
    dispatcher.start()
    assert asked.get(timeout=LIMIT_S) == "early"
    assert dispatcher.stop(LIMIT_S)


def test_a_dispatcher_that_never_started_ends_its_actors_too():
    released: list[str] = []

    class Releasing(Probe):
        def on_stop(self) -> None:
            released.append("on_stop")

        def release(self) -> None:
            released.append("release")

    dispatcher = LoopDispatcher()
    ref = Releasing.start(dispatcher)
    asked = ref.ask("early", block=False)
    assert dispatcher.stop()
    with pytest.raises(pykka.ActorDeadError):
        asked.get(timeout=0)
    assert released == ["release"]
    with pytest.raises(RuntimeError, match="has stopped"):
        dispatcher.start()


def test_stopping_twice_is_no_error_and_a_late_start_is(dispatcher: LoopDispatcher):
    assert dispatcher.stop(LIMIT_S)
    assert dispatcher.stop(LIMIT_S)
    released = threading.Event()

    class Late(Probe):
        def release(self) -> None:
            released.set()

    with pytest.raises(RuntimeError, match="has stopped and takes no"):
        Late.start(dispatcher)
    assert released.is_set()
    assert pykka.ActorRegistry.get_by_class(Late) == []


def test_what_starts_during_the_stop_ends_as_well(dispatcher: LoopDispatcher):
    released: list[str] = []

    class Child(Probe):
        def release(self) -> None:
            released.append("child")

    class Parent(Probe):
        def release(self) -> None:
            released.append("parent")
            Child.start(self.dispatcher)

    Parent.start(dispatcher).ask("a barrier", timeout=LIMIT_S)
    assert dispatcher.stop(LIMIT_S)
    assert released == ["parent", "child"]


def test_an_actor_may_ask_for_the_stop_of_its_own_dispatcher(dispatcher: LoopDispatcher):
    ref = Probe.start(dispatcher)
    assert ref.ask(lambda _: dispatcher.stop(), timeout=LIMIT_S) is False
    assert dispatcher.join(LIMIT_S)


def test_join_gives_up_at_its_time(dispatcher: LoopDispatcher):
    entered, go_on = threading.Event(), threading.Event()

    def hold(_: Any) -> None:
        entered.set()
        assert go_on.wait(LIMIT_S)

    Probe.start(dispatcher).tell(hold)
    assert entered.wait(LIMIT_S)
    assert dispatcher.stop(0.001) is False
    go_on.set()
    assert dispatcher.join(LIMIT_S) is True


def test_a_loop_that_breaks_reports_it_and_still_ends_its_actors():
    reported: list[BaseException] = []
    dispatcher = LoopDispatcher(on_fatal=reported.append)
    dispatcher.start()
    ref = Probe.start(dispatcher)
    ended = ref.ask("a barrier", timeout=LIMIT_S)

    def break_loop() -> None:
        raise SystemExit(3)

    dispatcher._loop.call_from_thread(break_loop)
    assert dispatcher.join(LIMIT_S) is True
    assert [type(error) for error in reported] == [SystemExit]
    assert ended
    assert not ref.is_alive()
    assert dispatcher.stop(LIMIT_S)


def test_clocks_draws_and_the_read_buffer(dispatcher: LoopDispatcher):
    assert dispatcher.now() <= time.monotonic() <= dispatcher.now()
    assert dispatcher.unix_time() <= time.time() <= dispatcher.unix_time()
    assert len(dispatcher.random_bytes(16)) == 16
    assert dispatcher.random_bytes(16) != dispatcher.random_bytes(16)
    assert all(0 <= dispatcher.uniform() < 1 for _ in range(100))
    assert len(dispatcher.read_buffer) == READ_BUFFER_BYTES == 8 * (SEALED_HEADER_BYTES + MAX_BODY_BYTES)


def test_a_timer_for_an_actor_that_has_gone_is_no_error(
    dispatcher: LoopDispatcher, caplog: pytest.LogCaptureFixture
):
    dead, living = Probe.start(dispatcher), Probe.start(dispatcher)
    dead.stop(timeout=LIMIT_S)
    fired = threading.Event()

    def schedule(actor: Probe) -> None:
        actor.dispatcher.schedule(dead, -1.0, "for nobody")
        actor.dispatcher.schedule(living, 0.0, lambda _: fired.set())

    living.ask(schedule, timeout=LIMIT_S)
    assert fired.wait(LIMIT_S)
    assert caplog.records == []
