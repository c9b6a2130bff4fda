"""One spelling for what looks the same, and nothing in a key that cannot be seen."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.routing_keys import MAX_KEY_BYTES, free_key, normal_key

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


def test_both_spellings_are_one_key():
    assert COMPOSED != DECOMPOSED
    assert normal_key(DECOMPOSED) == normal_key(COMPOSED) == COMPOSED


@pytest.mark.parametrize(
    "key", ["my-api", "db.main:5432", "a/b", "1.10", "a$", "5$-shop", "k" * MAX_KEY_BYTES]
)
def test_what_is_plain_stays_as_it_is(key):
    assert normal_key(key) == key


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "of 1 to 255 bytes"),
        ("\u201cmy-api\u201d", r"without quotation marks: \u201c \(U\+201C\) would be a part of it"),
        ('"my-api"', r"without quotation marks: \" \(U\+0022\)"),
        ("'my-api'", "without quotation marks"),
        ("`my-api`", "without quotation marks"),
        ("\u00abmy-api\u00bb", "without quotation marks"),
        (" my-api", "without a space at either end"),
        ("my-api\n", "without a space at either end"),
        ("my api", r"without spaces, not one with U\+0020; join words by - or \."),
        ("my\u00a0api", r"without spaces, not one with U\+00A0"),
        ("my\u200bapi", r"can be seen, not one with U\+200B"),
        ("\ufeffmy-api", r"can be seen, not one with U\+FEFF"),
        ("my-api\u3164", r"can be seen, not one with U\+3164"),
        ("my-api\ufe0f", r"can be seen, not one with U\+FE0F"),
        ("my\x00api", r"can be seen, not one with U\+0000"),
        ("$SERVICE", r"\$\{SERVICE\} for the environment variable SERVICE; \$SERVICE stands for itself"),
        ("${SERVICE}", "a variable's value"),
        ("{{service}}", "a variable's value"),
        ("k" * 256, "of 1 to 255 bytes, not of 256"),
        ("\u00e9" * 128, "of 1 to 255 bytes, not of 256"),
        ("x\ud800", r"can be seen, not one with U\+D800"),
    ],
)
def test_what_would_match_nothing_is_refused_with_the_reason(text, says):
    with pytest.raises(ValueError, match=says):
        normal_key(text)


def test_the_length_is_that_of_the_normal_form():
    assert len(DECOMPOSED.encode()) > len(COMPOSED.encode())
    assert normal_key("e\u0301" * 127) == "\u00e9" * 127


@given(st.text(max_size=20))
def test_a_key_is_its_own_normal_form(text):
    try:
        key = normal_key(text)
    except ValueError:
        return
    assert normal_key(key) == key
    assert unicodedata.is_normalized("NFC", key)
    assert key.isprintable()


@pytest.mark.parametrize("key", ["mesh:echo", "mesh:", "mesh:control"])
def test_a_reserved_key_is_no_services(key):
    assert normal_key(key) == key
    with pytest.raises(ValueError, match="mesh:, which is reserved"):
        free_key(key)


def test_a_key_that_only_looks_reserved_is_free():
    assert free_key("mesh-api") == "mesh-api"
