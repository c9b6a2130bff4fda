"""The house rules: what each room may import, and how large a file may be."""

import ast
import functools
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAX_LINES = 400

PROCESS = "mesh.agent"
"""The room of the process, which may import everything."""

BASE = "mesh"
ROOMS = {
    "mesh": {"mesh"},
    "mesh.trust": {"mesh"},
    "mesh.link": {"mesh", "mesh.trust"},
    "mesh.routing": {"mesh", "mesh.trust", "mesh.link"},
    "mesh.connection": {"mesh", "mesh.trust", "mesh.link"},
    "mesh.config": {"mesh", "mesh.trust"},
    "mesh.diagnostics": {"mesh", "mesh.trust", "mesh.connection"},
    "mesh.remote": {"mesh", "mesh.trust", "mesh.connection", "mesh.diagnostics"},
    "mesh.socks": {"mesh"},
    "actors.runtime": {"mesh", "actors.runtime"},
    "actors.runtime.real": {"mesh", "actors.runtime"},
    "actors.runtime.virtual": {"mesh", "actors.runtime"},
    "actors": {"actors", "actors.runtime", "actors.messages"},
    "actors.messages": {"actors.runtime"},
    "actors.links": {"actors", "actors.runtime", "actors.messages"},
    "actors.connections": {"actors", "actors.runtime", "actors.messages"},
    "actors.diagnostics": {"actors", "actors.runtime", "actors.messages", "actors.connections"},
    "actors.remote": {"actors", "actors.runtime", "actors.messages", "actors.connections"},
    "actors.root": {
        "actors",
        "actors.runtime",
        "actors.messages",
        "actors.links",
        "actors.connections",
        "actors.diagnostics",
        "actors.remote",
    },
}
"""Which rooms each may import beside itself; actors every room of ``mesh``, too, but not the process."""

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
ACTOR_PACKAGES = PURE_PACKAGES | {"actors", "mypy_extensions", "pykka"}

ANYS = {
    "actors/runtime/actor.py": (9, "Pykka's base and future; a dispatcher, and its actors of all kinds"),
    "actors/runtime/children.py": (2, "Pykka's reference; a supervisor's children of all kinds"),
    "actors/runtime/mailbox.py": (8, "Pykka's envelopes; watches of actors of all kinds, and what they take"),
    "actors/runtime/reference.py": (2, "Pykka's reference and future"),
    "actors/runtime/registry.py": (12, "Pykka's registry"),
    "actors/runtime/supervisor.py": (3, "Pykka's reference and future; children of all kinds"),
    "actors/runtime/real/listening.py": (1, "a method of Python's sockets that its types do not tell"),
    "actors/runtime/real/loop.py": (5, "a dispatcher's actors of all kinds"),
    "actors/runtime/real/native_address.py": (1, "the addresses of Python's sockets"),
    "actors/runtime/virtual/dispatcher.py": (5, "a dispatcher's actors of all kinds"),
    "actors/runtime/virtual/world.py": (3, "Pykka's reference, future and answer"),
    "mesh/agent/cli/failure.py": (1, "Click's signature"),
    "mesh/agent/control/api.py": (1, "JSON"),
    "mesh/agent/control/openapi.py": (1, "JSON"),
    "mesh/agent/control/problem.py": (4, "Falcon's signature"),
    "mesh/agent/control/route.py": (2, "calls of all kinds"),
    "mesh/agent/dashboard/app.py": (2, "Falcon's signature"),
    "mesh/agent/dashboard/channels.py": (5, "Waitress's signature, and what it polls"),
    "mesh/agent/dashboard/server.py": (2, "what Waitress keeps for itself"),
    "mesh/config/walk.py": (3, "the schema's annotations, and the values that they stand for"),
}
"""How often each file says ``Any``, and what for. All else has a type, references above all."""


def sources(*folders):
    return sorted(
        path.relative_to(ROOT)
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.suffix == ".py" and "__pycache__" not in path.parts
    )


@functools.cache
def tree_of(path):
    return ast.parse((ROOT / path).read_text())


def imports(path):
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or ""


def names(tree):
    """All names in the code of ``tree``, those in annotations that are strings included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                annotation = ast.parse(node.value, mode="eval")
            except (SyntaxError, ValueError):  # a text, then
                continue
            yield from (part.id for part in ast.walk(annotation) if isinstance(part, ast.Name))


def room_of(name):
    """The room of a module or package: the longest one that it is in."""
    parts = name.split(".")
    rooms = (*ROOMS, PROCESS)
    return next(room for end in range(len(parts), 0, -1) if (room := ".".join(parts[:end])) in rooms)


def module_of(path):
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def imported_modules(path):
    """What of the project a file imports, as modules."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                is_module = (ROOT / inner.replace(".", "/")).with_suffix(".py").exists()
                yield inner if is_module else node.module


@functools.cache
def arrows():
    """Which room imports which, and by what."""
    found = {}
    for path in sources("mesh", "actors"):
        here = room_of(module_of(path))
        for name in imported_modules(path):
            if name.split(".")[0] in {"mesh", "actors"}:
                there = room_of(name)
                if there != here:
                    found.setdefault((here, there), []).append(f"{path} imports {name}")
    return found


def test_each_room_imports_what_it_may():
    for (here, there), by in arrows().items():
        if here == PROCESS:
            continue
        allowed = set(ROOMS[here])
        if here.startswith("actors"):
            allowed |= {room for room in ROOMS if room.startswith("mesh")}
            if here.startswith("actors.runtime"):
                allowed = set(ROOMS[here])
        assert there in allowed, by


def test_no_two_rooms_import_each_other():
    """Nor do more of them make a circle."""
    edges = {}
    for here, there in arrows():
        edges.setdefault(here, set()).add(there)
    done, way = set(), []

    def visit(room):
        assert room not in way, [*way, room]
        if room in done:
            return
        way.append(room)
        for other in edges.get(room, ()):
            visit(other)
        way.pop()
        done.add(room)

    for room in list(edges):
        visit(room)


def test_the_core_is_pure():
    for path in sources("mesh"):
        if room_of(module_of(path)) == PROCESS:
            continue
        for name in imports(path):
            top = name.split(".")[0]
            assert top not in IMPURE_MODULES, f"{path} imports {name}"
            assert top in PURE_PACKAGES or top in sys.stdlib_module_names, f"{path} imports {name}"


def test_actors_reach_the_world_through_the_seam_only():
    for path in sources("actors"):
        runtime = str(path).startswith("actors/runtime/")
        for name in imports(path):
            top = name.split(".")[0]
            assert runtime or top not in IMPURE_MODULES, f"{path} imports {name}"
            assert runtime or top != "pykka", f"{path} imports {name}"
            assert top in ACTOR_PACKAGES or top in sys.stdlib_module_names, f"{path} imports {name}"


def test_no_file_is_too_long():
    lines = {
        str(path): len((ROOT / path).read_text().splitlines())
        for path in sources("mesh", "actors", "tests", "scripts")
    }
    assert {path: count for path, count in lines.items() if count > MAX_LINES} == {}


def test_any_stands_only_where_others_demand_it():
    found = {}
    for path in sources("mesh", "actors"):
        count = list(names(tree_of(path))).count("Any")
        if count:
            found[str(path)] = count
    assert found == {path: count for path, (count, _) in ANYS.items()}


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("from typing import Any", 0),
        ("x: Any", 1),
        ("x: typing.Any", 1),
        ("def f(a: dict[str, Any], *b: Any) -> Any: ...", 3),
        ("def f(a: 'Ref[Any]') -> 'Any | None': ...", 2),
        ("'Any other text.'", 0),
        ("'Anyone'", 0),
    ],
)
def test_any_is_counted_in_whatever_form(code, count):
    assert list(names(ast.parse(code))).count("Any") == count


def test_no_actor_overrides_a_private_name_of_the_base_by_accident():
    from actors.runtime.actor import Actor

    hooks = {"on_start", "on_stop", "on_failure", "on_receive", "release"}
    hooks |= {"on_readable", "on_writable", "on_turn_over"}
    for path in sources("actors"):
        if str(path).startswith("actors/runtime/"):
            continue
        for node in ast.walk(tree_of(path)):
            if not isinstance(node, ast.ClassDef) or "Actor" not in ast.dump(node):
                continue
            for item in node.body:
                if isinstance(item, ast.FunctionDef) and item.name not in hooks:
                    clash = hasattr(Actor, item.name) and not item.name.startswith("__")
                    assert not clash, f"{path}: {node.name}.{item.name} hides the base actor's"


def test_nothing_but_tests_imports_tests():
    for path in sources("mesh", "actors", "scripts"):
        assert not [name for name in imports(path) if name.split(".")[0] == "tests"], path
