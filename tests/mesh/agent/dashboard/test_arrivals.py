"""Clients of the HTTP server that come faster than they are served."""

import resource

import pytest

from mesh.agent.dashboard.arrivals import (
    ARRIVALS_BURST,
    ARRIVALS_PER_S,
    MOST_WAITING,
    TAKEN_PER_S,
    TOLD_BURST,
    Arrivals,
    Arrived,
)


class Crowd:
    """What comes to a server, and what becomes of it."""

    def __init__(self, descriptor_limit=resource.RLIM_INFINITY):
        self.arrivals = Arrivals(descriptor_limit)
        self.queue, self.served, self.closed = [], [], []

    def come(self, address, count=1):
        for number in range(count):
            name = f"{address}#{number}"
            client = Client(name, self.closed)
            self.queue.append(Arrived(address, client, lambda name=name: self.served.append(name)))

    def turn(self, now, most=100):
        self.arrivals.take_from(lambda: self.queue.pop(0) if self.queue else None, now)
        self.arrivals.serve(most, now)


class Client:
    def __init__(self, name, closed):
        self.name, self._closed = name, closed

    def close(self):
        self._closed.append(self.name)


def test_whoever_comes_at_a_human_pace_is_served_at_once():
    crowd = Crowd()
    for now in range(1_000):
        crowd.come("a", 5)
        crowd.turn(now / 10)
        assert len(crowd.served) == 5 * (now + 1)
    assert crowd.closed == []
    assert crowd.arrivals.wait_s(100.0) == 0.0


def test_one_of_another_address_is_next_behind_a_crowd_and_of_the_crowd_some_are_turned_away(caplog):
    crowd = Crowd()
    for turn in range(300):
        crowd.come("crowd", 16)
        crowd.turn(turn / 100)
    before = len(crowd.served)
    assert before == pytest.approx(ARRIVALS_BURST + ARRIVALS_PER_S * 3, abs=2)
    assert len(crowd.closed) > 1_000
    assert 1 <= len(caplog.messages) <= TOLD_BURST + 3
    assert "some of crowd are turned away" in caplog.text
    crowd.queue.clear()
    crowd.come("probe")
    crowd.turn(3.015)
    crowd.turn(3.03)
    assert "probe#0" in crowd.served[before : before + 4]


def test_those_of_many_addresses_find_room_by_those_that_have_most():
    crowd = Crowd()
    crowd.come("a", 1_000)
    for turn in range(400):
        crowd.turn(turn / 1_000, most=0)
    crowd.queue.clear()
    assert len(crowd.closed) > 100
    names = [f"address {number}" for number in range(MOST_WAITING // 2 + 10)]
    for name in names:
        crowd.come(name)
    for turn in range(100):
        crowd.turn(2.0 + turn / 100, most=0)
    assert all(each.startswith("a#") for each in crowd.closed)
    for turn in range(300):
        crowd.turn(10.0 + turn / 100)
    assert {f"{name}#0" for name in names} <= set(crowd.served)


@pytest.mark.parametrize(("limit", "kept"), [(64, 4), (1_024, 64), (20_000, MOST_WAITING)])
def test_those_that_wait_take_no_large_part_of_the_descriptors(limit, kept):
    crowd = Crowd(limit)
    for name in ("a", "b"):
        crowd.come(name, 400)
    for turn in range(300):
        crowd.turn(turn / 100, most=0)
    assert 800 - len(crowd.closed) == kept


def test_there_is_something_to_do_as_soon_as_one_may_be_served_though_none_may_be_taken_for_long():
    crowd = Crowd()
    crowd.come("a", int(ARRIVALS_BURST) + 1)
    for turn in range(10):
        crowd.turn(turn / 1_000)
    crowd.arrivals._taken.spend(0.01, 10_000.0)
    assert 0.0 < crowd.arrivals.wait_s(0.01) <= 1 / ARRIVALS_PER_S


def test_the_kernel_keeps_what_comes_faster_than_it_can_be_taken():
    crowd = Crowd()
    crowd.come("a", 10_000)
    for turn in range(1_000):
        if crowd.arrivals.are_heard(turn / 1_000):
            crowd.turn(turn / 1_000)
    assert 10_000 - len(crowd.queue) == pytest.approx(TAKEN_PER_S, rel=0.3)
    assert crowd.arrivals.wait_s(1.0) > 0.0


def test_who_cannot_be_taken_is_looked_at_some_times_a_second():
    crowd = Crowd()
    looks = 0
    for turn in range(10_000):
        if crowd.arrivals.are_heard(turn / 1_000):
            crowd.turn(turn / 1_000)
            looks += 1
    assert 300 < looks < 600


def test_in_the_end_nobody_is_left_waiting():
    crowd = Crowd()
    crowd.come("a", 16)
    crowd.turn(0.0, most=0)
    crowd.arrivals.close()
    assert len(crowd.closed) == 16
    crowd.turn(1.0)
    assert crowd.served == []
