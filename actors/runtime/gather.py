"""Gathered writes: what is left of a list of buffers after a partial send."""

from collections import deque


def drop_sent(buffers: deque[bytes | memoryview], sent: int) -> None:
    """Remove the first ``sent`` bytes from ``buffers``; a part of a buffer stays as a view of it."""
    while sent:
        first = buffers[0]
        size = len(first)
        if size > sent:
            buffers[0] = memoryview(first)[sent:]
            return
        sent -= size
        buffers.popleft()
