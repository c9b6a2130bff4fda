"""The verdict on a target: the table, walked whole, and a model that counts."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.connection.target_health import TRANSITIONS, Health, HealthMonitor, Outcome

PASSED, FAILED = True, False


def states(monitor, results):
    return [(monitor.observe(passed=passed), monitor.state)[1] for passed in results]


@pytest.mark.parametrize(("state", "outcome"), list(itertools.product(Health, Outcome)))
def test_every_state_knows_every_outcome(state, outcome):
    passed = outcome in (Outcome.PASSED, Outcome.PASSED_ENOUGH)
    is_enough = outcome in (Outcome.PASSED_ENOUGH, Outcome.FAILED_ENOUGH)
    verdict = Health.UP if passed else Health.DOWN
    # The first result decides; after it only one that came often enough in a row does.
    is_first = state in (Health.UNKNOWN, Health.PRESUMED)
    assert TRANSITIONS[state, outcome] is (verdict if is_enough or is_first else state)


def test_the_table_has_nothing_else():
    assert len(TRANSITIONS) == len(Health) * len(Outcome)


@pytest.mark.parametrize(("passed", "verdict"), [(PASSED, Health.UP), (FAILED, Health.DOWN)])
def test_the_first_check_decides_at_once(passed, verdict):
    monitor = HealthMonitor(unhealthy_after=5, healthy_after=5)
    assert monitor.state is Health.UNKNOWN
    assert monitor.observe(passed=passed)
    assert monitor.state is verdict


def test_it_takes_the_thresholds_in_a_row_to_change_the_verdict():
    monitor = HealthMonitor(unhealthy_after=3, healthy_after=2)
    up, down = Health.UP, Health.DOWN
    results = [PASSED, FAILED, FAILED, PASSED, FAILED, FAILED, FAILED, PASSED, FAILED, PASSED, PASSED]
    assert states(monitor, results) == [up, up, up, up, up, up, down, down, down, down, up]


@given(
    unhealthy_after=st.integers(1, 5),
    healthy_after=st.integers(1, 5),
    results=st.lists(st.booleans(), min_size=1),
)
def test_the_verdict_is_that_of_the_last_run_that_was_long_enough(unhealthy_after, healthy_after, results):
    monitor = HealthMonitor(unhealthy_after=unhealthy_after, healthy_after=healthy_after)
    before, changes = Health.UNKNOWN, 0
    for passed in results:
        changed = monitor.observe(passed=passed)
        assert changed is (monitor.state is not before)
        changes += changed
        before = monitor.state
    expected = results[0]
    for passed, run in itertools.groupby(results):
        if len(list(run)) >= (healthy_after if passed else unhealthy_after):
            expected = passed
    assert monitor.state is (Health.UP if expected else Health.DOWN)
    assert changes <= 1 + (len(results) - 1) // min(unhealthy_after, healthy_after)
