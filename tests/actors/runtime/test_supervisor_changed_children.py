"""A supervisor whose children are changed in place, and what those hear that are removed."""

import pytest

from actors.runtime import supervisor_messages as messages
from tests.actors.runtime.changing_house import NO_SUCH, ChangingHouse, problem


@pytest.fixture
def house():
    house = ChangingHouse()
    yield house
    house.world.stop()


def test_a_child_that_is_changed_runs_on_and_is_restarted_as_it_is_now(house):
    supervisor = house.supervise(house.version("a", 1), house.version("b", 1))
    ref = house.refs["a.1"]
    answer = house.change(supervisor, messages.ChangeChild(house.version("a", 2), "news"))
    assert problem(answer) is None
    house.world.run(1.0)
    assert house.log == ["start a.1", "start b.1", "a.1 got news"]
    ref.tell("crash")
    house.world.run(1.0)
    assert house.log[3:] == ["end a.1", "start a.2"]


def test_a_child_that_waits_for_its_restart_is_started_as_it_is_now(house):
    house.broken.add("a.1")
    supervisor = house.supervise(house.version("a", 1))
    assert problem(house.change(supervisor, messages.ChangeChild(house.version("a", 2), "news"))) is None
    house.world.run(100.0)
    assert house.log == ["start a.2"]


def test_a_successor_that_waits_is_changed_too(house):
    supervisor = house.supervise(house.version("a", 1, polite=True))
    replaced = house.change(supervisor, messages.ReplaceChild(house.version("a", 2)))
    changed = house.change(supervisor, messages.ChangeChild(house.version("a", 3), "news"))
    assert problem(changed) is None
    house.world.run(5.0)
    assert problem(replaced) is None
    assert house.log == ["start a.1", "finish a.1", "end a.1", "start a.3"]


def test_a_child_that_is_removed_hears_a_farewell_first(house):
    supervisor = house.supervise(house.version("a", 1))
    answer = house.change(supervisor, messages.RemoveChild("a", farewell="thanks"))
    house.world.run(1.0)
    assert problem(answer) is None
    assert house.log == ["start a.1", "a.1 got thanks", "end a.1"]


def test_a_name_that_nobody_has_is_not_changed(house):
    supervisor = house.supervise(house.version("a", 1))
    assert problem(house.change(supervisor, messages.ChangeChild(house.version("b", 2), "news"))) == NO_SUCH
    house.change(supervisor, messages.RemoveChild("a"))
    house.world.run(5.0)
    assert problem(house.change(supervisor, messages.ChangeChild(house.version("a", 2), "news"))) == NO_SUCH
    assert house.living() == []
