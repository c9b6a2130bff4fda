"""The house rules: what each room may import, and how large a file may be."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAX_LINES = 500

COMPOSITION = ("mesh/agent", "mesh/cli", "mesh/dashboard/", "mesh/__main__.py")
"""Parts of ``mesh/`` that put the rest together and may import everything."""

PURE_PACKAGES = {"nacl", "cryptography", "idna", "msgspec", "yaml", "mesh"}
IMPURE_MODULES = {
    "asyncio",
    "multiprocessing",
    "random",
    "secrets",
    "select",
    "selectors",
    "signal",
    "socket",
    "ssl",
    "subprocess",
    "threading",
    "time",
}
ACTOR_PACKAGES = PURE_PACKAGES | {"actors", "pykka", "uvloop"}


def sources(*folders):
    return sorted(
        path.relative_to(ROOT)
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.suffix == ".py" and "__pycache__" not in path.parts
    )


def imports(path):
    tree = ast.parse((ROOT / path).read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or ""


def is_composition(path):
    return str(path).startswith(COMPOSITION)


@pytest.mark.parametrize("path", [p for p in sources("mesh") if not is_composition(p)], ids=str)
def test_the_core_is_pure(path):
    for name in imports(path):
        top = name.split(".")[0]
        assert top not in IMPURE_MODULES, f"{path} imports {name}"
        assert top in PURE_PACKAGES or top in sys.stdlib_module_names, f"{path} imports {name}"
        assert not name.startswith(("mesh.agent", "mesh.cli", "mesh.dashboard")), f"{path} imports {name}"


@pytest.mark.parametrize("path", sources("actors"), ids=str)
def test_actors_reach_the_world_through_the_seam_only(path):
    runtime = str(path).startswith("actors/runtime/")
    for name in imports(path):
        top = name.split(".")[0]
        assert runtime or top not in IMPURE_MODULES, f"{path} imports {name}"
        assert runtime or top not in {"pykka", "uvloop"}, f"{path} imports {name}"
        assert top in ACTOR_PACKAGES or top in sys.stdlib_module_names, f"{path} imports {name}"
        assert not name.startswith(("mesh.agent", "mesh.cli", "mesh.dashboard")), f"{path} imports {name}"


@pytest.mark.parametrize("path", sources("mesh", "actors", "tests", "scripts"), ids=str)
def test_no_file_is_too_long(path):
    lines = len((ROOT / path).read_text().splitlines())
    assert lines <= MAX_LINES, f"{path} has {lines} lines"


def test_no_actor_overrides_a_private_name_of_the_base_by_accident():
    from actors.runtime.actor import Actor

    hooks = {"on_start", "on_stop", "on_failure", "on_receive", "release"}
    hooks |= {"on_readable", "on_writable", "on_turn_over"}
    for path in sources("actors"):
        if str(path).startswith("actors/runtime/"):
            continue
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            if not isinstance(node, ast.ClassDef) or "Actor" not in ast.dump(node):
                continue
            for item in node.body:
                if isinstance(item, ast.FunctionDef) and item.name not in hooks:
                    clash = hasattr(Actor, item.name) and not item.name.startswith("__")
                    assert not clash, f"{path}: {node.name}.{item.name} hides the base actor's"
