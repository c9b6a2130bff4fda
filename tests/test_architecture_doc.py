"""``docs/ARCHITECTURE.md`` names files that exist, and draws the arrows between actors that the code has."""

import ast
import functools
import re
from pathlib import Path

import pytest

from tests.test_house import ROOMS

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
GRAPHS = re.findall(r"```mermaid\n(.*?)```", TEXT, flags=re.DOTALL)
ARROW = re.compile(r"^ *(\w+) --> (\w+(?: & \w+)*)$", flags=re.MULTILINE)


def parse(path):
    return ast.parse(path.read_text(encoding="utf-8"))


TREES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): parse(path)
    for path in sorted((ROOT / "actors").rglob("*.py"))
}
MESSAGES = {name: tree for name, tree in TREES.items() if name.startswith("actors.messages.")}
ACTING = {
    name: tree
    for name, tree in TREES.items()
    if not name.startswith(("actors.messages.", "actors.runtime.")) and not name.endswith("__init__")
}


@functools.cache
def imported(tree):
    """What each imported name stands for, written with dots."""
    return {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }


def full_name(module, tree, node):
    """The dotted name that an expression stands for, or an empty one."""
    if isinstance(node, ast.Name):
        return imported(tree).get(node.id, f"{module}.{node.id}")
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{imported(tree).get(node.value.id, node.value.id)}.{node.attr}"
    return ""


def alternatives(module, tree, node):
    """The messages in a union, with the unions that it names taken apart."""
    if isinstance(node, ast.BinOp):
        return alternatives(module, tree, node.left) | alternatives(module, tree, node.right)
    name = full_name(module, tree, node)
    there, _, last = name.rpartition(".")
    for each in MESSAGES[there].body if there in MESSAGES else ():
        match each:
            case ast.Assign(targets=[ast.Name(id=target)]) | ast.AnnAssign(target=ast.Name(id=target)):
                if target == last and each.value is not None:
                    return alternatives(there, MESSAGES[there], each.value)
    return {name} if name else set()


def actors():
    """Each actor that is started: its module, and the messages that it takes."""
    found = {}
    for module, tree in ACTING.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                bases = [base for base in node.bases if isinstance(base, ast.Subscript)]
                if any(full_name(module, tree, base.value) == "typing.Generic" for base in bases):
                    continue  # what several actors share; those name their messages themselves
                for base in bases:
                    found[node.name] = (module, alternatives(module, tree, base.slice))
    return found


ACTORS = actors()
HOMES = {module for module, _ in ACTORS.values()}


def made_in(module):
    """The messages that are made in a module: calls, not the patterns of a ``match``."""
    tree = ACTING[module]
    names = {full_name(module, tree, node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return {name for name in names if name.startswith("actors.messages.")}


def helpers(module):
    """A module of an actor, and those it imports that are no other actor's."""
    found, todo = set(), [module]
    while todo:
        here = todo.pop()
        found.add(here)
        for name in imported(ACTING[here]).values():
            there = name if name in ACTING else name.rpartition(".")[0]
            if there in ACTING and there not in HOMES and there not in found:
                todo.append(there)
    return found


TIMERS = {
    f"{module}.{node.name}"
    for module, tree in MESSAGES.items()
    for node in tree.body
    if isinstance(node, ast.ClassDef) and (ast.get_docstring(node) or "").startswith("Timer:")
}
"""What an actor sends to itself later, or hands to itself at once."""

TAKES = {name: takes - TIMERS for name, (_, takes) in ACTORS.items()}
MAKES = {
    name: set().union(*(made_in(each) for each in helpers(module))) - TAKES[name]
    for name, (module, _) in ACTORS.items()
}
"""What each actor makes for others. What it takes itself it tells itself, or its own kind."""


def drawn():
    return {(sender, receiver) for sender, to in ARROW.findall(GRAPHS[0]) for receiver in to.split(" & ")}


def test_the_actors_in_the_graph_are_those_in_the_code():
    assert {name for arrow in drawn() for name in arrow} == set(ACTORS)
    assert len(ACTORS) > 10


def test_each_arrow_is_in_the_code():
    """The sender makes a message that the receiver takes."""
    assert [(a, b) for a, b in sorted(drawn()) if not MAKES[a] & TAKES[b]] == []


@pytest.mark.parametrize("sender", sorted(ACTORS))
def test_each_message_that_an_actor_makes_has_an_arrow(sender):
    arrows = drawn()
    for message in sorted(MAKES[sender]):
        receivers = {name for name in ACTORS if message in TAKES[name]}
        assert not receivers or any((sender, each) in arrows for each in receivers), message


@pytest.mark.parametrize("receiver", sorted(ACTORS))
def test_each_message_that_an_actor_takes_has_an_arrow(receiver):
    arrows = drawn()
    for message in sorted(TAKES[receiver]):
        senders = {name for name in ACTORS if message in MAKES[name]}
        assert not senders or any((each, receiver) in arrows for each in senders), message


def test_the_supervision_tree_is_what_the_code_composes():
    boxes = set(re.findall(r"\b[A-Z]\w+", GRAPHS[1])) - {"TD", "Supervisor", "Agent"}
    files = ("composition.py", "services.py", "inside_children.py")
    composed = [parse(ROOT / "actors" / "root" / name) for name in files]
    started = {
        node.func.value.id
        for module in composed
        for node in ast.walk(module)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "start"
        and isinstance(node.func.value, ast.Name)
    }
    assert boxes == started == set(ACTORS) - {"Agent"}


def test_every_path_exists():
    paths = re.findall(r"`((?:actors|mesh|config|docs|scripts|tests)/[\w/.*-]*)`", TEXT)
    links = re.findall(r"\]\(([\w./]+)\)", TEXT)
    assert len(paths) > 40
    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []


def test_every_name_beside_a_path_is_in_that_file():
    named = re.findall(r"`([\w/]+\.py)` \(`(\w+)`\)", TEXT)
    assert named
    assert [(path, name) for path, name in named if name not in (ROOT / path).read_text("utf-8")] == []


def test_every_room_is_named():
    rows = set(re.findall(r"^\| `([\w/]+)/`", TEXT, flags=re.MULTILINE))
    assert {room.replace(".", "/") for room in ROOMS} <= rows


def test_enough_is_said_of_where_to_look():
    table = TEXT.split("## To change this, look there")[1]
    assert len(re.findall(r"^\| (?!to change|---)", table, flags=re.MULTILINE)) >= 20
