"""Actors on Pykka's own threads and on a dispatcher, for a contract that both are held to."""

import threading
from collections.abc import Callable
from typing import Any, Protocol

import pykka
import pytest

from actors.runtime.actor import Actor
from actors.runtime.real.loop import LoopDispatcher

LIMIT_S = 10.0


class Probe:
    """Runs the callables it is told, and notes everything else."""

    note = "as it was"

    def __init__(self, *args: Any, log: "list[Any] | None" = None, broken: str = "") -> None:
        super().__init__(*args)
        self.log = [] if log is None else log
        self.broken = broken
        self.init_thread = threading.get_ident()
        self.start_thread = 0

    def on_receive(self, message: Any) -> Any:
        if callable(message):
            return message(self)
        self.log.append(message)
        return message

    def on_start(self) -> None:
        self.start_thread = threading.get_ident()
        self._hook("on_start")

    def on_stop(self) -> None:
        self._hook("on_stop")

    def on_failure(self, exception_type: Any, exception_value: Any, traceback: Any) -> None:
        assert exception_type is type(exception_value)
        self._hook("on_failure")

    def shout(self, text: str) -> str:
        return text.upper()

    def fail(self) -> None:
        raise ValueError("asked to")

    def _hook(self, name: str) -> None:
        self.log.append(name)
        if self.broken == name:
            raise ValueError(name)


class ThreadedProbe(Probe, pykka.ThreadingActor):
    use_daemon_thread = True


class DispatchedProbe(Probe, Actor[Any]):
    pass


class DispatchedDefault(Actor[Any]):
    pass


class ThreadedDefault(pykka.ThreadingActor):
    use_daemon_thread = True


class Watcher(Actor[Any]):
    """Sets an event when an actor has ended, wholly."""

    def on_receive(self, message: Any) -> None:
        if isinstance(message, threading.Event):
            message.set()
        else:
            ref, event = message
            self.watch(ref, event)


class Flavour(Protocol):
    probe_class: type[Any]

    def start(self, **settings: Any) -> Any: ...

    def start_default(self) -> Any: ...

    def wait_for_end(self, ref: Any) -> None: ...


class Threaded:
    probe_class = ThreadedProbe

    def __init__(self) -> None:
        self._threads: dict[str, threading.Thread] = {}

    def start(self, **settings: Any) -> Any:
        return self._start(lambda: ThreadedProbe.start(**settings))

    def start_default(self) -> Any:
        return self._start(ThreadedDefault.start)

    def wait_for_end(self, ref: Any) -> None:
        thread = self._threads[ref.actor_urn]
        thread.join(LIMIT_S)
        assert not thread.is_alive()

    def _start(self, start: Callable[[], Any]) -> Any:
        made: list[threading.Thread] = []
        original = threading.Thread.start

        def noting_start(thread: threading.Thread) -> None:
            made.append(thread)
            original(thread)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(threading.Thread, "start", noting_start)
            ref = start()
        (self._threads[ref.actor_urn],) = made
        return ref


class Dispatched:
    probe_class = DispatchedProbe

    def __init__(self, dispatcher: LoopDispatcher) -> None:
        self._dispatcher = dispatcher
        self._watcher = Watcher.start(dispatcher)
        pykka.ActorRegistry.unregister(self._watcher)  # so that stop_all is about the probes

    def start(self, **settings: Any) -> Any:
        return DispatchedProbe.start(self._dispatcher, **settings)

    def start_default(self) -> Any:
        return DispatchedDefault.start(self._dispatcher)

    def wait_for_end(self, ref: Any) -> None:
        ended = threading.Event()
        self._watcher.tell((ref, ended))
        assert ended.wait(LIMIT_S)


def explode(_: Any) -> None:
    raise ValueError("asked to")


class Gate:
    """Holds an actor in a handler until the test has queued what it wants."""

    def __init__(self, ref: Any) -> None:
        self._entered = threading.Event()
        self._open = threading.Event()
        ref.tell(self._hold)
        assert self._entered.wait(LIMIT_S)

    def open(self) -> None:
        self._open.set()

    def _hold(self, _: Any) -> None:
        self._entered.set()
        assert self._open.wait(LIMIT_S)
