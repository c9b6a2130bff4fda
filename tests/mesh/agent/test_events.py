"""What wakes the main thread: every signal, whichever thread the kernel hands it to, and other threads."""

import os
import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from mesh.agent.events import Event, Events

PAUSE_S = 0.1
"""For the main thread to fall asleep; where it has not, the test proves less and fails for nothing."""
LIMIT_S = 10.0


def close(events: Events) -> None:
    """Give back the pipe, which an agent leaves to its process's end."""
    os.close(events._wake_up)
    os.close(events._write)


@pytest.fixture
def events() -> Iterator[Events]:
    hang_up = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # tests may run under nohup
    events = Events()
    with events.signals():
        yield events
    close(events)
    signal.signal(signal.SIGHUP, hang_up)


def next_event(events: Events, then: Callable[[], object]) -> Event:
    """What wakes the main thread after ``then`` has run in another; ``TimeoutError`` where nothing does."""
    rescue = threading.Timer(LIMIT_S, events.put, [TimeoutError()])
    other = threading.Timer(PAUSE_S, then)
    for thread in (rescue, other):
        thread.start()
    event = events.get()
    rescue.cancel()
    for thread in (rescue, other):
        thread.join()
    return event


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_wakes_the_main_thread(events, number):
    assert next_event(events, lambda: os.kill(os.getpid(), number)) is number


def test_a_signal_that_another_thread_gets_wakes_the_main_thread_too(events):
    def receive() -> None:
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

    assert next_event(events, receive) is signal.SIGTERM


def test_a_signal_that_came_before_is_not_lost(events):
    signal.raise_signal(signal.SIGTERM)
    assert next_event(events, lambda: None) is signal.SIGTERM


def test_other_threads_are_heard_in_order(events):
    error = ValueError("fatal")
    assert next_event(events, lambda: (events.put(error), events.put(None))) is error
    assert events.get() is None


def test_more_than_a_pipe_holds_is_no_trouble(events):
    for _ in range(100_000):
        events.put(None)
    assert [events.get() for _ in range(100_000)] == [None] * 100_000
    assert next_event(events, lambda: events.put(None)) is None


@pytest.mark.parametrize("timeout_s", [0.0, 0.001, -1.0])
def test_who_waits_for_a_time_only_hears_that_it_is_over(events, timeout_s):
    with pytest.raises(TimeoutError):
        events.get(timeout_s)
    events.put(None)
    assert events.get(timeout_s) is None
    signal.raise_signal(signal.SIGTERM)
    assert events.get(LIMIT_S) is signal.SIGTERM
    with pytest.raises(TimeoutError):  # what is left in the pipe is no event
        events.get(timeout_s)


def test_under_nohup_sighup_means_nothing():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    events = Events()
    try:
        with events.signals():
            signal.raise_signal(signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            events.put(None)
            assert events.get() is None
    finally:
        signal.signal(signal.SIGHUP, before)
        close(events)


def test_leaves_signals_as_they_were():
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)]
    events = Events()
    with events.signals():
        pass
    close(events)
    assert signal.set_wakeup_fd(-1) == -1
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)] == before
