import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.remote.join_token import (
    MAX_TOKEN_CHARACTERS,
    TOKEN_PREFIX,
    JoinToken,
    token_from_text,
    token_to_text,
)

TOKEN = JoinToken(
    addresses=("relay.example.com:4433", "[2001:db8::1]:4433"),
    authorities=(bytes(range(32)),),
    seed=bytes(range(100, 132)),
    certificate=bytes(range(200)),
)
TEXT = token_to_text(TOKEN)
TOKENS = st.builds(
    JoinToken,
    addresses=st.lists(st.text(min_size=1, max_size=262), min_size=1, max_size=8).map(tuple),
    authorities=st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=8).map(tuple),
    seed=st.binary(min_size=32, max_size=32),
    certificate=st.binary(max_size=2048),
)


@given(TOKENS)
def test_a_token_is_one_line_that_says_it_all(token: JoinToken):
    text = token_to_text(token)
    assert set(text) <= set(string.ascii_letters + string.digits + "-_")
    if len(text) <= MAX_TOKEN_CHARACTERS:
        assert token_from_text(text) == token


def test_spaces_and_line_breaks_of_a_terminal_do_not_count():
    assert token_from_text(f"  {TEXT[:80]}\r\n{TEXT[80:]}\n") == TOKEN


def test_the_longest_has_room():
    longest = JoinToken(("\U0001f980" * 262,) * 8, (bytes(32),) * 8, bytes(32), bytes(2048))
    assert len(token_to_text(JoinToken(("x" * 262,) * 8, *list_of(longest)[1:]))) <= MAX_TOKEN_CHARACTERS


def list_of(token: JoinToken):
    return [token.addresses, token.authorities, token.seed, token.certificate]


@pytest.mark.parametrize("length", range(len(TOKEN_PREFIX), len(TEXT)))
def test_a_token_that_was_cut_off_is_told_as_such(length: int):
    with pytest.raises(ValueError, match="the token is cut off: copy it again"):
        token_from_text(TEXT[:length])


@given(
    position=st.integers(len(TOKEN_PREFIX) + 4, len(TEXT) - 2),
    character=st.sampled_from(string.ascii_letters + string.digits + "-_+/=.é"),
)
def test_any_other_character_is_told_as_damage(position: int, character: str):
    changed = TEXT[:position] + character + TEXT[position + 1 :]
    if changed != TEXT:
        with pytest.raises(ValueError, match=r"the token is (damaged|cut off): copy it again"):
            token_from_text(changed)


@pytest.mark.parametrize("text", ["", "token", "mesh join", TEXT[1:], "é"])
def test_what_is_no_token_is_told_what_one_begins_with(text: str):
    with pytest.raises(ValueError, match="expected a token, which begins with meshjoin_"):
        token_from_text(text)


@pytest.mark.parametrize("text", [TEXT + "A", TEXT + "AAAA", TEXT * 2, TOKEN_PREFIX + "A" * 9000])
def test_more_than_a_token_is_damaged(text: str):
    with pytest.raises(ValueError, match="the token is damaged"):
        token_from_text(text)


def test_it_shows_no_secret():
    assert repr(TOKEN) == "JoinToken()"


@given(st.text(max_size=300))
def test_any_text_is_a_token_or_told_why_not(text: str):
    with pytest.raises(ValueError, match="token"):
        token_from_text(TOKEN_PREFIX + text)
