"""``mesh completion``: what a shell needs to complete commands, options, keys and agents."""

from typing import Final

import click

from mesh.agent.cli.failure import Failure
from mesh.agent.cli.standard_streams import say

PROGRAM: Final = "mesh"

VARIABLE: Final = "_MESH_COMPLETE"
"""By which click hears from a shell that completes."""

SHELLS: Final = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what has SHELL complete commands, options, keys and agents of the mesh.

    Keys and agents are those of the running agent that the command line names, or of the one whose
    config.yaml is in this folder; where none runs they are not completed.

    \b
    eval "$(mesh completion bash)"          # in ~/.bashrc
    eval "$(mesh completion zsh)"           # in ~/.zshrc
    mesh completion fish > ~/.config/fish/completions/mesh.fish
    """
    from click.shell_completion import get_completion_class  # noqa: PLC0415 -- hardly ever needed

    found = get_completion_class(shell)
    if found is None:
        raise Failure(f"{shell}: this installation of click cannot complete for it")
    say(found(context.find_root().command, {}, PROGRAM, VARIABLE).source())
