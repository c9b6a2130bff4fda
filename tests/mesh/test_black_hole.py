"""Judging the end of a link by what the kernel knows, and choosing the size of segments."""

import pytest

from mesh.black_hole import (
    HINTS_WITHIN_S,
    KEEP_S,
    MAX_SEGMENT_BYTES,
    TRANSITIONS,
    Evidence,
    PathFigures,
    SegmentLimit,
    State,
    evidence,
)

TIMEOUT_S = 3.0


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        # As seen in network namespaces with a router that drops packets above 1,300 bytes without a word.
        pytest.param(PathFigures(3, 20, 0.0, 0.22), Evidence.STRONG, id="its own bulk is stuck"),
        pytest.param(PathFigures(3, 14, 0.0, 1.02), Evidence.STRONG, id="its own bulk is stuck, pings come"),
        pytest.param(PathFigures(0, 0, 0.216, 3.012), Evidence.HINT, id="the peer's bulk is stuck"),
        # What else ends a link.
        pytest.param(PathFigures(4, 3, 3.2, 3.1), Evidence.NONE, id="the line is cut"),
        pytest.param(PathFigures(0, 0, 0.3, 0.2), Evidence.NONE, id="the peer has closed it in order"),
        pytest.param(PathFigures(0, 5, 0.0, 0.2), Evidence.NONE, id="the peer has crashed amid a transfer"),
        pytest.param(PathFigures(0, 0, 3.5, 3.5), Evidence.NONE, id="nothing is known"),
        pytest.param(
            PathFigures(1, 5, 0.1, 0.2), Evidence.HINT, id="a long path: one time-out may be chance"
        ),
        pytest.param(None, Evidence.NONE, id="no kernel says anything"),
    ],
)
def test_the_end_of_a_link_says_something_of_its_path(figures, expected):
    assert evidence(figures, TIMEOUT_S) is expected


def test_every_state_has_a_size_and_a_successor_and_sizes_shrink():
    assert TRANSITIONS.keys() == MAX_SEGMENT_BYTES.keys() == set(State)
    sizes = [MAX_SEGMENT_BYTES[state] for state in State]
    assert sizes == [None, 1220, 536]
    for state in State:
        assert TRANSITIONS[TRANSITIONS[state]] is State.LEAST


def test_strong_evidence_counts_at_once_and_again_for_what_is_still_too_large():
    limit = SegmentLimit()
    assert limit.max_segment_bytes(0.0) is None
    assert limit.link_ended(Evidence.STRONG, 1.0)
    assert limit.max_segment_bytes(1.0) == 1220
    assert limit.link_ended(Evidence.STRONG, 2.0)
    assert limit.max_segment_bytes(2.0) == 536
    assert not limit.link_ended(Evidence.STRONG, 3.0), "there is nothing smaller"
    assert limit.max_segment_bytes(3.0) == 536


def test_two_hints_in_a_row_count_as_evidence():
    limit = SegmentLimit()
    assert not limit.link_ended(Evidence.HINT, 10.0)
    assert limit.link_ended(Evidence.HINT, 10.0 + HINTS_WITHIN_S)
    assert limit.state is State.REDUCED
    assert not limit.link_ended(Evidence.HINT, 50.0), "the count begins anew"


@pytest.mark.parametrize("between", [Evidence.NONE, None])
def test_hints_that_are_apart_say_nothing(between):
    limit = SegmentLimit()
    limit.link_ended(Evidence.HINT, 10.0)
    if between is not None:
        limit.link_ended(between, 11.0)
        assert not limit.link_ended(Evidence.HINT, 12.0)
    else:
        assert not limit.link_ended(Evidence.HINT, 10.1 + HINTS_WITHIN_S)
    assert limit.state is State.FULL


def test_after_an_hour_a_new_link_tries_full_packets_again():
    limit = SegmentLimit()
    limit.link_ended(Evidence.STRONG, 100.0)
    assert limit.max_segment_bytes(99.0 + KEEP_S) == 1220
    assert limit.max_segment_bytes(100.0 + KEEP_S) is None
    assert limit.link_ended(Evidence.STRONG, 101.0 + KEEP_S)
    assert limit.max_segment_bytes(102.0 + KEEP_S) == 1220
