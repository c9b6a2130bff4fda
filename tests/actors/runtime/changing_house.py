"""A house whose children change while they live."""

from typing import Any

from actors.runtime.children import ChildSpec
from tests.actors.runtime.house import Child, House

NO_SUCH = "no child has this name"
TAKEN = "another child has this name"
STOPPING = "all children are being stopped"


class ChangingHouse(House):
    """A house in which children can be told apart by their version."""

    def version(self, name: str, version: int, *, polite: bool = False, **settings: Any) -> ChildSpec[Any]:
        """The spec of a child ``name`` that notes its life as ``name.version``."""
        label = f"{name}.{version}"

        def start() -> Any:
            self.starts.append((label, self.world.clock.now))
            if label in self.broken:
                raise OSError(98, "Address already in use")
            self.refs[label] = Child.start(self.dispatcher, label, self.log)
            return self.refs[label]

        if polite:
            settings["ask_to_stop"] = lambda ref: ref.tell("finish")
        return ChildSpec(name, start, **settings)

    def change(self, supervisor: Any, message: Any) -> Any:
        """Ask for a change; the future of its answer."""
        return self.world.ask(supervisor, message)

    def living(self) -> list[str]:
        return sorted(label for label, ref in self.refs.items() if ref.is_alive())


def problem(answer: Any) -> str | None:
    return answer.get(timeout=0).problem
