"""docs/CLI.md is what the commands say of themselves; each has an example that is one."""

import re
import shlex
from pathlib import Path

import click
import pytest

from mesh.agent import connect_command
from mesh.agent.cli import PLACES, SECTIONS, main
from mesh.agent.cli.asking import EXIT_FAILED, EXIT_FORBIDDEN, EXIT_NOT_RUNNING
from mesh.agent.cli.failure import EXIT_STATUS
from mesh.agent.cli.standard_streams import EXIT_UNREAD
from scripts.commands_described import document

PAGE = Path(__file__).parent.parent / "docs" / "CLI.md"

OTHER_PROGRAMS = {"ssh", "curl", "eval"}
"""With which an example may begin."""


def commands(group=main, path=("mesh",)):
    """Each command that does something, by its words."""
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        if isinstance(found, click.Group):
            yield from commands(found, (*path, name))
        else:
            yield (*path, name), found


COMMANDS = dict(commands())


def examples(command):
    """The lines of its help that are examples."""
    _, *parts = command.help.split("\b\n")
    for part in parts:
        block = part.partition("\n\n")[0].replace("\\\n", " ")
        yield from filter(None, map(str.strip, block.splitlines()))


def test_the_page_is_up_to_date():
    assert PAGE.read_text() == document(PAGE.read_text()), "run scripts/cli_document.py"


def test_every_command_is_loaded_from_where_it_is():
    context = click.Context(main)
    for name in PLACES:
        assert main.get_command(context, name).name == name
    assert list(PLACES) == [name for section in SECTIONS.values() for name in section]
    assert main.get_command(context, "nonsense") is None


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_each_command_has_an_example_and_each_example_is_one(words):
    command = COMMANDS[words]
    assert "\\b" not in command.help, "a mark of click in a raw string is none"
    found = [shlex.split(line, comments=True) for line in examples(command)]
    assert any(line[: len(words)] == list(words) for line in found) or words == ("mesh", "completion")
    for line in found:
        if line[0] in OTHER_PROGRAMS:
            continue
        path = tuple(line[: len(words)])
        if path == words:
            arguments = [word for word in line[len(words) :] if word not in "<>"]
            command.make_context(" ".join(words), arguments, resilient_parsing=True)
            options = {option for each in command.params for option in each.opts}
            assert {word for word in arguments if word.startswith("--")} <= options | {"--help"}


def test_the_exit_statuses_are_those_of_the_code():
    told = re.findall(r"^\| (\d+) \|", PAGE.read_text(), re.MULTILINE)
    known = (0, EXIT_FAILED, EXIT_STATUS, EXIT_NOT_RUNNING, EXIT_FORBIDDEN, EXIT_UNREAD)
    assert list(map(int, told)) == list(known)
    dialed = (connect_command.EXIT_FAILED, connect_command.EXIT_USAGE, connect_command.EXIT_NOT_RUNNING)
    assert (*dialed, connect_command.EXIT_NOT_PERMITTED) == known[1:5]


def test_summaries_fit_beside_their_commands():
    for name, place in PLACES.items():
        assert len(place.summary) <= 60, name
        assert place.summary.endswith((".", "?"))
