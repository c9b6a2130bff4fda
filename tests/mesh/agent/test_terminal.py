"""Whether the terminal that an agent was started from is still there."""

import errno
import os

import pytest

from mesh.agent.terminal import Terminal


@pytest.fixture
def opening(monkeypatch):
    """What the next openings of the terminal end in: an error's number, or 0."""
    ends = []

    def open_(path, flags):
        if number := ends.pop(0):
            raise OSError(number, os.strerror(number))
        return os.dup(0)

    monkeypatch.setattr("mesh.agent.terminal.os.open", open_)
    return ends


@pytest.mark.parametrize(
    ("first", "then", "is_closed"),
    [
        (0, 0, False),
        (0, errno.ENXIO, True),
        (0, errno.EIO, True),
        (errno.ENXIO, errno.ENXIO, False),
        (0, errno.EMFILE, False),
        (0, errno.ENFILE, False),
    ],
)
def test_it_is_closed_if_it_was_there_and_is_gone_and_not_if_descriptors_are(opening, first, then, is_closed):
    opening += [first, then]
    assert Terminal().is_closed is is_closed
