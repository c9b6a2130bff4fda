import itertools
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.trust import patterns as patterns_module
from mesh.trust.patterns import FEW, MAX_STEPS, Comparison, granting, grants, matches

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


ODD = "ab*?[]\\|()^$.\n" + "e\u0301\u00e9"


@given(st.lists(st.text(ODD, min_size=1, max_size=4), max_size=3 * FEW).map(tuple), st.text(ODD, max_size=5))
def test_a_list_grants_what_one_of_its_patterns_does_however_many_there_are(
    patterns: tuple[str, ...], key: str
):
    assert grants(patterns, key) == any(matches(key, each) for each in patterns)
    assert granting(patterns, key) == next((each for each in patterns if matches(key, each)), "")


def test_hundreds_of_patterns_are_not_tried_one_by_one_for_each_key(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(patterns_module, "matches", None)
    patterns = tuple(f"db-{number}-?" for number in range(400))
    assert grants(patterns, "db-399-x")
    assert not grants(patterns, "db-400-x")
