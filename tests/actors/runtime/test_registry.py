"""The registry's list replacement behaves as a list does, and Pykka uses no more of it."""

from typing import Any

import pykka
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.runtime.registry import OrderedRefs, install_ordered_registry


class Ref:
    def __init__(self, name: int) -> None:
        self.name = name


REFS = [Ref(name) for name in range(4)]


@given(st.lists(st.tuples(st.sampled_from(["append", "remove"]), st.sampled_from(REFS))))
def test_it_holds_what_a_list_would_hold(steps: list[Any]):
    plain: list[Any] = []
    ordered: Any = OrderedRefs()
    for action, ref in steps:
        if action == "append":
            plain.append(ref)
            ordered.append(ref)
        elif ref in plain:
            plain.remove(ref)
            ordered.remove(ref)
        else:
            with pytest.raises(ValueError, match="not registered"):
                ordered.remove(ref)
        assert ordered[:] == list(ordered) == plain
        assert len(ordered) == len(plain)
        assert [ref in ordered for ref in REFS] == [ref in plain for ref in REFS]


class OnAThread(pykka.ThreadingActor):
    use_daemon_thread = True


def test_installing_keeps_who_is_registered_and_is_idempotent(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pykka.ActorRegistry, "_actor_refs", [])
    before = OnAThread.start()
    install_ordered_registry()
    installed = pykka.ActorRegistry._actor_refs
    assert isinstance(installed, OrderedRefs)
    install_ordered_registry()
    assert pykka.ActorRegistry._actor_refs is installed
    after = OnAThread.start()
    assert pykka.ActorRegistry.get_all() == [before, after]
    before.stop(timeout=10)
    assert pykka.ActorRegistry.get_all() == [after]
    pykka.ActorRegistry.unregister(before)  # not there: no error
    after.stop(timeout=10)
    assert pykka.ActorRegistry.get_all() == []
