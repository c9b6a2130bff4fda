"""Text of others on one line, with nothing in it that cannot be seen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.escaping import MAX_MESSAGE_CHARACTERS, can_be_seen, escaped

UNSEEN = (
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180f\u2800\u3164\ufe00\ufe0f\uffa0\U000e0100\U000e01ef\U0001d159"
)


@pytest.mark.parametrize("character", [*UNSEEN, "\x1b", "\x9b", "\n", "\u202e", "\u200b", "\ud800", "\u2028"])
def test_what_shows_nothing_or_steers_a_terminal_is_escaped(character):
    assert not can_be_seen(f"hq{character}")
    assert escaped(f"hq{character}") == f"hq{character.encode('unicode_escape').decode()}"


@pytest.mark.parametrize(
    "text", ["", "hq", "Ann's laptop", "caf\u00e9", "\u0645\u0643\u062a\u0628", "\uc11c\uc6b8"]
)
def test_what_can_be_seen_stays(text):
    assert can_be_seen(text)
    assert escaped(text) == text


@given(st.text(max_size=50))
def test_what_is_escaped_can_be_seen(text):
    assert can_be_seen(escaped(text))


def test_a_long_text_is_cut_and_says_so():
    assert escaped("x" * (MAX_MESSAGE_CHARACTERS + 5)).endswith("x... (5 characters more)")
