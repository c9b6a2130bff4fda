"""docs/SECURITY.md names tests: each must exist, and each file of tests/security must be named."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOC = (ROOT / "docs" / "SECURITY.md").read_text()
NAMED = sorted(set(re.findall(r"`((?:tests/)[\w/]+\.py)(?:::(\w+))?`", DOC)))


def names_in(file):
    tree = ast.parse((ROOT / file).read_text())
    return {
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name[:5] == "test_"
    }


@pytest.mark.parametrize(("file", "name"), NAMED, ids=lambda part: part.rpartition("/")[2])
def test_each_test_that_is_named_exists(file, name):
    assert (ROOT / file).is_file()
    assert not name or name in names_in(file)


def test_every_attack_that_is_tried_is_named():
    files = {f"tests/security/{file.name}" for file in (ROOT / "tests" / "security").glob("test_*.py")}
    tried = {(file, name) for file in files for name in names_in(file)}
    assert tried - set(NAMED) == set()
    assert len(tried) > 40
