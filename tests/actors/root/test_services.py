"""What services make of an agent's configuration and of the process that it runs in."""

import resource

import pytest

from actors.root.services import stranger_places


@pytest.mark.parametrize(
    ("limit", "places"),
    [(resource.RLIM_INFINITY, 1024), (1_048_576, 1024), (16_384, 1024), (4096, 256), (1024, 64), (8, 1)],
)
def test_strangers_hold_no_large_part_of_the_descriptors(limit, places):
    assert stranger_places(1024, limit) == places
