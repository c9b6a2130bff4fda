"""An actor of a simulated world that notes what befalls it."""

from collections.abc import Callable
from typing import Any

import msgspec

from actors.runtime.actor import Actor
from actors.runtime.virtual.world import VirtualWorld


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


def start(world: VirtualWorld, host: str = "a", **options: Any) -> tuple[Recorder, Any]:
    ref = Recorder.start(world.dispatcher(host), **options)
    return world.dispatcher(host).actors[-1], ref


def fail(_: Recorder) -> None:
    raise ValueError("on purpose")
