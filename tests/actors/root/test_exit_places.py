"""How many connections to targets the descriptors of a process allow."""

import resource
import sys

import pytest

from actors.root.build import exit_places


@pytest.mark.parametrize(
    ("limit", "places"),
    [(1, 1), (256, 160), (1024, 736), (65_536, 64_864), (resource.RLIM_INFINITY, sys.maxsize)],
)
def test_what_is_kept_for_others_is_no_place(limit, places):
    assert exit_places(limit) == places
