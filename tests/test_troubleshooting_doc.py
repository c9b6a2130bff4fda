"""docs/TROUBLESHOOTING.md quotes what the program says: each text must be in the code as it stands there."""

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOC = (ROOT / "docs" / "TROUBLESHOOTING.md").read_text(encoding="utf-8")
PLACE = "…"
PERCENT = re.compile(r"%(?:\(\w+\))?[-+ #0]*\d*(?:\.\d+)?[sdrgf]")

COMPOSED = {
    "refused: refused at …": ("refused", "… at …: …"),
    "refused: refused: …": ("refused",),
    "refused: …; no answer from …": ("refused", "…; no answer from …"),
    "endpoint … is withdrawn until its target passes its health check": (
        "endpoint … is …",
        "withdrawn until its target passes its health check",
    ),
    "listener … refused its last clients: …": ("listener … …: …", "refused its last clients"),
    "warning: the certificate of this agent expires on …": (
        "warning: …",
        "the certificate of this agent expires on …",
    ),
    "warning: another agent with this agent's identity key was running": (
        "warning: …",
        "another agent with this agent's identity key was running; …",
    ),
    "port taken: another program has it": ("port taken: …", "another program has it"),
    "withdrawn until its target passes its health check: …": (
        "withdrawn until its target passes its health check",
        "…: …: …",
    ),
    "resets a client: it is an exit of this agent; the target is this listener": (
        "… resets a client: …",
        "it is an exit of this agent; the target is this listener",
    ),
    "link refused: …": ("link refused: … (dialed …)",),
    "this agent was revoked on …": ("this agent", "was revoked on … by …"),
}
"""Texts that the program puts together from others, with their parts."""


def rows():
    """The cells of each table's rows below its head, with the head."""
    head = None
    for line in DOC.splitlines():
        if not line.startswith("|"):
            head = None
        elif head is None:
            head = [cell.strip() for cell in line.strip("|").split("|")]
        elif not line.startswith("|---"):
            yield head, [cell.strip() for cell in line.strip("|").split("|")]


def quoted():
    return [
        text
        for head, cells in rows()
        for name, cell in zip(head, cells, strict=True)
        if name.startswith("you see")
        for text in re.findall(r"`([^`]+)`", cell)
    ]


def shape(node):
    """A text of the code, with a mark in the place of each value."""
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else PLACE for part in node.values)
    return PERCENT.sub(PLACE, node.value)


@functools.cache
def texts_of_the_code():
    found = set()
    for room in ("mesh", "actors"):
        for file in (ROOT / room).rglob("*.py"):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            comments = {
                id(node.value)
                for node in ast.walk(tree)
                if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            }
            for node in ast.walk(tree):
                is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
                if isinstance(node, ast.JoinedStr) or (is_text and id(node) not in comments):
                    found.add(shape(node))
    return "\n".join(sorted(found))


def is_said(text):
    """Whether a text of the code has this in it; what is left open here may be anything there."""
    parts = [re.escape(part) for part in text.split(PLACE)]
    return re.search(r"[^\n]*?".join(parts), texts_of_the_code()) is not None


@pytest.mark.parametrize("text", sorted(set(quoted())))
def test_each_text_is_said_by_the_program(text):
    for part in COMPOSED.get(text, (text,)):
        assert len(part.replace(PLACE, "").strip()) > 2
        assert is_said(part), part


def test_what_is_put_together_is_on_the_page():
    assert set(COMPOSED) <= set(quoted())


def test_a_text_that_is_not_said_would_be_found():
    assert not is_said("no agent offers that key")
    assert not is_said("two … have the identity of nobody")


def test_each_symptom_has_a_cause_and_something_to_do():
    found = list(rows())
    assert len(found) > 50
    assert [cells for head, cells in found if len(cells) != len(head) or not all(cells)] == []
    assert {head[-1] for head, _ in found} == {"do"}


def test_the_page_is_found_from_the_readme_and_the_other_pages():
    for page in ("README.md", "docs/CONFIGURATION.md", "docs/ARCHITECTURE.md"):
        assert "TROUBLESHOOTING.md" in (ROOT / page).read_text(encoding="utf-8"), page


def test_what_the_page_names_exists():
    for link in re.findall(r"\]\(([\w./]+)\)", DOC):
        assert (ROOT / "docs" / link).is_file()
    for path in re.findall(r"`((?:tests|docs|mesh)/[\w/]+\.\w+)`", DOC):
        assert (ROOT / path).is_file()
    for option in set(re.findall(r"`(--[a-z]+)`", DOC)):
        assert f'"{option}"' in "".join(
            file.read_text(encoding="utf-8") for file in (ROOT / "mesh" / "agent" / "cli").glob("*.py")
        )
