import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.connection.replay_window import DEFAULT_SIZE, ReplayWindow


class Reference:
    """The definition, with all numbers remembered."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.used: set[int] = set()

    def fresh(self, number: int) -> bool:
        if self.used and number <= max(self.used) - self.size:
            return False
        return number not in self.used


def take(window: ReplayWindow, number: int) -> bool:
    """Whether a number is fresh; it counts as used from now on."""
    fresh = window.fresh(number)
    window.mark(number)
    return fresh


numbers = st.integers(0, 1000) | st.integers(0, 2**64 - 1)


@given(
    size=st.sampled_from([64, 128, 1024]),
    start=st.sampled_from([0, 63, 64, 2**32, 2**64 - 2000]),
    steps=st.lists(st.tuples(st.integers(0, 1500), st.booleans()), max_size=60),
)
def test_it_agrees_with_the_definition(size, start, steps):
    window, reference = ReplayWindow(size), Reference(size)
    for step, marks in steps:
        number = start + step
        assert window.fresh(number) is reference.fresh(number)
        if marks:
            window.mark(number)
            reference.used.add(number)


@given(sequence=st.lists(numbers, max_size=60))
def test_each_number_is_let_through_at_most_once(sequence):
    window, reference = ReplayWindow(64), Reference(64)
    for number in sequence:
        expected = reference.fresh(number)
        assert take(window, number) is expected
        reference.used.add(number)
        assert not window.fresh(number)


@given(sequence=st.lists(numbers, max_size=20), asked=numbers)
def test_asking_changes_nothing(sequence, asked):
    window, unasked = ReplayWindow(64), ReplayWindow(64)
    for number in sequence:
        window.fresh(asked)
        assert take(window, number) is take(unasked, number)


def test_zero_is_a_number_like_any_other():
    window = ReplayWindow()
    assert take(window, 0)
    assert not take(window, 0)


def test_the_edge_of_the_window():
    window = ReplayWindow(64)
    window.mark(100)
    assert window.fresh(37)
    assert not window.fresh(36)


def test_a_leap_forgets_the_ring_not_the_rule():
    window = ReplayWindow(64)
    for number in range(64):
        window.mark(number)
    window.mark(2**64 - 1)
    assert not window.fresh(0)
    assert not window.fresh(2**64 - 1)
    assert window.fresh(2**64 - 2)


def test_the_default_size():
    assert DEFAULT_SIZE == 1024
    window = ReplayWindow()
    window.mark(5000)
    assert window.fresh(5000 - 1023)
    assert not window.fresh(5000 - 1024)


@pytest.mark.parametrize("size", [0, -64, 63, 100])
def test_a_size_that_is_no_multiple_of_a_block_is_refused(size):
    with pytest.raises(ValueError, match="multiple of 64"):
        ReplayWindow(size)
