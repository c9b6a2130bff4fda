"""The mailbox: turns, late envelopes, and senders on many threads."""

import sys
import threading
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


class Reader:
    """An actor reduced to what a mailbox sees of it."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox
        self.read: list[Any] = []
        self.end_on: Any = object()

    def run_turn(self, limit: int) -> int:
        queue, taken = self.mailbox.queue, 0
        while queue and taken < limit:
            waiting = queue.popleft()
            taken += 1
            message = waiting.message if isinstance(waiting, Envelope) else waiting
            self.read.append(message)
            if message == self.end_on:
                self.mailbox.close("the reader")
                break
        return taken


def test_get_gives_what_was_handed_over_once_and_then_hands_the_thread_back():
    mailbox, envelope = Mailbox(), Envelope("asked")
    mailbox.hand_over(envelope)
    assert mailbox.get() is envelope
    with pytest.raises(TurnOver):
        mailbox.get()


def test_what_comes_before_the_bind_waits_for_the_first_turn():
    mailbox, ready = Mailbox(), deque()
    mailbox.put(Envelope("early"))
    assert not mailbox.empty()
    reader = Reader(mailbox)
    mailbox.bind(reader, ready.append)
    assert list(ready) == [mailbox]
    assert ready.popleft().run(10) == 1
    assert reader.read == ["early"]


def test_a_turn_ends_at_its_limit_and_the_rest_queues_up_again():
    mailbox, ready = Mailbox(), deque()
    reader = Reader(mailbox)
    mailbox.bind(reader, ready.append)
    for number in range(5):
        mailbox.put(Envelope(number))
    assert len(ready) == 1
    assert ready.popleft().run(3) == 3
    assert (reader.read, len(ready)) == ([0, 1, 2], 1)
    assert ready.popleft().run(3) == 2
    assert (reader.read, len(ready)) == ([0, 1, 2, 3, 4], 0)


def test_a_closed_mailbox_in_the_ready_queue_has_nothing_to_do():
    mailbox, ready = Mailbox(), deque()
    mailbox.bind(Reader(mailbox), ready.append)
    mailbox.close("the reader")
    assert ready.popleft().run(3) == 0
    mailbox.put(Envelope("late"))
    assert mailbox.empty()
    assert not ready


@given(st.lists(st.one_of(st.just("put"), st.just("ask"), st.just("end"), st.integers(1, 4))))
def test_every_ask_is_answered_or_refused_and_ready_never_holds_a_mailbox_twice(steps: list[Any]):
    mailbox, ready = Mailbox(), deque()
    reader = Reader(mailbox)
    reader.end_on = "end"
    mailbox.bind(reader, ready.append)
    sent: list[Any] = []
    futures: list[pykka.ThreadingFuture[Any]] = []
    for number, step in enumerate(steps):
        if isinstance(step, int):
            if ready:
                ready.popleft().run(step)
        elif step == "ask":
            futures.append(pykka.ThreadingFuture())
            sent.append(number)
            mailbox.put(Envelope(number, reply_to=futures[-1]))
        else:
            sent.append("end" if step == "end" else number)
            mailbox.post(sent[-1])
        assert len(ready) <= 1
    while ready:
        ready.popleft().run(4)
    assert mailbox.empty()
    expected = sent[: sent.index("end") + 1] if "end" in sent else sent
    assert reader.read == expected
    refused = sum(1 for message in sent[len(expected) :] if message != "end" and steps[message] == "ask")
    assert sum(future._result is not None for future in futures) == refused


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
    mailbox, ready = Mailbox(), deque[Mailbox]()
    mailbox.close("an actor that was ended while it started")
    mailbox.bind(Reader(mailbox), ready.append)
    asked: pykka.ThreadingFuture[Any] = pykka.ThreadingFuture()
    mailbox.put(Envelope("asked", reply_to=asked))
    with pytest.raises(pykka.ActorDeadError):
        asked.get(timeout=0)
    assert not ready
