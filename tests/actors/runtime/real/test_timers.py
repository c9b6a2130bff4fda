"""Calls to come."""

import gc
import time
import weakref
from math import inf

from actors.runtime.real.timers import MIN_CANCELLED, Timers


class Held:
    """Something to hold."""


def test_they_come_in_the_order_of_their_times_and_never_early():
    timers, called = Timers(), []
    began = time.monotonic()
    for delay_s in (0.03, 0.0, 0.02, 0.0):
        timers.add(delay_s, lambda delay_s: called.append((delay_s, time.monotonic() - began)), (delay_s,))
    while timers.left_s() != inf:
        time.sleep(timers.left_s())
        timers.fire()
    assert [delay_s for delay_s, _ in called] == [0.0, 0.0, 0.02, 0.03]
    assert all(after_s >= delay_s for delay_s, after_s in called)


def test_what_a_call_adds_waits_for_the_next_time():
    timers, called = Timers(), []

    def call() -> None:
        called.append(len(called))
        timers.add(0.0, call, ())

    timers.add(0.0, call, ())
    timers.fire()
    assert called == [0]
    assert timers.left_s() == 0.0
    timers.fire()
    assert called == [0, 1]


def test_one_that_raises_is_not_called_again():
    timers = Timers()
    timers.add(0.0, lambda: 1 // 0, ())
    try:
        timers.fire()
    except ZeroDivisionError:
        assert timers.left_s() == inf
    else:
        raise AssertionError("nothing was raised")


def test_a_cancelled_one_calls_nothing_and_holds_nothing():
    timers, called = Timers(), []
    held = Held()
    gone = weakref.ref(held)
    timer = timers.add(0.0, called.append, (held,))
    timer.cancel()
    timer.cancel()
    del held
    gc.collect()
    assert gone() is None
    timers.fire()
    assert called == []
    assert timers.left_s() == inf


def test_cancelling_after_the_call_is_no_error_and_counts_for_nothing():
    timers, called = Timers(), []
    fired = [timers.add(0.0, called.append, (number,)) for number in range(2 * MIN_CANCELLED)]
    timers.fire()
    later = timers.add(60.0, called.append, ("later",))
    for timer in fired:
        timer.cancel()
    assert 59.0 < timers.left_s() <= 60.0
    later.cancel()


def test_cancelled_ones_do_not_pile_up():
    timers = Timers()
    kept = [timers.add(60.0, print, ()) for _ in range(10)]
    for _ in range(100 * MIN_CANCELLED):
        timers.add(60.0, print, ()).cancel()
    assert len(timers) <= len(kept) + MIN_CANCELLED
    for timer in kept:
        timer.cancel()
    assert len(timers) <= len(kept) + MIN_CANCELLED


def test_a_cancelled_one_wakes_nobody():
    timers = Timers()
    timers.add(0.0, print, ()).cancel()
    later = timers.add(60.0, print, ())
    assert 59.0 < timers.left_s() <= 60.0
    later.cancel()
    assert timers.left_s() == inf
