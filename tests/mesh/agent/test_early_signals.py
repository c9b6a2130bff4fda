"""Signals that come while an agent starts: they are heard, and none ends it that asks for something else."""

import os
import signal

import pytest

from mesh.agent.early_signals import FIRST_PROCESS, hold_signals
from mesh.agent.events import Events


@pytest.fixture
def events():
    """Not yet open; tests may run under nohup, and leave the mask as it was."""
    hang_up = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    events = Events()
    yield events
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    signal.signal(signal.SIGHUP, hang_up)
    os.close(events._wake_up)
    os.close(events._write)


def test_a_reload_that_is_asked_for_at_once_ends_nobody_and_is_heard(events):
    hold_signals()
    signal.raise_signal(signal.SIGHUP)  # to this thread: a test's process has others, which hold nothing back
    with events.signals():
        assert events.get(1.0) is signal.SIGHUP


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_process_of_a_container_hears_that_it_is_to_end(events, monkeypatch, number):
    """The kernel would throw it away: such a process gets only what it handles, or holds back."""
    monkeypatch.setattr(os, "getpid", lambda: FIRST_PROCESS)
    hold_signals()
    signal.raise_signal(number)
    with events.signals():
        assert events.get(1.0) is number


def test_any_other_is_ended_at_once(events):
    hold_signals()
    held = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert signal.SIGHUP in held
    assert not held & {signal.SIGTERM, signal.SIGINT}
    with events.signals():
        assert signal.SIGHUP not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
