"""What is left of a gathered write."""

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from actors.runtime.gather import drop_sent


@given(st.lists(st.binary(min_size=1, max_size=8), max_size=8), st.data())
def test_what_remains_is_what_was_not_sent(pieces, data):
    whole = b"".join(pieces)
    sent = data.draw(st.integers(0, len(whole)))
    buffers = deque(pieces)
    drop_sent(buffers, sent)
    assert b"".join(bytes(piece) for piece in buffers) == whole[sent:]
