"""An agent whose machine's clock is wrong at first waits for it, and says so, but not for anything else."""

import logging
import signal
import sys
from types import SimpleNamespace

import pytest

from mesh.agent import waiting as agent_waiting
from mesh.agent.credentials import CertificateEarlyError
from mesh.agent.dashboard.status import StatusUnavailable
from mesh.agent.files import AgentFileError
from mesh.agent.waiting import LOOK_S, REMIND_S, StoppedWaiting, WaitingStatus, wait_for_credentials
from mesh.config.schema import Config

VALID_AT = 1_800_000_000
CREDENTIALS = object()


class World:
    """A clock, which runs while somebody waits for events, and credentials that it makes valid."""

    def __init__(self, unix_s):
        self.unix_s, self.monotonic_s = unix_s, 50.0
        self.due = {}
        self.looks = 0

    def time(self):
        return self.unix_s

    def monotonic(self):
        return self.monotonic_s

    def get(self, timeout_s):
        """As ``Events.get``."""
        self.unix_s += timeout_s
        self.monotonic_s += timeout_s
        self.looks += 1
        event = self.due.pop(self.looks, TimeoutError())
        if isinstance(event, TimeoutError):
            raise event
        if callable(event):
            event()
            raise TimeoutError
        return event

    def open_credentials(self, config, *, now_unix_s, random_bytes, written):
        assert now_unix_s == self.unix_s
        if now_unix_s < VALID_AT:
            raise CertificateEarlyError(f"a.cert: is not valid yet: {VALID_AT}, {now_unix_s}")
        return CREDENTIALS

    def jump(self):
        self.unix_s = VALID_AT


@pytest.fixture
def world(monkeypatch):
    made = World(7.0)
    monkeypatch.setattr(agent_waiting, "time", SimpleNamespace(time=made.time, monotonic=made.monotonic))
    monkeypatch.setattr(agent_waiting, "open_credentials", made.open_credentials)
    return made


@pytest.fixture
def told(caplog):
    caplog.set_level(logging.INFO, "mesh.agent")
    return lambda: [(record.levelname, record.getMessage()) for record in caplog.records]


def test_with_a_right_clock_there_is_no_waiting(world, told):
    world.unix_s = VALID_AT
    assert wait_for_credentials(Config(), world) is CREDENTIALS
    assert (world.looks, told()) == (0, [])


def test_it_starts_when_the_time_comes(world, told):
    world.unix_s = VALID_AT - 2.5
    assert wait_for_credentials(Config(), world) is CREDENTIALS
    assert world.unix_s < VALID_AT + LOOK_S
    assert [level for level, _ in told()] == ["WARNING", "INFO"]


def test_it_starts_as_soon_as_the_clock_jumps(world, told):
    world.due[3] = world.jump
    assert wait_for_credentials(Config(), world) is CREDENTIALS
    assert world.looks == 3
    assert told() == [
        ("WARNING", f"waiting: a.cert: is not valid yet: {VALID_AT}, 7.0"),
        ("INFO", "the certificate is valid now: starting"),
    ]


def test_it_says_so_again_but_rarely(world, told):
    world.due[2 * REMIND_S / LOOK_S + 1] = world.jump
    wait_for_credentials(Config(), world)
    assert [level for level, _ in told()] == ["WARNING"] * 3 + ["INFO"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_waiting(world, number):
    world.due[2] = number
    with pytest.raises(StoppedWaiting) as caught:
        wait_for_credentials(Config(), world)
    assert (caught.value.signal, world.looks) == (number, 2)


def test_a_dump_does_not(world, monkeypatch):
    dumped = []
    monkeypatch.setattr(agent_waiting, "dump", dumped.append)
    world.due |= {1: signal.SIGUSR1, 2: world.jump}
    assert wait_for_credentials(Config(), world) is CREDENTIALS
    assert dumped == [sys.stderr]


def test_what_time_does_not_mend_ends_it(world, monkeypatch):
    def open_credentials(config, *, now_unix_s, random_bytes, written):
        raise AgentFileError("a.cert: is missing")

    world.due[2] = lambda: monkeypatch.setattr(agent_waiting, "open_credentials", open_credentials)
    with pytest.raises(AgentFileError):
        wait_for_credentials(Config(), world)


def test_who_asks_meanwhile_hears_the_reason():
    status = WaitingStatus()
    status.reason = "waiting: for something"
    with pytest.raises(StatusUnavailable, match="waiting: for something"):
        status.dashboard_snapshot(1.0)
