"""The text of docs/CLI.md: what each command says of itself."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click

from mesh.agent.cli import SECTIONS
from mesh.agent.cli import main as mesh

WIDTH: Final = 100

MARK: Final = "<!-- From here on scripts/cli_document.py writes. -->\n"
"""What stands before it is written by hand."""


def document(page: str) -> str:
    """All of the page, of which there is ``page``."""
    by_hand, mark, _ = page.partition(MARK)
    return f"{by_hand}{mark}\n{''.join(_contents())}{''.join(_sections())}"


def _contents() -> Iterator[str]:
    yield "| to | commands |\n|---|---|\n"
    for title, commands in SECTIONS.items():
        links = ", ".join(f"[{name}](#mesh-{name})" for name in commands)
        yield f"| {title[0].lower()}{title[1:]} | {links} |\n"


def _sections() -> Iterator[str]:
    root = click.Context(mesh, info_name="mesh")
    for title, names in SECTIONS.items():
        yield f"\n## {title}\n"
        for name in names:
            command = mesh.get_command(root, name)
            if command is not None:
                yield from _described(command, root, name)


def _described(command: click.Command, parent: click.Context, name: str) -> Iterator[str]:
    context = click.Context(
        command,
        info_name=name,
        parent=parent,
        terminal_width=WIDTH,
        max_content_width=WIDTH,
        help_option_names=["-h", "--help"],
    )
    yield f"\n### {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            if found is not None:
                yield from _described(found, context, inner)


def main(path: Path, arguments: Sequence[str]) -> int:
    """Write the page, or say whether it is what would be written; the exit status."""
    page = path.read_text()
    text = document(page)
    if "--check" in arguments:
        return 0 if page == text else 1
    path.write_text(text)
    return 0
