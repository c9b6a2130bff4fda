"""The supervisor: start order, restarts with backoff, shutdown in reverse; on virtual time."""

import itertools
import logging
from collections.abc import Callable
from typing import Any

import pykka
import pytest

from actors.runtime import supervisor_messages as messages
from actors.runtime.actor import Actor
from actors.runtime.children import ChildSpec
from tests.actors.runtime.house import BACKOFF, House, Stuck


@pytest.fixture
def house() -> Any:
    house = House()
    yield house
    house.world.stop()


def test_children_start_in_order_and_stop_in_reverse(house: House):
    supervisor = house.supervise(*(house.spec(name) for name in "abc"))
    assert house.log == ["start a", "start b", "start c"]
    assert house.shut_down(supervisor) == messages.ChildrenStopped(())
    assert house.log[3:] == ["end c", "end b", "end a"]
    house.world.run(0.0)
    assert not supervisor.is_alive()


def test_each_child_has_ended_before_the_next_is_asked_to_stop(house: House):
    polite: Callable[[Any], None] = lambda ref: ref.tell("finish")  # noqa: E731
    supervisor = house.supervise(*(house.spec(name, ask_to_stop=polite) for name in "ab"))
    started_s = house.world.clock.now
    house.shut_down(supervisor)
    assert house.log[2:] == ["finish b", "end b", "finish a", "end a"]
    assert house.world.clock.now == pytest.approx(started_s + 4.0, abs=0.1)


def test_a_child_that_crashes_starts_again_and_leaves_the_others_alone(
    house: House, caplog: pytest.LogCaptureFixture
):
    house.supervise(*(house.spec(name) for name in "ab"))
    first = house.refs["a"]
    with caplog.at_level(logging.WARNING, logger="actors.runtime.supervisor"):
        first.tell("crash")
        house.world.run(1.0)
    assert house.log == ["start a", "start b", "end a", "start a"]
    assert house.refs["a"] is not first
    assert "a has ended; starting it again in " in caplog.text


@pytest.mark.parametrize("end", ["stop", "crash"])
def test_a_child_that_stops_unasked_starts_again_too(house: House, end: str):
    house.supervise(house.spec("a"))
    house.refs["a"].stop(block=False) if end == "stop" else house.refs["a"].tell("crash")
    house.world.run(1.0)
    assert house.log == ["start a", "end a", "start a"]


def test_a_child_that_cannot_start_is_tried_again_while_the_others_run(
    house: House, caplog: pytest.LogCaptureFixture
):
    house.broken.add("b")
    house.supervise(*(house.spec(name) for name in "abc"))
    assert house.log == ["start a", "start c"]
    house.world.run(100.0)
    attempts = [time_s for name, time_s in house.starts if name == "b"]
    waits = [later - earlier for earlier, later in itertools.pairwise(attempts)]
    assert len(waits) > 100.0 / BACKOFF.cap_s
    assert all(wait <= min(BACKOFF.cap_s, 2.0**number) + 1e-6 for number, wait in enumerate(waits))
    assert len(set(waits)) == len(waits)  # jitter
    assert "b cannot start" in caplog.text
    assert "Address already in use" in caplog.text
    house.broken.clear()
    house.world.run(10.0)
    assert house.log == ["start a", "start c", "start b"]


def test_a_stable_run_resets_the_backoff(house: House):
    house.supervise(house.spec("a"))

    def crash_and_wait() -> float:
        crashed_s = house.world.clock.now
        starts = len(house.starts)
        house.refs["a"].tell("crash")
        house.world.run_while(lambda: len(house.starts) == starts, 100.0)
        house.world.run(0.0)
        return house.world.clock.now - crashed_s

    for _ in range(40):
        crash_and_wait()
    assert max(crash_and_wait() for _ in range(20)) > BACKOFF.first_s
    for _ in range(5):
        house.world.run(BACKOFF.stable_s + 0.001)
        assert crash_and_wait() <= BACKOFF.first_s + 1e-6


def test_a_shutdown_while_a_child_waits_for_its_restart_does_not_start_it(house: House):
    house.broken.add("b")
    supervisor = house.supervise(*(house.spec(name) for name in "ab"))
    house.broken.clear()
    house.shut_down(supervisor)
    house.world.run(100.0)
    assert house.log == ["start a", "end a"]


def test_a_child_that_crashes_during_the_shutdown_stays_down(house: House):
    polite: Callable[[Any], None] = lambda ref: ref.tell("finish")  # noqa: E731
    supervisor = house.supervise(*(house.spec(name, ask_to_stop=polite) for name in "ab"))
    answer = house.world.ask(supervisor, messages.ShutDown())
    house.refs["a"].tell("crash")
    house.world.run_while(lambda: answer._result is None, 60.0)
    house.world.run(100.0)
    assert house.log == ["start a", "start b", "finish b", "end a", "end b"]


def test_a_child_that_does_not_finish_in_time_is_stopped(house: House, caplog: pytest.LogCaptureFixture):
    deaf = house.spec("deaf", ask_to_stop=lambda ref: ref.tell("nothing it knows"), stop_timeout_s=3.0)
    supervisor = house.supervise(house.spec("a"), deaf)
    assert house.shut_down(supervisor) == messages.ChildrenStopped(())
    assert house.world.clock.now == pytest.approx(3.0, abs=0.1)
    assert house.log[2:] == ["deaf got nothing it knows", "end deaf", "end a"]
    assert "deaf has not finished in 3.0 s" in caplog.text


def test_a_child_that_does_not_even_stop_is_given_up(house: House, caplog: pytest.LogCaptureFixture):
    stuck = ChildSpec("stuck", Stuck(house).start, lambda ref: ref.tell("finish"), 3.0)
    supervisor = house.supervise(house.spec("a"), stuck, house.spec("c"))
    house.world.pause("elsewhere")
    reply = house.shut_down(supervisor)
    assert reply == messages.ChildrenStopped(("stuck",))
    assert house.world.clock.now == pytest.approx(6.0, abs=0.1)
    assert "stuck does not stop; going on without it" in caplog.text
    assert [note for note in house.log if note.startswith("end")] == ["end c", "end a"]
    house.world.resume("elsewhere")
    house.world.run(10.0)


def test_a_child_that_cannot_be_asked_is_stopped(house: House):
    def fail(_: Any) -> None:
        raise ValueError("cannot be asked")

    supervisor = house.supervise(house.spec("a", ask_to_stop=fail))
    house.shut_down(supervisor)
    assert house.log == ["start a", "end a"]


def test_a_child_that_dies_just_before_it_is_asked_is_no_error(house: House):
    def die_first(ref: Any) -> None:
        raise pykka.ActorDeadError(str(ref))

    supervisor = house.supervise(house.spec("a", ask_to_stop=die_first, stop_timeout_s=1.0))
    assert house.shut_down(supervisor) == messages.ChildrenStopped(())


def test_every_asker_of_a_shutdown_hears_of_its_end(house: House):
    class Asker(Actor[messages.ChildrenStopped]):
        def __init__(self, dispatcher: Any, heard: list[Any]) -> None:
            super().__init__(dispatcher)
            self._heard = heard

        def on_receive(self, message: messages.ChildrenStopped) -> None:
            self._heard.append(message)

    heard: list[Any] = []
    asker = Asker.start(house.dispatcher, heard)
    polite = house.spec("a", ask_to_stop=lambda ref: ref.tell("finish"))
    supervisor = house.supervise(polite)
    supervisor.tell(messages.ShutDown(reply_to=asker))
    first = house.world.ask(supervisor, messages.ShutDown())
    second = house.world.ask(supervisor, messages.ShutDown(reply_to=asker))
    house.world.run(5.0)
    assert first.get(timeout=0) == second.get(timeout=0) == messages.ChildrenStopped(())
    assert heard == [messages.ChildrenStopped(())] * 2
    assert house.log.count("finish a") == 1


def test_a_supervisor_without_children_shuts_down_at_once(house: House):
    assert house.shut_down(house.supervise()) == messages.ChildrenStopped(())


@pytest.mark.parametrize("shutting_down", [False, True])
def test_a_supervisor_that_ends_early_leaves_no_child_and_no_asker_behind(house: House, shutting_down: bool):
    polite: Callable[[Any], None] = lambda ref: ref.tell("finish")  # noqa: E731
    supervisor = house.supervise(*(house.spec(name, ask_to_stop=polite) for name in "ab"))
    answer = house.world.ask(supervisor, messages.ShutDown()) if shutting_down else None
    supervisor.stop(block=False)
    house.world.run(10.0)
    assert [note for note in house.log if note.startswith("end")] == ["end b", "end a"]
    if answer is not None:
        with pytest.raises(pykka.ActorDeadError):
            answer.get(timeout=0)
