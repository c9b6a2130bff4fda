"""A supervisor whose children change while it runs: added, replaced, removed by name, and retired."""

import random
from typing import Any

import pykka
import pytest

from actors.runtime import supervisor_messages as messages
from actors.runtime.actor import Actor
from actors.runtime.children import ChildSpec
from actors.runtime.supervisor import Supervisor
from tests.actors.runtime.changing_house import NO_SUCH, STOPPING, TAKEN, ChangingHouse, problem
from tests.actors.runtime.house import BACKOFF, Stuck


class Ear(Actor[Any]):
    """Hears answers."""

    def __init__(self, dispatcher: Any, heard: list[Any]) -> None:
        super().__init__(dispatcher)
        self._heard = heard

    def on_receive(self, message: Any) -> None:
        self._heard.append(message)


def is_open(answer: Any) -> bool:
    return answer._result is None


@pytest.fixture
def house() -> Any:
    house = ChangingHouse()
    yield house
    house.world.stop()


def test_two_children_of_one_name_are_refused_from_the_start(house):
    with pytest.raises(ValueError, match="names of their own, found 'a' twice"):
        Supervisor(house.dispatcher, [house.version("a", 1), house.version("a", 2)], BACKOFF)


# Added


def test_a_child_that_is_added_starts_at_once_and_stops_first(house):
    supervisor = house.supervise(house.version("a", 1))
    answer = house.change(supervisor, messages.AddChild(house.version("b", 1)))
    assert answer.get(timeout=0) == messages.ChildSettled("b", None)
    house.world.run(0.0)
    assert house.log == ["start a.1", "start b.1"]
    house.shut_down(supervisor)
    assert house.log[2:] == ["end b.1", "end a.1"]


def test_a_child_that_is_added_is_started_again_when_it_ends(house):
    supervisor = house.supervise()
    house.change(supervisor, messages.AddChild(house.version("a", 1)))
    house.world.run(0.0)
    house.refs["a.1"].tell("crash")
    house.world.run(1.0)
    assert house.log == ["start a.1", "end a.1", "start a.1"]


def test_a_name_that_is_taken_is_refused_and_the_child_stays(house, caplog):
    supervisor = house.supervise(house.version("a", 1))
    assert problem(house.change(supervisor, messages.AddChild(house.version("a", 2)))) == TAKEN
    house.world.run(10.0)
    assert house.log == ["start a.1"]
    assert f"a: {TAKEN}" in caplog.text


def test_a_child_that_is_added_and_cannot_start_is_tried_again(house):
    supervisor = house.supervise()
    house.broken.add("a.1")
    assert problem(house.change(supervisor, messages.AddChild(house.version("a", 1)))) is None
    house.world.run(5.0)
    assert house.log == []
    house.broken.clear()
    house.world.run(10.0)
    assert house.log == ["start a.1"]


# Replaced


def test_a_child_is_replaced_in_order_and_the_new_one_has_its_place(house):
    supervisor = house.supervise(*(house.version(name, 1, polite=True) for name in "abc"))
    answer = house.change(supervisor, messages.ReplaceChild(house.version("b", 2)))
    house.world.run(1.0)
    assert house.living() == ["a.1", "b.1", "c.1"]
    assert is_open(answer)
    house.world.run(1.0)
    assert problem(answer) is None
    assert house.log[3:] == ["finish b.1", "end b.1", "start b.2"]
    house.refs["b.2"].tell("crash")
    house.world.run(1.0)
    assert house.log[6:] == ["end b.2", "start b.2"]
    house.shut_down(supervisor)
    assert [note for note in house.log[8:] if note.startswith("end")] == ["end c.1", "end b.2", "end a.1"]


def test_a_name_that_nobody_has_is_not_replaced(house, caplog):
    supervisor = house.supervise(house.version("a", 1))
    assert problem(house.change(supervisor, messages.ReplaceChild(house.version("b", 1)))) == NO_SUCH
    assert f"b: {NO_SUCH}" in caplog.text
    house.world.run(10.0)
    assert house.living() == ["a.1"]


def test_what_is_known_of_a_child_is_forgotten_once_it_is_gone_for_good(house):
    forget = {"when_gone": lambda: house.log.append("forget")}
    supervisor = house.supervise(house.version("a", 1, **forget), house.version("b", 1))
    house.refs["a.1"].tell("crash")
    house.world.run(1.0)
    assert house.log[2:] == ["end a.1", "start a.1"]
    house.change(supervisor, messages.ReplaceChild(house.version("a", 2, **forget)))
    house.world.run(1.0)
    assert house.log[4:] == ["end a.1", "forget", "start a.2"]
    house.refs["a.2"].tell("crash")
    house.broken.add("a.2")
    house.world.run(1.0)
    house.change(supervisor, messages.RemoveChild("a"))
    assert house.log[7:] == ["end a.2", "forget"]


def test_a_child_that_waits_for_its_restart_is_replaced_at_once(house):
    house.broken.add("a.1")
    supervisor = house.supervise(house.version("a", 1))
    assert problem(house.change(supervisor, messages.ReplaceChild(house.version("a", 2)))) is None
    house.broken.clear()
    house.world.run(100.0)
    assert house.log == ["start a.2"]


def test_of_two_replacements_the_second_counts(house):
    supervisor = house.supervise(house.version("a", 1, polite=True))
    first = house.change(supervisor, messages.ReplaceChild(house.version("a", 2)))
    second = house.change(supervisor, messages.ReplaceChild(house.version("a", 3)))
    assert problem(first) == "replaced again before it was started"
    house.world.run(2.0)
    assert problem(second) is None
    assert house.log == ["start a.1", "finish a.1", "end a.1", "start a.3"]


def test_a_child_that_ends_by_itself_while_it_is_replaced_is_replaced_all_the_same(house):
    supervisor = house.supervise(house.version("a", 1, polite=True))
    house.change(supervisor, messages.ReplaceChild(house.version("a", 2)))
    house.refs["a.1"].tell("crash")
    house.world.run(100.0)
    assert house.log == ["start a.1", "finish a.1", "end a.1", "start a.2"]


def test_a_child_that_does_not_stop_is_replaced_all_the_same_and_its_end_touches_nobody(house, caplog):
    stuck = ChildSpec("a", Stuck(house).start, lambda ref: ref.tell("finish"), 3.0)
    supervisor = house.supervise(stuck)
    house.world.pause("elsewhere")
    answer = house.change(supervisor, messages.ReplaceChild(house.version("a", 2)))
    house.world.run(5.9)
    assert is_open(answer)
    house.world.run(0.2)
    assert problem(answer) is None
    assert "a does not stop; going on without it" in caplog.text
    house.world.resume("elsewhere")
    house.world.run(10.0)
    assert house.log[-1] == "end stuck"
    assert house.living() == ["a.2"]
    assert [label for label, _ in house.starts] == ["a.2"]
    assert house.shut_down(supervisor) == messages.ChildrenStopped(())


# Removed


def test_a_child_that_is_removed_stops_in_order_and_stays_away(house):
    supervisor = house.supervise(*(house.version(name, 1, polite=True) for name in "ab"))
    answer = house.change(supervisor, messages.RemoveChild("a"))
    house.world.run(1.9)
    assert is_open(answer)
    house.world.run(100.0)
    assert answer.get(timeout=0) == messages.ChildSettled("a", None)
    assert house.log == ["start a.1", "start b.1", "finish a.1", "end a.1"]
    assert house.shut_down(supervisor) == messages.ChildrenStopped(())


def test_a_name_is_removed_once_and_is_free_then(house, caplog):
    supervisor = house.supervise(house.version("a", 1))
    house.change(supervisor, messages.RemoveChild("a"))
    for _ in range(2):
        assert problem(house.change(supervisor, messages.RemoveChild("a"))) == NO_SUCH
        house.world.run(1.0)
    assert problem(house.change(supervisor, messages.ReplaceChild(house.version("a", 2)))) == NO_SUCH
    assert f"a: {NO_SUCH}" in caplog.text
    assert problem(house.change(supervisor, messages.AddChild(house.version("a", 3)))) is None
    assert house.living() == ["a.3"]


def test_a_child_that_waits_for_its_restart_is_removed_at_once(house):
    house.broken.add("a.1")
    supervisor = house.supervise(house.version("a", 1))
    assert problem(house.change(supervisor, messages.RemoveChild("a"))) is None
    assert house.world.clock.next_time() is None, "a timer of a child that is no more"
    house.broken.clear()
    house.world.run(100.0)
    assert house.log == []


def test_a_child_that_is_added_while_its_name_is_being_removed_waits_for_the_old_one(house):
    supervisor = house.supervise(house.version("a", 1, polite=True), house.version("b", 1))
    removed = house.change(supervisor, messages.RemoveChild("a"))
    added = house.change(supervisor, messages.AddChild(house.version("a", 2)))
    assert problem(house.change(supervisor, messages.AddChild(house.version("a", 3)))) == TAKEN
    assert is_open(removed)
    assert is_open(added)
    house.world.run(2.0)
    assert problem(removed) is problem(added) is None
    assert house.log[2:] == ["finish a.1", "end a.1", "start a.2"]


def test_a_replacement_that_is_removed_does_not_start(house):
    supervisor = house.supervise(house.version("a", 1, polite=True))
    replaced = house.change(supervisor, messages.ReplaceChild(house.version("a", 2)))
    removed = house.change(supervisor, messages.RemoveChild("a"))
    assert problem(replaced) == "removed before it was started"
    house.world.run(100.0)
    assert problem(removed) is None
    assert house.log == ["start a.1", "finish a.1", "end a.1"]


# Answers, and the end


def test_whoever_tells_hears_as_whoever_asks(house):
    heard: list[Any] = []
    ear = Ear.start(house.dispatcher, heard)
    supervisor = house.supervise()
    supervisor.tell(messages.AddChild(house.version("a", 1), ear))
    supervisor.tell(messages.ReplaceChild(house.version("a", 2), ear))
    supervisor.tell(messages.RemoveChild("a", ear))
    supervisor.tell(messages.RemoveChild("a", ear))
    house.world.run(1.0)
    assert [(settled.name, settled.problem) for settled in heard] == [
        ("a", None),
        ("a", "removed before it was started"),
        ("a", NO_SUCH),
        ("a", None),
    ]


def test_a_shutdown_calls_off_what_is_under_way_and_refuses_what_comes(house):
    supervisor = house.supervise(*(house.version(name, 1, polite=True) for name in "abc"))
    replaced = house.change(supervisor, messages.ReplaceChild(house.version("c", 2)))
    removed = house.change(supervisor, messages.RemoveChild("a"))
    house.world.run(0.5)
    answer = house.world.ask(supervisor, messages.ShutDown())
    assert problem(replaced) == STOPPING
    refused = (
        messages.AddChild(house.version("d", 1)),
        messages.ReplaceChild(house.version("b", 2)),
        messages.RemoveChild("b"),
    )
    assert [problem(house.change(supervisor, message)) for message in refused] == [STOPPING] * 3
    house.world.run_while(lambda: is_open(answer), 60.0)
    assert problem(removed) is None
    assert house.log[3:] == ["finish c.1", "finish a.1", "end c.1", "finish b.1", "end a.1", "end b.1"]


def test_a_supervisor_that_ends_in_the_midst_of_changes_leaves_no_child_and_no_asker_behind(house):
    supervisor = house.supervise(*(house.version(name, 1, polite=True) for name in "ab"))
    answers = [
        house.change(supervisor, messages.ReplaceChild(house.version("a", 2))),
        house.change(supervisor, messages.RemoveChild("b")),
    ]
    supervisor.stop(block=False)
    house.world.run(10.0)
    assert house.living() == []
    for answer in answers:
        with pytest.raises(pykka.ActorDeadError):
            answer.get(timeout=0)


def test_whoever_asks_for_the_shutdown_when_it_is_over_hears_of_it_too(house):
    heard: list[Any] = []
    ear = Ear.start(house.dispatcher, heard)
    supervisor = house.supervise()
    for _ in range(2):
        supervisor.tell(messages.ShutDown(ear))
    house.world.run(1.0)
    assert heard == [messages.ChildrenStopped(())] * 2


# Retired


def test_every_child_that_lets_somebody_in_is_told_once_to_let_nobody_in(house):
    supervisor = house.supervise(
        house.version("a", 1, retire="close"), house.version("b", 1), house.version("c", 1, retire="withdraw")
    )
    for _ in range(2):
        supervisor.tell(messages.RetireChildren())
        house.world.run(1.0)
    assert house.log[3:] == ["a.1 got close", "c.1 got withdraw"]
    assert house.living() == ["a.1", "b.1", "c.1"]


def test_a_child_that_is_started_after_that_is_told_too(house):
    house.broken.add("c.1")
    supervisor = house.supervise(*(house.version(name, 1, retire="close") for name in "abc"))
    supervisor.tell(messages.RetireChildren())
    house.world.run(0.0)
    house.broken.clear()
    house.refs["a.1"].tell("crash")
    house.change(supervisor, messages.ReplaceChild(house.version("b", 2, retire="close")))
    house.change(supervisor, messages.AddChild(house.version("d", 1, retire="close")))
    house.world.run(10.0)
    for label in ("a.1", "b.2", "c.1", "d.1"):
        newest = [note for note in house.log if label in note][-2:]
        assert newest == [f"start {label}", f"{label} got close"]


# All together


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_asked_for_at_whatever_time_the_children_are_those_asked_for_last(house, seed):
    draw = random.Random(seed)
    supervisor = house.supervise()
    wanted: dict[str, str] = {}
    for step in range(200):
        name, polite = draw.choice("abcd"), draw.random() < 0.5
        spec, label = house.version(name, step, polite=polite, stop_timeout_s=1.0), f"{name}.{step}"
        match draw.choice(["add", "replace", "remove", "crash", "wait"]):
            case "add":
                supervisor.tell(messages.AddChild(spec))
                wanted.setdefault(name, label)
            case "replace":
                supervisor.tell(messages.ReplaceChild(spec))
                if name in wanted:
                    wanted[name] = label
            case "remove":
                supervisor.tell(messages.RemoveChild(name))
                wanted.pop(name, None)
            case "crash" if house.living():
                house.refs[draw.choice(house.living())].tell("crash")
            case _:
                house.world.run(draw.random() * 2)
        names = [label.split(".")[0] for label in house.living()]
        assert len(names) == len(set(names)), "two of one name at a time"
    house.world.run(BACKOFF.cap_s * 3)
    assert house.living() == sorted(wanted.values())
    assert house.shut_down(supervisor) == messages.ChildrenStopped(())
    assert house.living() == []
