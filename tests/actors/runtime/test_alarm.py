"""One timer for several deadlines."""

from actors.runtime.alarm import Alarm


class Timers:
    """Stands for an actor's ``schedule``."""

    def __init__(self):
        self.armed = []
        self.cancelled = []

    def schedule(self, delay_s, message):
        timers, number = self, len(self.armed)
        self.armed.append((delay_s, message))

        class Timer:
            def cancel(self):
                timers.cancelled.append(number)

        return Timer()


def test_it_is_armed_for_the_earliest_only():
    timers = Timers()
    alarm = Alarm(timers.schedule, "look")
    alarm.arm(10.0, 4.0)
    alarm.arm(12.0, 4.0)
    alarm.arm(10.0, 5.0)
    assert timers.armed == [(6.0, "look")]
    alarm.arm(8.0, 5.0)
    assert timers.armed == [(6.0, "look"), (3.0, "look")]
    assert timers.cancelled == [0]


def test_what_is_overdue_rings_at_once():
    timers = Timers()
    Alarm(timers.schedule, "look").arm(1.0, 3.0)
    assert timers.armed == [(0.0, "look")]


def test_after_it_rang_it_can_be_armed_for_later():
    timers = Timers()
    alarm = Alarm(timers.schedule, "look")
    alarm.arm(1.0, 0.0)
    alarm.disarm()
    alarm.arm(5.0, 1.0)
    assert timers.armed == [(1.0, "look"), (4.0, "look")]


def test_one_that_is_not_needed_any_more_does_not_ring():
    timers = Timers()
    alarm = Alarm(timers.schedule, "look")
    alarm.disarm()
    alarm.arm(1.0, 0.0)
    alarm.disarm()
    assert timers.cancelled == [0]
    alarm.arm(9.0, 0.5)
    assert timers.armed == [(1.0, "look"), (8.5, "look")]
