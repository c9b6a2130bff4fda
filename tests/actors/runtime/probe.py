"""An actor that does what a test says, and the ways in which it can end."""

import threading
from collections.abc import Callable
from typing import Any

import msgspec

from actors.runtime.actor import Actor
from actors.runtime.real.loop import LoopDispatcher

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
