"""What a Pykka actor does, held against Pykka's own threads and against the dispatcher alike."""

import queue
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pykka
import pytest

from actors.runtime.real.loop import LoopDispatcher
from actors.runtime.registry import install_ordered_registry
from tests.actors.runtime.pykka_flavours import (
    LIMIT_S,
    Dispatched,
    DispatchedProbe,
    Flavour,
    Gate,
    Threaded,
    explode,
)


@pytest.fixture(params=["threads", "dispatcher"])
def flavour(request: pytest.FixtureRequest) -> Iterator[Flavour]:
    if request.param == "threads":
        yield Threaded()
        pykka.ActorRegistry.stop_all(timeout=LIMIT_S)
        return
    install_ordered_registry()
    dispatcher = LoopDispatcher()
    dispatcher.start()
    yield Dispatched(dispatcher)
    assert dispatcher.stop(LIMIT_S)


def test_ask_answers_what_the_handler_returns(flavour: Flavour):
    assert flavour.start().ask("hello", timeout=LIMIT_S) == "hello"


def test_messages_of_one_sender_arrive_in_order(flavour: Flavour):
    log: list[Any] = []
    ref = flavour.start(log=log)
    for number in range(1000):
        ref.tell(number)
    ref.ask("last", timeout=LIMIT_S)
    assert log == ["on_start", *range(1000), "last"]


def test_messages_of_many_threads_all_arrive_each_threads_in_order(flavour: Flavour):
    log: list[Any] = []
    ref = flavour.start(log=log)

    def send(sender: int) -> None:
        for number in range(2000):
            ref.tell((sender, number))

    senders = [threading.Thread(target=send, args=(sender,)) for sender in range(4)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(LIMIT_S)
    ref.ask("last", timeout=LIMIT_S)
    for sender_number in range(4):
        assert [note[1] for note in log if note[0] == sender_number] == list(range(2000))


def test_the_constructor_runs_in_the_caller_and_on_start_does_not(flavour: Flavour):
    ref = flavour.start()
    assert ref.ask(lambda probe: probe.init_thread, timeout=LIMIT_S) == threading.get_ident()
    assert ref.ask(lambda probe: probe.start_thread, timeout=LIMIT_S) != threading.get_ident()


def test_an_error_under_ask_goes_to_the_caller_and_the_actor_lives(flavour: Flavour):
    log: list[Any] = []
    ref = flavour.start(log=log)
    with pytest.raises(ValueError, match="asked to"):
        ref.ask(explode, timeout=LIMIT_S)
    assert ref.ask("still here", timeout=LIMIT_S) == "still here"
    assert log == ["on_start", "still here"]


def test_an_error_under_tell_ends_the_actor_with_on_failure_only(flavour: Flavour):
    log: list[Any] = []
    ref = flavour.start(log=log)
    ref.tell(explode)
    flavour.wait_for_end(ref)
    assert log == ["on_start", "on_failure"]
    assert not ref.is_alive()
    assert ref not in pykka.ActorRegistry.get_all()


def test_an_error_in_on_start_ends_the_actor_without_a_hook(flavour: Flavour):
    log: list[Any] = []
    ref = flavour.start(log=log, broken="on_start")
    flavour.wait_for_end(ref)
    assert log == ["on_start"]
    assert not ref.is_alive()
    assert ref not in pykka.ActorRegistry.get_all()


@pytest.mark.parametrize("hook", ["on_stop", "on_failure"])
def test_an_error_in_a_last_hook_still_ends_the_actor(flavour: Flavour, hook: str):
    log: list[Any] = []
    ref = flavour.start(log=log, broken=hook)
    if hook == "on_stop":
        assert ref.stop(timeout=LIMIT_S)
    else:
        ref.tell(explode)
    flavour.wait_for_end(ref)
    assert log == ["on_start", hook]
    assert not ref.is_alive()


def test_stop_waits_behind_the_mailbox_and_drops_what_comes_later(flavour: Flavour):
    log: list[Any] = []
    ref = flavour.start(log=log)
    gate = Gate(ref)
    ref.tell("before")
    stopped = ref.stop(block=False)
    ref.tell("after")
    asked_after = ref.ask("asked after", block=False)
    stopped_again = ref.stop(block=False)
    gate.open()
    assert stopped.get(timeout=LIMIT_S)
    with pytest.raises(pykka.ActorDeadError):
        asked_after.get(timeout=LIMIT_S)
    assert stopped_again.get(timeout=LIMIT_S)
    flavour.wait_for_end(ref)
    assert log == ["on_start", "before", "on_stop"]


def test_stop_says_whether_the_actor_lived(flavour: Flavour):
    ref = flavour.start()
    assert ref.stop(timeout=LIMIT_S) is True
    flavour.wait_for_end(ref)
    assert ref.stop(timeout=LIMIT_S) is False


def test_an_actor_that_stops_itself_handles_what_waits_first(flavour: Flavour):
    log: list[Any] = []
    ref = flavour.start(log=log)
    gate = Gate(ref)
    ref.tell(lambda probe: probe.stop())
    ref.tell("before the stop")
    gate.open()
    flavour.wait_for_end(ref)
    assert log == ["on_start", "before the stop", "on_stop"]


def test_telling_or_asking_a_dead_actor_is_an_actor_dead_error(flavour: Flavour):
    ref = flavour.start()
    ref.stop(timeout=LIMIT_S)
    flavour.wait_for_end(ref)
    with pytest.raises(pykka.ActorDeadError):
        ref.tell("too late")
    with pytest.raises(pykka.ActorDeadError):
        ref.ask("too late", timeout=LIMIT_S)


def test_what_waits_for_a_crashed_actor_vanishes_and_asks_fail(flavour: Flavour):
    log: list[Any] = []
    ref = flavour.start(log=log)
    gate = Gate(ref)
    ref.tell(explode)
    ref.tell("never handled")
    asked = ref.ask("never answered", block=False)
    gate.open()
    with pytest.raises(pykka.ActorDeadError):
        asked.get(timeout=LIMIT_S)
    flavour.wait_for_end(ref)
    assert log == ["on_start", "on_failure"]


def test_an_ask_without_an_answer_times_out(flavour: Flavour):
    ref = flavour.start()
    gate = Gate(ref)
    with pytest.raises(pykka.Timeout):
        ref.ask("while it is busy", timeout=0.001)
    gate.open()


def test_the_registry_knows_an_actor_while_it_lives(flavour: Flavour):
    ref = flavour.start()
    assert pykka.ActorRegistry.get_by_class(flavour.probe_class) == [ref]
    assert pykka.ActorRegistry.get_by_class_name(flavour.probe_class.__name__) == [ref]
    assert pykka.ActorRegistry.get_by_urn(ref.actor_urn) is ref
    ref.stop(timeout=LIMIT_S)
    flavour.wait_for_end(ref)
    assert pykka.ActorRegistry.get_by_class(flavour.probe_class) == []
    assert pykka.ActorRegistry.get_by_urn(ref.actor_urn) is None


def test_an_actor_is_one_of_pykkas(flavour: Flavour):
    ref = flavour.start()
    assert issubclass(ref.actor_class, pykka.Actor)
    assert ref.ask(lambda probe: isinstance(probe, pykka.Actor), timeout=LIMIT_S)
    assert pykka.ActorRegistry.get_by_class(pykka.Actor) == [ref]


def test_stop_all_goes_from_the_last_started_to_the_first(flavour: Flavour):
    refs = [flavour.start() for _ in range(5)]
    order: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number, ref in enumerate(refs):
        note_end = partial(order.put, number)
        ref.ask(lambda probe, hook=note_end: setattr(probe, "on_stop", hook), timeout=LIMIT_S)
    assert pykka.ActorRegistry.stop_all(timeout=LIMIT_S) == [True] * 5
    assert [order.get(timeout=LIMIT_S) for _ in refs] == [4, 3, 2, 1, 0]


def test_a_broadcast_reaches_every_actor_of_its_class(flavour: Flavour):
    logs: list[list[Any]] = [[], []]
    refs = [flavour.start(log=log) for log in logs]
    pykka.ActorRegistry.broadcast("all of you", flavour.probe_class)
    for ref in refs:
        ref.ask("last", timeout=LIMIT_S)
    assert logs == [["on_start", "all of you", "last"]] * 2


def test_a_proxy_calls_reads_and_writes(flavour: Flavour):
    proxy = flavour.start().proxy()
    assert proxy.shout("quiet").get(timeout=LIMIT_S) == "QUIET"
    assert proxy.note.get(timeout=LIMIT_S) == "as it was"
    proxy.note = "changed"
    assert proxy.note.get(timeout=LIMIT_S) == "changed"
    with pytest.raises(ValueError, match="asked to"):
        proxy.fail().get(timeout=LIMIT_S)
    proxy.shout.defer("nobody waits")
    assert proxy.stop().get(timeout=LIMIT_S) is None


def test_a_proxy_of_a_dead_actor_is_an_actor_dead_error(flavour: Flavour):
    ref = flavour.start()
    ref.stop(timeout=LIMIT_S)
    flavour.wait_for_end(ref)
    with pytest.raises(pykka.ActorDeadError):
        ref.proxy().shout("anybody?").get(timeout=LIMIT_S)


def test_an_actor_may_start_others_from_its_handler(flavour: Flavour):
    parent = flavour.start()
    child = parent.ask(lambda _: flavour.start(), timeout=LIMIT_S)
    assert child.ask("hello", timeout=LIMIT_S) == "hello"


def test_an_unexpected_message_is_logged(flavour: Flavour, caplog: pytest.LogCaptureFixture):
    ref = flavour.start_default()
    with caplog.at_level("WARNING", logger="pykka"):
        assert ref.ask("what is this", timeout=LIMIT_S) is None
    assert "Unexpected message received" in caplog.text


def test_an_actor_dead_error_of_a_third_actor_is_an_error_like_any_other(flavour: Flavour):
    dead = flavour.start()
    dead.stop(timeout=LIMIT_S)
    flavour.wait_for_end(dead)
    log: list[Any] = []
    ref = flavour.start(log=log)
    ref.tell(lambda _: dead.tell("anybody?"))
    flavour.wait_for_end(ref)
    assert log == ["on_start", "on_failure"]


def test_str_names_the_class_and_the_urn(flavour: Flavour):
    ref = flavour.start()
    assert str(ref) == f"{flavour.probe_class.__name__} ({ref.actor_urn})"
    assert ref.actor_urn.startswith("urn:")


def test_a_thread_may_wait_until_an_actor_has_stopped(flavour: Flavour):
    ref = flavour.start()
    assert not ref.actor_stopped.wait(0)
    assert not ref.actor_stopped.wait(timeout=0)
    entered, seen = [threading.Event(), threading.Event()], queue.SimpleQueue[bool]()

    def wait(entered: threading.Event) -> None:
        entered.set()
        seen.put(ref.actor_stopped.wait(LIMIT_S))

    waiters = [threading.Thread(target=wait, args=(event,)) for event in entered]
    for waiter, event in zip(waiters, entered, strict=True):
        waiter.start()
        assert event.wait(LIMIT_S)
    ref.tell(lambda probe: probe.stop())
    assert [seen.get(timeout=LIMIT_S) for _ in waiters] == [True, True]
    assert ref.actor_stopped.wait()
    for waiter in waiters:
        waiter.join(LIMIT_S)


def test_where_this_actor_differs_from_pykka_s_on_purpose(caplog: pytest.LogCaptureFixture):
    reported: list[BaseException] = []
    dispatcher = LoopDispatcher(on_fatal=reported.append)
    dispatcher.start()
    try:
        log: list[Any] = []
        other_log: list[Any] = []
        ref = DispatchedProbe.start(dispatcher, log=log)
        other = DispatchedProbe.start(dispatcher, log=other_log)
        number, next_number = (int(each.actor_urn.removeprefix("urn:actor:")) for each in (ref, other))
        assert next_number == number + 1

        def leave(_: Any) -> None:
            raise SystemExit("asked to")

        with caplog.at_level("DEBUG"):
            ref.tell(leave)
            assert ref.actor_stopped.wait(LIMIT_S)
            assert other.ask("still here", timeout=LIMIT_S) == "still here"
        assert log == ["on_start", "on_failure"]
        assert [type(error) for error in reported] == [SystemExit]
        assert "asking for a shutdown" in caplog.text
        assert "Stopping all actors" not in caplog.text
    finally:
        assert dispatcher.stop(LIMIT_S)
