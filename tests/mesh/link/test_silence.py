import pytest

from mesh.link.silence import TIMER_SLACK_S, Pulse, next_ping_s, ping_period_s


def test_a_peer_that_speaks_is_pinged_three_times_within_its_timeout():
    assert ping_period_s(3.0) == 1.0
    assert next_ping_s(3.0, 0.0) == 1.0
    assert next_ping_s(3.0, 2.0) == 1.0


@pytest.mark.parametrize("silence_s", [2.1, 2.5, 2.999])
def test_a_silent_peer_is_judged_just_after_its_time_is_up(silence_s):
    assert silence_s + next_ping_s(3.0, silence_s) == pytest.approx(3.0 + TIMER_SLACK_S)


@pytest.mark.parametrize("silence_s", [3.0, 50.0])
def test_silence_that_was_this_agents_own_gives_the_peer_a_period(silence_s):
    assert next_ping_s(3.0, silence_s) == 1.0


def test_only_the_first_answer_to_the_newest_ping_is_a_measurement():
    pulse = Pulse(3.0, 100.0)
    assert pulse.round_trip_s(0, 100.0) is None  # nothing has been asked
    first, _ = pulse.ping(100.0, 100.0, within_s=60.0)
    second, _ = pulse.ping(101.0, 101.0, within_s=60.0)
    assert pulse.round_trip_s(first, 101.1) is None
    assert pulse.round_trip_s(second + 1, 101.1) is None
    assert pulse.round_trip_s(second, 101.25) == 0.25
    assert pulse.round_trip_s(second, 101.5) is None


def test_a_peer_is_dead_when_it_says_or_takes_nothing_for_the_timeout():
    pulse = Pulse(3.0, 100.0)
    assert pulse.cause_of_death(102.9, 102.9) == ""
    assert pulse.cause_of_death(103.0, 103.0) == "silent for 3.0 s"
    pulse.heard_at = 102.0
    assert pulse.cause_of_death(103.5, 103.5) == ""
    assert pulse.cause_of_death(103.5, 100.5) == "the peer has taken nothing for 3.0 s"
    pulse.begin(104.0)
    assert pulse.cause_of_death(106.9, 106.9) == ""


def test_a_timer_that_is_late_by_more_than_a_period_says_that_this_process_stood_still():
    pulse = Pulse(3.0, 100.0)
    _, wait_s = pulse.ping(100.0, 100.0, within_s=60.0)
    assert wait_s == 1.0
    assert not pulse.is_late(102.0)
    assert pulse.is_late(102.1)


@pytest.mark.parametrize(
    ("within_s", "wait_s"), [(0.0, TIMER_SLACK_S), (0.5, 0.5 + TIMER_SLACK_S), (5.0, 1.0)]
)
def test_a_peer_is_judged_when_something_else_about_it_is_due(within_s, wait_s):
    pulse = Pulse(3.0, 100.0)
    assert pulse.ping(100.0, 100.0, within_s=within_s)[1] == pytest.approx(wait_s)
    assert not pulse.is_late(100.0 + wait_s + 0.9)
