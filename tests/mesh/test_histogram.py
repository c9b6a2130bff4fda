"""Which range an observation falls into."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.histogram import OPENING_BOUNDS_S, ROUND_TRIP_BOUNDS_S, Histogram


@pytest.mark.parametrize("bounds", [OPENING_BOUNDS_S, ROUND_TRIP_BOUNDS_S])
def test_bounds_rise(bounds: tuple[float, ...]):
    assert list(bounds) == sorted(set(bounds))


@given(st.lists(st.floats(0.0, 100.0)))
def test_as_many_are_within_a_bound_as_are_not_above_it(values: list[float]):
    histogram = Histogram(OPENING_BOUNDS_S)
    for value in values:
        histogram.observe(value)
    for place, bound in enumerate(OPENING_BOUNDS_S):
        assert sum(histogram.counts[: place + 1]) == sum(value <= bound for value in values)
    assert sum(histogram.counts) == len(values)
    assert histogram.total == pytest.approx(sum(values))
