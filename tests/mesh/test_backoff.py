"""Backoff: exponential, capped, jittered, exact for a given draw."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.backoff import retry_delay_s

FIRST_S, CAP_S = 0.25, 5.0


def delay_s(attempt, draw):
    return retry_delay_s(attempt, draw, first_s=FIRST_S, cap_s=CAP_S)


@pytest.mark.parametrize(("attempt", "span_s"), [(0, 0.25), (1, 0.5), (2, 1.0), (6, 5.0), (1000, 5.0)])
def test_spans_double_up_to_the_cap(attempt, span_s):
    assert delay_s(attempt, 0.0) == pytest.approx(span_s * 0.1)
    assert delay_s(attempt, 0.5) == pytest.approx(span_s * 0.55)


@given(attempt=st.integers(0, 10_000), draw=st.floats(0, 1, exclude_max=True))
def test_a_delay_is_never_a_busy_loop_and_never_beyond_the_cap(attempt, draw):
    assert FIRST_S * 0.1 <= delay_s(attempt, draw) <= CAP_S


def test_a_negative_attempt_is_a_bug():
    with pytest.raises(ValueError, match="must not be negative, found -1"):
        delay_s(-1, 0.5)
