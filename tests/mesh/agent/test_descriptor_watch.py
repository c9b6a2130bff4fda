"""Few descriptors are told of before new connections suffer, and that they do is told as what it is."""

import logging
import os
import resource

import pytest

from actors.runtime.descriptors import MOST_SPARE
from mesh.agent import descriptor_watch
from mesh.agent.descriptor_watch import (
    LOOK_S,
    REMIND_S,
    DescriptorReminder,
    DescriptorUse,
    descriptor_use,
)

LIMIT = 10_000
FOR_CONNECTIONS = LIMIT - MOST_SPARE
FEW = FOR_CONNECTIONS - FOR_CONNECTIONS // 5


@pytest.mark.parametrize(
    ("in_use", "lowest_free", "is_scarce", "is_short"),
    [
        (FEW, FEW, False, False),
        (FEW + 1, 20, True, False),
        (FOR_CONNECTIONS + 100, FOR_CONNECTIONS - 1, True, False),
        (FOR_CONNECTIONS, FOR_CONNECTIONS, False, True),
        (LIMIT, LIMIT, False, True),
    ],
)
def test_it_is_a_warning_while_new_connections_are_served_and_then_a_problem(
    in_use, lowest_free, is_scarce, is_short
):
    use = DescriptorUse(in_use, LIMIT, lowest_free)
    told = use.scarcity(), use.shortage()
    assert [line is not None for line in told] == [is_scarce, is_short]
    for line in filter(None, told):
        assert f"{in_use:,} of 10,000" in line
        assert "LimitNOFILE=" in line


def test_without_a_limit_there_are_always_enough():
    use = DescriptorUse(10_000_000, resource.RLIM_INFINITY, 10_000_000)
    assert (use.scarcity(), use.shortage()) == (None, None)


def test_those_of_this_process_are_counted():
    before = descriptor_use()
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(50)]
    after = descriptor_use()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        assert after.in_use == before.in_use + 50
        assert after.limit == soft
        resource.setrlimit(resource.RLIMIT_NOFILE, (after.lowest_free, hard))
        assert descriptor_use() == (after.lowest_free,) * 3, "not even one to count them with"
        assert descriptor_use().shortage()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for each in opened:
            os.close(each)


def test_the_log_is_told_once_an_hour_and_at_once_when_it_gets_worse(monkeypatch):
    reminder, told = DescriptorReminder(), []
    fine, scarce, short = (DescriptorUse(each, LIMIT, each) for each in (10, FEW + 1, LIMIT))
    steps = {0: fine, 60: scarce, 90: fine, 120: scarce, 300: short, 330: scarce, 360: short}
    for now in range(0, int(2 * REMIND_S), int(LOOK_S)):
        use = steps.get(now, descriptor_watch.descriptor_use() if now else fine)
        monkeypatch.setattr(descriptor_watch, "descriptor_use", lambda use=use: use)
        if line := reminder.due(1_000_000.0 + now):
            told.append((now, line[0]))
    assert told == [(60, logging.WARNING), (300, logging.ERROR), (300 + REMIND_S, logging.ERROR)]
