"""References to the environment in values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.config.environment import MAX_NESTING, substitute


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
        ("${C:-${A}}", "one"),
        ("${C:-${D:-x}}", "x"),
        ("${C:-${D:-${E:-deep}}}", "deep"),
        ("${C:-<${A}-${B}>}!", "<one-two>!"),
        ("${A:-${MISSING}}", "one"),
        ("${EMPTY:-${A}}", "one"),
        ("${C:-$${x}", "${x"),
        ("${C:-{x}}", "{x}"),
        ("$A $ $$", "$A $ $$"),
    ],
)
def test_a_reference_is_replaced(text, result):
    assert substitute(text, {"A": "one", "B": "two", "EMPTY": ""}) == result


@pytest.mark.parametrize(
    "text", ["${", "${}", "${A", "${1A}", "${A-b}", "${A:-b", "${A B}", "${C:-${A}", "${A:-${B-x}}"]
)
def test_a_malformed_reference_is_refused(text):
    with pytest.raises(ValueError, match=r"\$\{NAME\} or \$\{NAME:-default\}"):
        substitute(text, {"A": "one"})


def test_a_default_that_is_needed_may_not_be_missing_itself():
    with pytest.raises(ValueError, match="variable MISSING to be set"):
        substitute("${C:-${MISSING}}", {})


def test_nesting_has_an_end():
    depth = MAX_NESTING
    assert substitute("${A:-" * depth + "x" + "}" * depth, {}) == "x"
    for depth in (MAX_NESTING + 1, 100_000):
        with pytest.raises(ValueError, match=f"at most {MAX_NESTING} defaults"):
            substitute("${A:-" * depth + "x" + "}" * depth, {})


def test_a_variable_that_is_not_set_is_named():
    with pytest.raises(ValueError, match="variable MISSING to be set"):
        substitute("${MISSING}", {})


@given(st.text())
def test_what_the_environment_holds_is_not_looked_at_again(value):
    assert substitute("<${A}>", {"A": value}) == f"<{value}>"


@given(st.text().filter(lambda text: "${" not in text))
def test_text_without_a_reference_stays(text):
    assert substitute(text, {}) == text
