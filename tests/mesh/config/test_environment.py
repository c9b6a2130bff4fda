"""References to the environment in values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.config import ConfigError
from mesh.config.environment import MAX_NESTING, substitute
from tests.mesh.config.test_loading import parse


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


SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("forward: {listeners: [{key: '${V}', address: ':1'}]}", {"V": f"{SECRET} x"}),
        ("forward: {listeners: [{key: k, address: '${V}'}]}", {"V": SECRET}),
        ("forward: {listeners: [{key: k, address: '${V}:1'}]}", {"V": f"{SECRET}.example"}),
        ("forward: {endpoints: [{key: k, target: '${V}:1'}]}", {"V": f"{SECRET}..x"}),
        ("forward: {endpoints: [{key: k, target: '${V}'}]}", {"V": f"{SECRET}:x"}),
        ("forward: {endpoints: [{key: k, target: '[${V}]:1'}]}", {"V": SECRET}),
        ("agent: {name: '${V}'}", {"V": f"{SECRET}\n"}),
        ("agent: {data_dir: '${V}'}", {"V": f"~{SECRET}"}),
        ("agent: {data_dir: '${V}'}", {"V": f"${SECRET}"}),
        ("logging: {level: '${V}'}", {"V": SECRET}),
        ("trust: {authorities: ['${V}'], certificate: c}", {"V": SECRET}),
        ("connections: {timeout: '${V}'}", {"V": f"{SECRET} sec"}),
        ("limits: {stream_buffer: '${V}'}", {"V": f"{SECRET}KB"}),
        ("limits: {pending_opens: '${V}'}", {"V": SECRET}),
        ("agent: {name: '${V}'}", {"V": SECRET * 1000}),
    ],
)
def test_no_problem_shows_what_the_environment_holds(text: str, variables: dict[str, str]):
    with pytest.raises(ConfigError) as caught:
        parse(text, **variables)
    assert SECRET not in str(caught.value)
    assert "${V}" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "forward: {listeners: [{key: k, address: '127.7.7.7:${V}'}, {key: l, address: '127.7.7.7:${V}'}]}",
        "forward: {listeners: [{key: k, address: ':${V}'}], endpoints: [{key: k, target: 'localhost:${V}'}]}",
        "routing: {route_ttl: '${V}', advertise_interval: '${V}'}",
    ],
)
def test_nor_do_the_rules_over_several_values(text: str):
    with pytest.raises(ConfigError) as caught:
        parse(text, V="7654")
    assert "7654" not in str(caught.value)
    assert "${V}" in str(caught.value)
