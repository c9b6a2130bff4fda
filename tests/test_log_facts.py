"""Every line of an actor's log that says something in particular names its facts, by names that all share."""

import ast
import re

import pytest

from tests.test_house import sources, tree_of

LEVELS = {"info", "warning", "error", "critical", "exception", "log"}
PLAIN = re.compile(r"%[^(%]")
NAMED = re.compile(r"%\((\w+)\)")
TAKEN = {"time", "level", "subsystem", "message", "traceback"}
"""What each line has anyway, in the JSON form."""

FACTS = {
    *("key", "agent", "peer", "address", "target", "exit", "client", "connection", "ingress", "end"),
    *("reason", "code", "ending", "before", "second", "exits", "what", "origin", "service", "kind", "signal"),
    *("count", "max_connections", "duration_s", "seconds", "to_service_bytes", "to_client_bytes"),
    *("id", "build", "descriptor_limit", "reload", "text", "verdict", "caller", "head"),
}
"""What may be named: one word for one thing, for whoever searches the logs of many agents."""


def texts(path):
    return [
        (node.lineno, node.value)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


def plain_lines(path):
    """Calls that log a line with places without names."""
    for node in ast.walk(tree_of(path)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        owner = getattr(node.func.value, "id", getattr(node.func.value, "attr", ""))
        if owner not in ("log", "_log") or node.func.attr not in LEVELS:
            continue
        for argument in node.args[:2]:
            text = argument.value if isinstance(argument, ast.Constant) else ""
            if isinstance(text, str) and PLAIN.search(text):
                yield node.lineno


RUNTIME = "actors/runtime"
"""It knows nothing of keys, agents and addresses."""

ACTORS = [path for path in sources("actors") if not str(path).startswith(RUNTIME)]


@pytest.mark.parametrize("path", ACTORS, ids=str)
def test_lines_name_their_facts(path):
    excused = {"actors/root/agent.py", "actors/route_table.py"}
    assert str(path) in excused or list(plain_lines(path)) == []


@pytest.mark.parametrize("path", sources("actors", "mesh"), ids=str)
def test_facts_have_names_that_all_share(path):
    names = {name for _, text in texts(path) for name in NAMED.findall(text)}
    assert names <= FACTS
    assert not names & TAKEN
