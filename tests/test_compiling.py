"""What the modules that ``setup.py`` compiles may not do, each rule with its reason, and which ones they are.

mypyc compiles most of what breaks them all the same, and what comes of it fails, or crashes under load.
"""

import ast
import functools
import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

_spec = importlib.util.spec_from_file_location("project_setup", ROOT / "setup.py")
project_setup = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(project_setup)

COMPILED = project_setup.compiled_modules()

HOT = {
    "actors/connections/connection_end.py",
    "actors/connections/connection_table.py",
    "actors/links/forwarding.py",
    "actors/links/output.py",
    "actors/links/peer_link.py",
    "actors/runtime/actor.py",
    "actors/runtime/mailbox.py",
    "actors/runtime/real/streams.py",
    "actors/runtime/real/turns.py",
    "mesh/connection/session.py",
    "mesh/connection/stream/effects.py",
    "mesh/connection/stream/receive_half.py",
    "mesh/connection/stream/send_half.py",
    "mesh/connection/stream/stream.py",
    "mesh/connection/stream/window.py",
    "mesh/link/control_lane.py",
    "mesh/link/data_lane.py",
    "mesh/link/frame_sealing.py",
    "mesh/link/frames.py",
    "mesh/link/send_queue.py",
    "mesh/trust/noise/handshake.py",
    "mesh/trust/noise/symmetric.py",
}
"""What each frame or connection goes through: a Struct that moves there would take one out unseen."""

NATIVE_BASES = {"Exception", "Generic", "ValueError"}
PYTHON_BASES = {"Enum", "IntEnum", "NamedTuple", "Protocol", "StrEnum"}
"""Classes with these bases stay as they are: mypyc makes no native ones of them."""

RUNTIME = {
    "slice": "mypyc takes a slice that has a name for a number: write it where it is used",
    "cast": "mypyc believes it, and checks nothing",
    "__cause__": "mypyc drops it",
}
"""Names that compiled modules may not use."""


PYKKAS = {("actors/runtime/actor.py", "Actor"), ("actors/runtime/reference.py", "ActorRef")}
"""Native classes that derive from Pykka's of the same name."""

EXCUSED = {
    "actors/runtime/actor.py": ["assignment"],
    "actors/runtime/reference.py": ["assignment", "override"],
}
"""What mypy finds wrong and compiled code does not: to it an interpreted class may name anything."""


@functools.cache
def tree_of(path):
    return ast.parse((ROOT / path).read_text())


@functools.cache
def classes(path):
    return [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.ClassDef)]


def bases(node):
    """Their last names, without what stands in brackets."""
    plain = (base.value if isinstance(base, ast.Subscript) else base for base in node.bases)
    return {ast.unparse(base).rpartition(".")[2] for base in plain}


@functools.cache
def names_of(path):
    found = set()
    for node in ast.walk(tree_of(path)):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name):
                found.add(name)
            case ast.ImportFrom(module=name):
                found.add(name)
    return found


def interpreted():
    """All others; the fuzzers go by what the interpreter does, and never see a compiled core."""
    paths = (
        path.relative_to(ROOT).as_posix()
        for room in ("mesh", "actors", "scripts/lab", "scripts/simulation")
        for path in (ROOT / room).rglob("*.py")
    )
    return sorted(set(paths) - set(COMPILED))


PROTOCOLS = {
    node.name for path in (*COMPILED, *interpreted()) for node in classes(path) if "Protocol" in bases(node)
}
NATIVE = {node.name for path in COMPILED for node in classes(path) if not bases(node) & PYTHON_BASES}


OPEN = {
    node.name
    for path in COMPILED
    for node in classes(path)
    if any("allow_interpreted_subclasses=True" in ast.unparse(each) for each in node.decorator_list)
}


def test_what_carries_frames_is_compiled():
    assert HOT - set(COMPILED) == set()


def derived_from(path):
    """The interpreted modules whose classes derive from those of the module at ``path``."""
    names = {node.name for node in classes(path)}
    return [
        other
        for other in interpreted()
        if other != path and any(bases(node) & names for node in classes(other))
    ]


def test_each_module_that_stays_interpreted_is_there_and_needs_to_be():
    for path in project_setup.INTERPRETED:
        foreign = {base for node in classes(path) for base in bases(node)} - NATIVE
        foreign -= NATIVE_BASES | PYTHON_BASES | {node.name for node in classes(path)}
        assert foreign or derived_from(path), f"{path} may be compiled"


def test_native_classes_derive_from_native_classes():
    """From others they get a place for weak references, which mypyc takes for a reference of its own.

    To make one crashes under load. Those from Pykka's have that place: nobody makes any to them.
    """
    for path in COMPILED:
        for node in classes(path):
            if (path, node.name) in PYKKAS:
                continue
            assert bases(node) <= NATIVE | NATIVE_BASES | PYTHON_BASES | PROTOCOLS, f"{path}: {node.name}"
            assert not node.keywords, f"{path}: {node.name} has a metaclass, or other arguments"


def test_nobody_makes_weak_references_to_actors():
    for path in (*COMPILED, *interpreted()):
        if path != "actors/root/services.py":  # which has some to clients, and these have a place for them
            assert "weakref" not in names_of(path), path


def test_an_interpreted_class_derives_from_a_native_one_only_where_that_allows_it():
    for path in interpreted():
        own = {node.name for node in classes(path)}
        for node in classes(path):
            assert not bases(node) & (NATIVE - OPEN - own), f"{path}: {node.name}"


def test_attributes_that_are_deleted_are_named():
    """Else mypyc refuses to."""
    for path in COMPILED:
        for node in classes(path):
            deleted = {
                target.attr
                for each in ast.walk(node)
                if isinstance(each, ast.Delete)
                for target in each.targets
                if isinstance(target, ast.Attribute)
            }
            named = {
                name
                for each in node.body
                if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == "__deletable__"
                for name in ast.literal_eval(each.value)
            }
            assert deleted == named, f"{path}: {node.name}: __deletable__ has to name what is deleted"


@pytest.mark.parametrize("name", RUNTIME)
def test_compiled_modules_use_nothing_that_would_be_another_thing(name):
    for path in COMPILED:
        assert name not in names_of(path), f"{path}: {RUNTIME[name]}"


def test_constants_that_are_tuples_of_floats_say_that_they_may_have_any_length():
    """Else mypyc 2.4 looks for a mark in the first one, and may say that a constant has not been set."""
    for path in COMPILED:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Tuple) and node.value.elts:
                kinds = {type(getattr(each, "value", None)) for each in node.value.elts}
                assert kinds != {float} or "..." in ast.unparse(node.annotation), f"{path}:{node.lineno}"


def test_objects_are_made_by_their_own_class():
    """``object.__new__`` refuses to make native ones, and their own calls ``__init__``."""
    for path in COMPILED:
        assert ".__new__(" not in (ROOT / path).read_text(), path


def test_the_types_of_compiled_modules_are_believed_so_none_is_excused():
    for path in COMPILED:
        excused = re.findall(r"type: ignore(?:\[(.*?)\])?", (ROOT / path).read_text())
        assert excused == EXCUSED.get(path, []), path


def test_no_attribute_of_an_object_is_final():
    """Mypyc lets go of ``each[0].attribute`` where a condition has kept it from being read at all."""
    for path in COMPILED:
        for node in classes(path):
            for each in ast.walk(node):
                if isinstance(each, ast.AnnAssign) and (
                    isinstance(each.target, ast.Attribute) or each.value is None
                ):
                    assert not ast.unparse(each.annotation).startswith("Final"), f"{path}: {node.name}"


TRANSLATE = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("project_setup", "setup.py")
setup = importlib.util.module_from_spec(spec)
spec.loader.exec_module(setup)
setup.translate(sys.argv[1])
"""


def test_mypyc_translates_them(tmp_path):
    """Into C, which nobody compiles here: what it does not take it says by file and line.

    A whole number in a variable of floats, of all things, is one: ``float(...)`` says what is meant.
    """
    done = subprocess.run(
        [sys.executable, "-c", TRANSLATE, tmp_path], cwd=ROOT, capture_output=True, text=True, check=False
    )
    said = [line for line in done.stdout.splitlines() if "error:" in line]
    assert (done.returncode, said) == (0, []), done.stderr


@pytest.mark.parametrize(("value", "is_wanted"), [("", False), ("0", False), ("1", True)])
def test_the_environment_says_whether_it_is_wanted(value, is_wanted, monkeypatch):
    monkeypatch.setenv(project_setup.VARIABLE, value)
    assert project_setup.is_wanted() == is_wanted


def test_what_the_environment_says_must_be_understood(monkeypatch):
    monkeypatch.setenv(project_setup.VARIABLE, "yes")
    with pytest.raises(SystemExit, match="MESH_COMPILED=yes: expected 1 to compile the core, or 0"):
        project_setup.is_wanted()


def test_a_level_that_is_none_ends_the_build_and_does_not_leave_it_interpreted(monkeypatch):
    monkeypatch.setenv(project_setup.VARIABLE, "1")
    monkeypatch.setenv(project_setup.LEVEL, "9")
    monkeypatch.setattr(project_setup, "setup", lambda **_: pytest.fail("it went on"))
    with pytest.raises(SystemExit, match="MESH_OPTIMIZATION=9: expected 0, 1, 2 or 3"):
        project_setup.main()


def test_the_compiler_is_of_one_version():
    """Whoever compiles gets the same library."""
    pinned = [text for text in project_setup.compiler_requirements() if text.startswith("mypy=")]
    assert [text.count("==") for text in pinned] == [1]


def test_the_compiler_gets_the_types_that_mypy_is_checked_with():
    """It reads them in an environment of its own."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {text for text in extras["dev"] if text.startswith("types-")} <= set(extras["compile"])
