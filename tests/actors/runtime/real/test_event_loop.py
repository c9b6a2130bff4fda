"""The loop: who may wake it, and what it survives."""

import os
import threading
import time

import pytest

from actors.runtime.real.event_loop import EventLoop

LIMIT_S = 10.0


@pytest.fixture
def loop():
    made = EventLoop()
    thread = threading.Thread(target=made.run)
    thread.start()
    yield made
    made.stop()
    thread.join(LIMIT_S)
    assert not thread.is_alive()
    made.close()


def test_any_thread_wakes_it_each_time(loop):
    for _ in range(200):
        called = threading.Event()
        loop.call_from_thread(called.set)
        assert called.wait(LIMIT_S)


def test_an_error_is_logged_and_ends_nothing(loop, caplog):
    called = threading.Event()
    loop.call_from_thread(lambda: 1 // 0)
    loop.call_from_thread(called.set)
    assert called.wait(LIMIT_S)
    (record,) = caplog.records
    assert record.getMessage() == "Unhandled exception in the event loop"
    assert record.exc_info[0] is ZeroDivisionError


def test_it_sleeps_until_the_first_timer_and_no_longer(loop):
    done, rounds = threading.Event(), []
    before = time.process_time()
    loop.call_from_thread(lambda: loop.call_later(0.2, done.set))
    rounds.append(done.wait(LIMIT_S))
    assert rounds == [True]
    assert time.process_time() - before < 0.15  # it does not ask again and again


def test_what_comes_after_the_end_is_dropped_and_touches_no_other_file():
    ended = EventLoop()
    ended.stop()
    ended.run()
    ended.close()
    read, write = os.pipe()  # one of them may have the number of what woke the loop
    ended.call_from_thread(pytest.fail)
    ended.stop()
    os.set_blocking(read, False)
    with pytest.raises(BlockingIOError):
        os.read(read, 1)
    os.close(read)
    os.close(write)


def test_a_timer_may_be_years_away(loop, caplog):
    called = threading.Event()
    loop.call_from_thread(lambda: loop.call_later(1e9, print))
    loop.call_from_thread(lambda: loop.call_later(0.01, called.set))
    assert called.wait(LIMIT_S)
    again = threading.Event()
    loop.call_from_thread(again.set)
    assert again.wait(LIMIT_S)
    assert caplog.records == []


def test_a_stop_from_its_own_thread_ends_it_after_the_round(loop):
    called = []
    loop.call_from_thread(lambda: (loop.stop(), called.append(1)))
    for _ in range(1000):
        if called:
            break
        time.sleep(0.01)
    assert called == [1]
