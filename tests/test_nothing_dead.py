"""Everything that the product defines is used by the product, but for what is listed here with its reason."""

import ast
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FRAMEWORKS = {
    "format_commands": "Click",
    "list_commands": "Click",
    "on_start": "Pykka",
    "on_head": "Falcon",
    "process_request": "Falcon",
    "process_resource": "Falcon",
    "process_response": "Falcon",
    "list_entries": "a Click command",
    "new_authority": "a Click command",
    "new_identity": "a Click command",
    "show_authority": "a Click command",
    "show_identity": "a Click command",
    "emit": "logging",
    "filter": "logging",
    "handle_read": "Waitress",
    "handle_expt": "Waitress",
    "defer": "Waitress",
    "parser_class": "Waitress",
    "task_class": "Waitress",
    "error_task_class": "Waitress",
    "execute": "Waitress",
}
"""Called by name from outside."""

FOR_TESTS_AND_SIMULATIONS = {
    "VirtualWorld": "what simulations and tests begin with",
    "heal_partition": "a fault of simulations",
    "remove_name": "a fault of simulations",
    "shape": "a fault of simulations",
    "is_cut": "asked by simulations",
    "pending_events": "asked by tests",
    "run_until_idle": "asked by tests",
    "trace_digest": "asked by simulations",
    "given_up": "the answer to whoever shuts a supervisor down",
}
"""Of no use to an agent."""

COUNTERS = "actors/meters.py"
"""Read all together, by their names."""

ANSWERS = ("mesh/agent/control/", ("_rows.py", "_routes.py"))
"""Fields of what the API answers are read by its encoder."""


def definitions_and_uses():
    """Public names that files define, and how often the product reads each name."""
    defined, used = {}, Counter()
    for path in sorted(each for room in ("mesh", "actors") for each in (ROOT / room).rglob("*.py")):
        here = str(path.relative_to(ROOT))
        is_answer = here.startswith(ANSWERS[0]) and here.endswith(ANSWERS[1])
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                    defined.setdefault(name, here)
                case ast.AnnAssign(target=ast.Name(id=name)) if not is_answer:
                    defined.setdefault(name, here)
                case ast.Assign(targets=[ast.Name(id=name)]):
                    defined.setdefault(name, here)
                case ast.Attribute(attr=name, ctx=ast.Load()) | ast.Name(id=name, ctx=ast.Load()):
                    used[name] += 1
                case ast.MatchClass(kwd_attrs=names):
                    used.update(names)
                case ast.Constant(value=str() as name):
                    used[name] += 1
    return defined, used


def test_whatever_is_defined_is_used():
    defined, used = definitions_and_uses()
    dead = {
        name: here
        for name, here in defined.items()
        if not used[name] and not name.startswith("__") and here != COUNTERS
    }
    excused = {**FRAMEWORKS, **FOR_TESTS_AND_SIMULATIONS}
    assert {name: here for name, here in dead.items() if name not in excused} == {}
    assert excused.keys() - dead.keys() == set(), "these need no excuse any more"
