"""The loop: who may wake it, and what it survives."""

import errno
import os
import threading
from types import SimpleNamespace

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


@pytest.mark.interpreted
def test_it_sleeps_until_the_first_timer(loop):
    done = threading.Event()
    rounds = []

    def watch() -> None:
        wait = loop.poller.wait

        def counted(timeout_s: float) -> list[tuple[int, int]]:
            rounds.append(timeout_s)
            return wait(timeout_s)

        loop.poller = SimpleNamespace(wait=counted, tell=loop.poller.tell, close=loop.poller.close)
        loop.call_later(0.2, done.set)

    loop.call_from_thread(watch)
    assert done.wait(LIMIT_S)
    assert [timeout_s for timeout_s in rounds if 0 < timeout_s <= 0.2] == rounds[:1]


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


def test_a_stop_from_its_own_thread_ends_it_after_the_round():
    ending, called = EventLoop(), []
    ending.call_from_thread(ending.stop)
    ending.call_from_thread(called.append, "in the same round")
    thread = threading.Thread(target=ending.run)
    thread.start()
    thread.join(LIMIT_S)
    assert not thread.is_alive()
    ending.close()
    assert called == ["in the same round"]


def test_what_was_told_before_the_stop_is_done():
    ending, called = EventLoop(), []
    ending.call_from_thread(called.append, "before")
    ending.stop()
    ending.run()
    ending.close()
    assert called == ["before"]


@pytest.mark.interpreted
def test_a_kernel_that_says_nothing_ends_it():
    class BrokenPoller:
        """As of a descriptor that something else has closed."""

        def wait(self, timeout_s: float) -> list[tuple[int, int]]:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    broken = EventLoop()
    whole, broken.poller = broken.poller, BrokenPoller()
    with pytest.raises(OSError, match="Bad file descriptor"):
        broken.run()
    broken.poller = whole
    broken.close()
