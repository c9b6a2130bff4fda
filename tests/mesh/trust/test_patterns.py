import itertools
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.trust.patterns import MAX_STEPS, Comparison, matches

WORDS = ["".join(word) for length in range(7) for word in itertools.product("abz", repeat=length)]
"""``z`` stands for all that the patterns below do not name; they tell apart words of this length."""


def words_of(pattern: str) -> set[str]:
    expression = re.compile("".join({"*": ".*", "?": "."}.get(each, each) for each in pattern))
    return {word for word in WORDS if expression.fullmatch(word)}


PATTERNS = st.text("ab*?", min_size=1, max_size=4)


@given(PATTERNS, PATTERNS)
def test_a_pattern_is_within_another_exactly_if_all_its_words_are(narrow: str, wide: str):
    assert Comparison().is_within(narrow, wide) == (words_of(narrow) <= words_of(wide))


@given(st.text("ab*?", max_size=12), st.text("ab*?", max_size=12), st.data())
def test_what_is_within_matches_whatever_the_length(narrow: str, wide: str, data: st.DataObject):
    if Comparison().is_within(narrow, wide):
        text = "".join(
            data.draw(st.text("abz", max_size=4) if each == "*" else st.sampled_from("abz"))
            if each in "*?"
            else each
            for each in narrow
        )
        assert matches(text, wide)


@pytest.mark.parametrize(
    ("narrow", "wide", "expected"),
    [
        ("db-*", "*", True),
        ("*", "db-*", False),
        ("db-main", "db-*", True),
        ("db-1?", "db-*", True),
        ("db-*-ro", "db-*", True),
        ("db*", "db-*", False),
        ("*?", "?*", True),
        ("?*", "*?", True),
        ("**", "*", True),
        ("*a", "?*", True),
        ("*", "?*", False),
        ("a*b", "a*b*", True),
        ("a*b*", "a*b", False),
        ("caf\u00e9-*", unicodedata.normalize("NFD", "caf\u00e9-*"), True),
        ("x-caf\u00e9?", unicodedata.normalize("NFD", "*-caf\u00e9?"), True),
        ("[ab]*", "a*", False),
    ],
)
def test_examples(narrow: str, wide: str, expected: bool):
    assert Comparison().is_within(narrow, wide) is expected


def test_what_is_made_to_be_hard_is_not_certain_and_ends_in_time():
    comparison = Comparison()
    assert not comparison.is_within("a*" * 120, "?" * 60 + "*" + "?" * 60)  # though it is
    assert comparison._left == 0
    assert not Comparison(steps=3).is_within("a?b?c", "a?b?*c")
    assert Comparison(MAX_STEPS).is_within("a?b?c", "a?b?*c")
