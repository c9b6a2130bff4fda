"""Programs that are interrupted while they start others."""

import os
import signal
import subprocess
import sys

import pytest

from scripts.benchmark.processes import descendants
from scripts.interrupts import held_interrupts, one_interrupt
from scripts.lab import processes


def test_held_interrupts_come_at_the_end_and_once():
    steps = []

    def interrupted_twice():
        with one_interrupt(), held_interrupts() as came:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)
            steps.append(list(came))

    with pytest.raises(KeyboardInterrupt):
        interrupted_twice()
    assert steps == [[signal.SIGTERM, signal.SIGTERM]]


def test_an_interrupt_that_is_lost_in_a_destructor_can_be_seen_and_is_not_printed(monkeypatch):
    class Ending:
        def __init__(self, error=None):
            self.error = error

        def __del__(self):
            if self.error is not None:
                raise self.error
            signal.raise_signal(signal.SIGTERM)

    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: told.append(unraisable.exc_type))
    with one_interrupt() as interrupted:
        assert not interrupted.is_set()
        Ending()
        assert interrupted.is_set()
        assert told == []
        Ending(OSError())
        assert told == [OSError]


def test_nothing_is_held_when_nothing_comes():
    former = signal.getsignal(signal.SIGTERM)
    with held_interrupts() as came:
        assert came == []
    assert signal.getsignal(signal.SIGTERM) is former


def test_a_program_that_is_started_as_an_interrupt_comes_is_ended(tmp_path, monkeypatch):
    start = subprocess.Popen

    def interrupted(*arguments, **options):
        child = start(*arguments, **options)
        os.kill(os.getpid(), signal.SIGTERM)
        return child

    monkeypatch.setattr(processes.subprocess, "Popen", interrupted)
    before = descendants(os.getpid())
    with pytest.raises(KeyboardInterrupt), one_interrupt():
        processes.Process([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "log")
    assert descendants(os.getpid()) == before
