"""The first of a table of deadlines."""

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from mesh.earliest import earliest


@given(st.lists(st.floats(0, 100) | st.just(inf)))
def test_it_is_the_least_and_never_where_there_is_none(deadlines):
    assert earliest(deadlines) == min(deadlines, default=inf)
