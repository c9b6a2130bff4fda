"""``docs/ARCHITECTURE.md`` names files that exist, and draws the arrows between actors that the code has."""

import ast
import functools
import re
from pathlib import Path

from tests.test_house import ROOMS, sources, tree_of

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
GRAPHS = re.findall(r"```mermaid\n(.*?)```", TEXT, flags=re.DOTALL)
ARROW = re.compile(r"^ *(\w+) --> (\w+(?: & \w+)*)$", flags=re.MULTILINE)


# Nothing is parsed before a test asks for it: every worker imports this module, and one runs its tests.


@functools.cache
def trees():
    """All modules of actors and their messages, by dotted name."""
    return {
        ".".join(path.with_suffix("").parts): tree_of(path)
        for path in sources("actors")
        if path.parts[1] != "runtime" and path.name != "__init__.py"
    }


def messages():
    return {name: tree for name, tree in trees().items() if name.startswith("actors.messages.")}


def acting():
    return {name: tree for name, tree in trees().items() if not name.startswith("actors.messages.")}


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
    for each in trees()[there].body if there in messages() else ():
        match each:
            case ast.Assign(targets=[ast.Name(id=target)]) | ast.AnnAssign(target=ast.Name(id=target)):
                if target == last and each.value is not None:
                    return alternatives(there, trees()[there], each.value)
    return {name} if name else set()


@functools.cache
def actors():
    """Each actor that is started: its module, and the messages that it takes."""
    found = {}
    for module, tree in acting().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                bases = [base for base in node.bases if isinstance(base, ast.Subscript)]
                if any(full_name(module, tree, base.value) == "typing.Generic" for base in bases):
                    continue  # what several actors share; those name their messages themselves
                for base in bases:
                    found[node.name] = (module, alternatives(module, tree, base.slice))
    return found


@functools.cache
def made_in(module):
    """The messages that are made in a module: calls, not the patterns of a ``match``."""
    tree = trees()[module]
    names = {full_name(module, tree, node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return {name for name in names if name.startswith("actors.messages.")}


def helpers(module):
    """A module of an actor, and those it imports that are no other actor's."""
    homes = {home for home, _ in actors().values()}
    found, todo = set(), [module]
    while todo:
        here = todo.pop()
        found.add(here)
        for name in imported(trees()[here]).values():
            there = name if name in acting() else name.rpartition(".")[0]
            if there in acting() and there not in homes and there not in found:
                todo.append(there)
    return found


def timers():
    """What an actor sends to itself later, or hands to itself at once."""
    return {
        f"{module}.{node.name}"
        for module, tree in messages().items()
        for node in tree.body
        if isinstance(node, ast.ClassDef) and (ast.get_docstring(node) or "").startswith("Timer:")
    }


@functools.cache
def takes():
    """The messages that each actor takes, by its name."""
    return {name: taken - timers() for name, (_, taken) in actors().items()}


@functools.cache
def makes():
    """What each actor makes for others. What it takes itself it tells itself, or its own kind."""
    return {
        name: set().union(*(made_in(each) for each in helpers(module))) - takes()[name]
        for name, (module, _) in actors().items()
    }


@functools.cache
def drawn():
    return {(sender, receiver) for sender, to in ARROW.findall(GRAPHS[0]) for receiver in to.split(" & ")}


def test_the_actors_in_the_graph_are_those_in_the_code():
    assert {name for arrow in drawn() for name in arrow} == set(actors())
    assert len(actors()) > 10


def test_each_arrow_is_in_the_code():
    """The sender makes a message that the receiver takes."""
    assert [(a, b) for a, b in sorted(drawn()) if not makes()[a] & takes()[b]] == []


def test_each_message_that_an_actor_makes_has_an_arrow():
    missing = [
        (sender, message)
        for sender, made in sorted(makes().items())
        for message in sorted(made)
        if (receivers := {name for name, taken in takes().items() if message in taken})
        and not any((sender, each) in drawn() for each in receivers)
    ]
    assert missing == []


def test_each_message_that_an_actor_takes_has_an_arrow():
    missing = [
        (receiver, message)
        for receiver, taken in sorted(takes().items())
        for message in sorted(taken)
        if (senders := {name for name, made in makes().items() if message in made})
        and not any((each, receiver) in drawn() for each in senders)
    ]
    assert missing == []


def test_the_supervision_tree_is_what_the_code_composes():
    boxes = set(re.findall(r"\b[A-Z]\w+", GRAPHS[1])) - {"TD", "Supervisor", "Agent"}
    files = ("composition.py", "services.py", "inside_children.py")
    composed = [tree_of(Path("actors/root") / name) for name in files]
    started = {
        node.func.value.id
        for module in composed
        for node in ast.walk(module)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "start"
        and isinstance(node.func.value, ast.Name)
    }
    assert boxes == started == set(actors()) - {"Agent"}


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
