"""Hostile and broken files: each ends in one clear line, none costs much."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from yaml.nodes import Node

from mesh.config.document import MAX_DEPTH, MAX_FILE_BYTES, parse_document
from mesh.config.problems import ConfigError

ROOT = Path(__file__).resolve().parents[3]

BILLION_LAUGHS = b"a: &a [x, x]\n" + b"".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n".encode()
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)

CASES = [
    (b"", 0, "an empty file"),
    (b"# only a comment\n", 0, "an empty file"),
    (b"---\n", 2, "nothing"),
    (b"\n- a\n", 2, "a list"),
    (b"text", 1, "a single value"),
    (b"a: 1\n\tb: 2\n", 2, "spaces, never with tabs"),
    (b"a:\n\t- b\n", 2, "spaces, never with tabs"),
    (b"a: 1\n\xff\n", 2, "the byte 0xff, which is not UTF-8"),
    ("a: ä".encode("utf-16"), 0, "a file in UTF-16"),
    (b"a: 1\nb: \x01\n", 2, "the control character U+0001"),
    (b"a: 1\nb: \x00\n", 2, "the control character U+0000"),
    (b"a: [1\n", 2, "invalid YAML"),
    (b'b: 1\na: "x\n\n', 2, "a quotation mark without a second one"),
    (b'a: "x\nb: "y"\n', 1, "a quotation mark whose second one is on line 2"),
    (b"a: 'x\n\nb: 'y'\n", 1, "a quotation mark whose second one is on line 3"),
    (b'a:\n  - b: "x\n    c: "y"\n', 2, "a quotation mark whose second one is on line 3"),
    (b'a: "x":80\n', 1, "around a whole value"),
    (b"a: x\t\nb: [\n", 1, "a tab behind the value"),
    (b'a: "x"\ty\n', 1, "a tab behind the value"),
    (b"a:\n  b:1\n  c: 2\n", 3, "a colon needs a space after it (line 2)"),
    (b"a:\n  -b: 1\n   c: 2\n", 3, "a dash needs a space after it (line 2)"),
    (b"a: {b: [{c: 1}\nd: 2\n", 2, "opened on line 1 is not closed"),
    (b"[agent]\nname = 1\n", 2, "INI or TOML"),
    (b"agent.name = x\n", 1, "write name: value"),
    (b"a: [::1]:80\n", 1, "needs quotes"),
    (b"a: b: c\n", 1, "needs quotes"),
    (b"- @x\n", 1, "needs quotes"),
    (b"a:\n  - %x\n", 2, "needs quotes"),
    (b"a: 1\n  b: 2\n", 2, "begin in the same column"),
    (b"a:\n  b: 1\n c: 2\n", 3, "begin in the same column"),
    (b"a:\n  - b: c:1\n   d: e\n", 3, "begin in the same column"),
    (b"a: 1\n- b\n", 2, "begin in the same column"),
    (b"a: 1\n---\nb: 2\n", 2, "a second YAML document"),
    (b"a: &x [*x]\n", 1, "an alias"),
    (BILLION_LAUGHS, 2, "an alias"),
    (b"a: 1\nb: !!python/object/apply:os.system [true]\n", 2, "the YAML tag"),
    (b"a: !!str 1\n", 1, "the YAML tag"),
    (b"!x {a: 1}\n", 1, "the YAML tag"),
    (b"a: " + b"[" * 100_000, 1, "deeper nesting"),
    (b"a: " + b"{a: " * 100_000, 1, "deeper nesting"),
    (b"#" * (MAX_FILE_BYTES + 1), 0, "more than 4194304 bytes"),
]


@pytest.mark.parametrize(("data", "line", "text"), CASES, ids=[text for _, _, text in CASES])
def test_a_broken_file_is_one_problem_with_its_line(data, line, text):
    with pytest.raises(ConfigError) as caught:
        parse_document(data, "file.yaml")
    (problem,) = caught.value.problems
    assert problem.line == line
    assert text in str(problem)
    assert str(problem).startswith(f"file.yaml:{line}: " if line else "file.yaml: ")
    assert str(problem).isprintable()


@pytest.mark.parametrize("text", ["a: 1\n  b: 2\n", "a: 1\n- b\n", 'a: "x\n', "a: [1\n", 'a: "x" y\n'])
def test_quotes_are_not_advised_where_they_would_not_help(text):
    with pytest.raises(ConfigError) as caught:
        parse_document(text.encode(), "file.yaml")
    assert "needs quotes" not in str(caught.value)


def test_a_byte_order_mark_and_windows_line_ends_are_fine():
    node = parse_document(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n", "file.yaml")
    assert [(key.value, value.value) for key, value in node.value] == [("a", "1"), ("b", "2")]


def test_the_deepest_nesting_that_is_allowed():
    data = b"a: " + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1)
    assert parse_document(data, "file.yaml").value
    with pytest.raises(ConfigError, match="deeper nesting"):
        parse_document(b"a: " + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, "file.yaml")


@given(st.binary(max_size=200) | st.text(alphabet="a:-[]{}&*!|>'\"#%@` \n\t", max_size=60).map(str.encode))
@example(data=b"{\n")
@example(data=b"[\n\n")
def test_no_file_does_worse_than_a_config_error(data):
    error = None
    try:
        parse_document(data, "file.yaml")
    except ConfigError as caught:
        error = caught
    if error is not None:
        assert len(error.problems) == 1
        assert str(error).isprintable()


def shape(node: Node) -> Any:
    """All that is used of a node and those below."""
    content = node.value
    if isinstance(content, list):
        content = [shape(part) if isinstance(part, Node) else tuple(map(shape, part)) for part in content]
    is_flow = bool(getattr(node, "flow_style", None))  # of blocks one parser says None, one False
    return (type(node).__name__, node.tag, node.start_mark.line, is_flow, content)


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML was built without libyaml")
@pytest.mark.parametrize(
    "text",
    [
        *(path.read_text(encoding="utf-8") for path in sorted((ROOT / "config").glob("*.yaml"))),
        "a: 1\nb: '1'\nc: \"x\\ty\"\nd: yes\ne: ~\nf:\n",
        "a: [1, {b: c}, 'x: y', [],\n  {}]\n\n\n# end\nb: - x\n".replace("b: - x", "b:\n- x\n-\n- - y"),
        "? a\n: b\n? [c]\n: d\n",
        "---\na: text that goes\n  on here # not there\nb: x#y\n...\n",
        "a: 010\nb: 0x1F\nc: 1e3\nd: 1:30\ne: 2026-01-01\nf: .inf\ng: 1_000\nh: \u00e9\U0001f600\n",
    ],
)
def test_both_parsers_make_the_same_of_a_file(text: str, monkeypatch: pytest.MonkeyPatch):
    fast = shape(parse_document(text.encode(), "f"))
    monkeypatch.setattr(yaml, "__with_libyaml__", False)
    assert shape(parse_document(text.encode(), "f")) == fast
