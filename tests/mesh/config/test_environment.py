"""References to the environment in values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.config.environment import substitute


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain", "plain"),
        ("${A}", "one"),
        ("x${A}y${B}z", "xoneytwoz"),
        ("${C:-three}", "three"),
        ("${A:-three}", "one"),
        ("${EMPTY:-four}", "four"),
        ("${EMPTY}", ""),
        ("${C:-}", ""),
        ("${C:-a:-b}", "a:-b"),
        ("$${A}", "${A}"),
        ("$$${A}", "$${A}"),
        ("$A $ $$", "$A $ $$"),
    ],
)
def test_a_reference_is_replaced(text, result):
    assert substitute(text, {"A": "one", "B": "two", "EMPTY": ""}) == result


@pytest.mark.parametrize("text", ["${", "${}", "${A", "${1A}", "${A-b}", "${A:-b", "${A B}"])
def test_a_malformed_reference_is_refused(text):
    with pytest.raises(ValueError, match=r"\$\{NAME\} or \$\{NAME:-default\}"):
        substitute(text, {"A": "one"})


def test_a_variable_that_is_not_set_is_named():
    with pytest.raises(ValueError, match="variable MISSING to be set"):
        substitute("${MISSING}", {})


@given(st.text())
def test_what_the_environment_holds_is_not_looked_at_again(value):
    assert substitute("<${A}>", {"A": value}) == f"<{value}>"


@given(st.text().filter(lambda text: "${" not in text))
def test_text_without_a_reference_stays(text):
    assert substitute(text, {}) == text
