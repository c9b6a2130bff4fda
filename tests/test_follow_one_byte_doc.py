"""``docs/FOLLOW_ONE_BYTE.md`` names files, functions and messages that exist and lead where it says."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docs" / "FOLLOW_ONE_BYTE.md").read_text(encoding="utf-8")
STEPS = re.findall(
    r"^\| (\d+) \| `([\w/.]+)` \| `([\w.]+)` \| ([^|]+) \| ([^|]+) \|$", TEXT, flags=re.MULTILINE
)


def tree_of(path):
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def find(body, name):
    """The class or function ``name`` among these statements."""
    kinds = (ast.ClassDef, ast.FunctionDef)
    found = [node for node in body if isinstance(node, kinds) and node.name == name]
    assert found, f"there is no {name}"
    return found[0]


def names_in(node):
    """Everything that is called, sent or looked at in a function."""
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute):
            yield each.attr
        elif isinstance(each, ast.Name):
            yield each.id


def test_the_steps_are_numbered_and_none_is_overlooked():
    assert [int(number) for number, *_ in STEPS] == list(range(1, len(STEPS) + 1))
    assert len(STEPS) == len(re.findall(r"^\| \d+ \|", TEXT, flags=re.MULTILINE)) > 40


@pytest.mark.parametrize(("number", "path", "function", "what", "leads_to"), STEPS, ids=[s[0] for s in STEPS])
def test_each_step_is_in_the_code(number, path, function, what, leads_to):
    node = tree_of(path)
    for name in function.split("."):
        node = find(node.body, name)
    assert isinstance(node, ast.FunctionDef)
    named = re.findall(r"`([\w.]+)`", leads_to)
    assert named
    assert what.strip()
    for name in named:
        module, _, last = name.rpartition(".")
        assert last in set(names_in(node)), f"{function} in {path} has no {last}"
        if module:
            find(tree_of(f"actors/messages/{module}.py").body, last)


def test_everything_else_that_the_text_names_exists():
    prose = re.sub(r"^\|.*$", "", TEXT, flags=re.MULTILINE)
    paths = re.findall(r"`((?:actors|mesh|tests)/[\w/.]*)`", prose)
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []
    sources = [
        path.read_text(encoding="utf-8")
        for room in ("actors", "mesh")
        for path in (ROOT / room).rglob("*.py")
    ]
    classes = re.findall(r"`([A-Z]\w+)(?:\.(\w+))?`", prose)
    assert classes
    for name, method in classes:
        defining = [text for text in sources if f"class {name}(" in text or f"class {name}:" in text]
        assert defining, name
        assert not method or any(f"def {method}(" in text for text in defining), f"{name}.{method}"
