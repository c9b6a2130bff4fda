"""A table of named deadlines."""

import enum
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from mesh.deadlines import Deadlines, never


class Due(enum.IntEnum):
    FIRST = 0
    SECOND = 1
    THIRD = 2


def test_nothing_is_waited_for_at_first():
    deadlines = Deadlines(never(Due))
    assert min(deadlines) == inf
    assert not any(deadlines.take(due, 1e9) for due in Due)


def test_what_is_due_is_taken_once():
    deadlines = Deadlines(never(Due))
    deadlines[Due.SECOND] = 2.0
    assert deadlines[Due.SECOND] == 2.0
    assert not deadlines.take(Due.SECOND, 1.99)
    assert deadlines.take(Due.SECOND, 2.0)
    assert not deadlines.take(Due.SECOND, 2.0)
    assert deadlines[Due.SECOND] == inf


def test_each_is_cleared_by_itself_or_all_together():
    deadlines = Deadlines(never(Due))
    for due in Due:
        deadlines[due] = float(due)
    deadlines[Due.FIRST] = inf
    assert min(deadlines) == 1.0
    deadlines.clear_all()
    assert min(deadlines) == inf


@given(st.lists(st.tuples(st.sampled_from(Due), st.floats(0, 100))))
def test_the_earliest_is_that_of_the_last_word_on_each(changes):
    deadlines = Deadlines(never(Due))
    expected = {}
    for due, at in changes:
        deadlines[due] = expected[due] = at
    assert min(deadlines) == min(expected.values(), default=inf)
    assert all(deadlines[due] == expected.get(due, inf) for due in Due)
