"""A supervisor and children that note their lives, in a virtual world."""

from typing import Any

from actors.runtime import supervisor_messages as messages
from actors.runtime.actor import Actor
from actors.runtime.children import Backoff, ChildSpec
from actors.runtime.supervisor import Supervisor
from actors.runtime.virtual.world import VirtualWorld

BACKOFF = Backoff(first_s=1.0, cap_s=8.0, stable_s=60.0)


class Child(Actor[Any]):
    """Notes its life; crashes, stops or refuses to stop as told."""

    def __init__(self, dispatcher: Any, name: str, log: list[str]) -> None:
        super().__init__(dispatcher)
        self._name = name
        self._log = log

    def on_start(self) -> None:
        self._log.append(f"start {self._name}")

    def on_receive(self, message: Any) -> None:
        match message:
            case "crash":
                raise ValueError("asked to")
            case "finish":
                self._log.append(f"finish {self._name}")
                self.schedule(2.0, "finished")
            case "finished":
                self.stop()
            case "spin":  # keeps a stop waiting behind it for ever
                self.tell(self.ref, "spin")
            case _:
                self._log.append(f"{self._name} got {message}")

    def release(self) -> None:
        self._log.append(f"end {self._name}")


class House:
    """A world with a supervisor and its children."""

    def __init__(self, seed: int = 1) -> None:
        self.world = VirtualWorld(seed)
        self.dispatcher = self.world.dispatcher("house")
        self.log: list[str] = []
        self.refs: dict[str, Any] = {}
        self.starts: list[tuple[str, float]] = []
        self.broken: set[str] = set()

    def spec(self, name: str, **settings: Any) -> ChildSpec:
        def start() -> Any:
            self.starts.append((name, self.world.clock.now))
            if name in self.broken:
                raise OSError(98, "Address already in use")
            self.refs[name] = Child.start(self.dispatcher, name, self.log)
            return self.refs[name]

        return ChildSpec(name, start, **settings)

    def supervise(self, *specs: ChildSpec, backoff: Backoff = BACKOFF) -> Any:
        supervisor = Supervisor.start(self.dispatcher, specs, backoff)
        self.world.run(0.0)
        return supervisor

    def shut_down(self, supervisor: Any) -> messages.ChildrenStopped:
        answer = self.world.ask(supervisor, messages.ShutDown())
        self.world.run_while(lambda: answer._result is None, 60.0)
        return answer.get(timeout=0)


class Stuck:
    """A child on a dispatcher that gives it no turns any more."""

    def __init__(self, house: House) -> None:
        self._elsewhere = house.world.dispatcher("elsewhere")
        self._house = house

    def start(self) -> Any:
        return Child.start(self._elsewhere, "stuck", self._house.log)
