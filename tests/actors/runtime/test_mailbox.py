"""The mailbox: turns, late envelopes, and senders on many threads."""

import sys
import threading
import time
from collections import deque
from typing import Any, cast

import pykka
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pykka._envelope import Envelope

from actors.runtime.actor import Actor
from actors.runtime.mailbox import Mailbox, TurnOver
from actors.runtime.real.loop import LoopDispatcher
from actors.runtime.seam import Handover

LIMIT_S = 10.0


class Desk:
    """A dispatcher reduced to what an actor needs of it: the mailboxes that are to have a turn."""

    def __init__(self) -> None:
        self.ready: deque[Mailbox] = deque()
        self.enqueue_ready = self.ready.append
        self.now = time.monotonic

    def adopt(self, actor: Actor[Any]) -> None:
        pass

    def forget(self, actor: Actor[Any]) -> None:
        pass

    def run(self, limit: int, due: int = 0) -> int:
        return self.ready.popleft().run(limit, due)


class Reader(Actor[Any]):
    def __init__(self, desk: Desk) -> None:
        super().__init__(cast(Any, desk))
        self.read: list[Any] = []
        self.turns = 0

    def on_receive(self, message: Any) -> None:
        self.read.append(message)
        if message == "end":
            self.stop_now()

    def on_turn_over(self) -> None:
        self.turns += 1


def reader_at(desk: Desk) -> tuple[Reader, Mailbox]:
    reader = Reader(desk)
    return reader, reader.actor_inbox


def test_get_gives_what_was_handed_over_once_and_then_hands_the_thread_back():
    mailbox, envelope = Mailbox(), Envelope("asked")
    mailbox.hand_over(envelope)
    assert mailbox.get() is envelope
    with pytest.raises(TurnOver):
        mailbox.get()


def test_what_comes_before_the_bind_waits_for_the_first_turn():
    desk = Desk()
    reader, mailbox = reader_at(desk)
    mailbox.put(Envelope("early"))
    assert not mailbox.empty()
    mailbox.bind(reader, desk.enqueue_ready)
    assert list(desk.ready) == [mailbox]
    assert desk.run(10) == 1
    assert reader.read == ["early"]


def test_a_turn_ends_at_its_limit_and_the_rest_queues_up_again():
    desk = Desk()
    reader, mailbox = reader_at(desk)
    mailbox.bind(reader, desk.enqueue_ready)
    for number in range(5):
        mailbox.put(Envelope(number))
    assert len(desk.ready) == 1
    assert desk.run(3) == 3
    assert (reader.read, len(desk.ready)) == ([0, 1, 2], 1)
    assert desk.run(3) == 2
    assert (reader.read, len(desk.ready)) == ([0, 1, 2, 3, 4], 0)


@pytest.mark.parametrize("others", [0, 2])
def test_an_actor_may_vanish_in_its_own_turn(others: int):
    desk = Desk()

    class Vanishing(Reader):
        def on_receive(self, message: Any) -> None:
            super().on_receive(message)
            self.vanish()

    reader = Vanishing.start(desk)
    for _ in range(1 + others):
        reader.tell("go")
    actor = cast(Vanishing, reader.actor_inbox.resident)
    assert desk.run(9) == 1
    assert (actor.read, desk.ready, list(reader.actor_inbox.queue)) == (["go"], deque(), [])


def test_what_is_due_is_taken_in_several_turns_before_others_have_theirs():
    desk = Desk()
    reader, mailbox = reader_at(desk)
    mailbox.bind(reader, desk.enqueue_ready)
    for number in range(8):
        mailbox.post(number)
    assert desk.run(3, 5) == 6
    assert (reader.read, reader.turns, len(desk.ready)) == ([0, 1, 2, 3, 4, 5], 2, 1)
    mailbox.post("end")
    assert desk.run(3, 9) == 3
    assert (reader.read, reader.turns, len(desk.ready)) == ([0, 1, 2, 3, 4, 5, 6, 7, "end"], 2, 0)


def test_a_closed_mailbox_in_the_ready_queue_has_nothing_to_do():
    desk = Desk()
    reader, mailbox = reader_at(desk)
    mailbox.bind(reader, desk.enqueue_ready)
    mailbox.close("the reader")
    assert desk.run(3) == 0
    mailbox.put(Envelope("late"))
    assert mailbox.empty()
    assert not desk.ready


@given(st.lists(st.one_of(st.just("put"), st.just("ask"), st.just("end"), st.integers(1, 4))))
def test_every_ask_is_answered_or_refused_and_ready_never_holds_a_mailbox_twice(steps: list[Any]):
    desk = Desk()
    reader, mailbox = reader_at(desk)
    mailbox.bind(reader, desk.enqueue_ready)
    sent: list[Any] = []
    futures: dict[int, pykka.ThreadingFuture[Any]] = {}
    for number, step in enumerate(steps):
        if isinstance(step, int):
            if desk.ready:
                desk.run(step)
        elif step == "ask":
            sent.append(number)
            futures[number] = pykka.ThreadingFuture()
            mailbox.put(Envelope(number, reply_to=futures[number]))
        else:
            sent.append("end" if step == "end" else number)
            mailbox.post(sent[-1])
        assert len(desk.ready) <= 1
    while desk.ready:
        desk.run(4)
    assert mailbox.empty()
    expected = sent[: sent.index("end") + 1] if "end" in sent else sent
    assert reader.read == expected
    for number, future in futures.items():
        if number in expected:
            assert future.get(timeout=0) is None
        else:
            with pytest.raises(pykka.ActorDeadError):
                future.get(timeout=0)


class Counter(Actor[Any]):
    def __init__(self, dispatcher: Any) -> None:
        super().__init__(dispatcher)
        self.count = 0

    def on_receive(self, message: Any) -> int:
        self.count += 1
        return self.count


def test_nothing_is_lost_between_many_sending_threads(dispatcher: LoopDispatcher):
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # as many interleavings as there can be
    try:
        refs = [Counter.start(dispatcher) for _ in range(3)]

        def send() -> None:
            for _ in range(1000):
                for ref in refs:
                    ref.tell("one more")

        senders = [threading.Thread(target=send) for _ in range(6)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join(LIMIT_S)
        assert [ref.ask("and one", timeout=LIMIT_S) for ref in refs] == [6001] * 3
    finally:
        sys.setswitchinterval(interval)


def test_every_ask_that_races_with_the_end_completes(dispatcher: LoopDispatcher):
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(30):
            ref = Counter.start(dispatcher)
            futures: list[list[Any]] = [[] for _ in range(3)]

            def ask(mine: list[Any], ref: Any = ref) -> None:
                mine.extend(ref.ask("race", block=False) for _ in range(20))

            askers = [threading.Thread(target=ask, args=(mine,)) for mine in futures]
            for asker in askers:
                asker.start()
            ref.stop(block=False)
            for asker in askers:
                asker.join(LIMIT_S)
            for future in (future for mine in futures for future in mine):
                try:
                    assert future.get(timeout=LIMIT_S) >= 1
                except pykka.ActorDeadError:
                    continue
    finally:
        sys.setswitchinterval(interval)


class Stubborn(Handover, frozen=True):
    """What cannot be let go of without an error."""

    def let_go(self) -> None:
        raise OSError("on purpose")


def test_what_cannot_be_let_go_of_keeps_nobody_from_hearing_of_the_end(caplog: pytest.LogCaptureFixture):
    mailbox, told = Mailbox(), deque[Any]()
    asked: pykka.ThreadingFuture[Any] = pykka.ThreadingFuture()

    class Watcher:
        tell = told.append

    mailbox.watch(cast("Any", Watcher()), "it has ended", {})
    mailbox.post(Stubborn())
    mailbox.put(Envelope("asked", reply_to=asked))
    mailbox.close("the reader")
    assert list(told) == ["it has ended"]
    with pytest.raises(pykka.ActorDeadError):
        asked.get(timeout=0)
    mailbox.post(Stubborn())  # nor is it the teller's fault
    assert len(caplog.records) == 2


def test_a_dispatcher_stops_whatever_waits_for_its_actors(dispatcher: LoopDispatcher):
    class Failing(Actor[Any]):
        def on_receive(self, message: Any) -> None:
            self.tell(self.ref, Stubborn())
            raise ValueError("on purpose")

    ref = Failing.start(dispatcher)
    ref.tell("fail")
    assert ref.actor_stopped.wait(LIMIT_S)
    assert dispatcher.stop(LIMIT_S)


def test_a_mailbox_that_is_closed_before_its_bind_stays_closed():
    desk = Desk()
    reader, mailbox = reader_at(desk)
    mailbox.close("an actor that was ended while it started")
    mailbox.bind(reader, desk.enqueue_ready)
    asked: pykka.ThreadingFuture[Any] = pykka.ThreadingFuture()
    mailbox.put(Envelope("asked", reply_to=asked))
    with pytest.raises(pykka.ActorDeadError):
        asked.get(timeout=0)
    assert not desk.ready
