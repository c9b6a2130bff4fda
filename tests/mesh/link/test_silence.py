import pytest

from mesh.link.silence import TIMER_SLACK_S, next_ping_s, ping_period_s


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
