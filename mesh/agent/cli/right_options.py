"""The options by which a command names what an agent may do, for all commands that let one in."""

from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

import click

from mesh.agent.cli.rights import group_name
from mesh.routing_keys import normal_key

P = ParamSpec("P")
R = TypeVar("R")


class _Checked(click.ParamType[str]):
    """A text in the form in which it is compared.

    Args:
        name: of what is expected, in the help.
        check: returns that form, or raises ``ValueError`` that says what it expected.
    """

    def __init__(self, name: str, check: Callable[[str], str]) -> None:
        self.name = name
        self._check = check

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """That form."""
        try:
            return self._check(str(value))
        except ValueError as error:
            self.fail(f"expected {error}", param, ctx)


_PATTERN: Final = _Checked("pattern", normal_key)
_GROUP: Final = _Checked("group", group_name)

_OPTIONS: Final = (
    click.option(
        "--group",
        "groups",
        type=_GROUP,
        multiple=True,
        metavar="NAME",
        help="A group that it is in; a configuration may mean all of one. Repeatable.",
    ),
    click.option(
        "--register",
        type=_PATTERN,
        multiple=True,
        metavar="PATTERN",
        help="Keys it may offer endpoints for; * and ? are wildcards. Repeatable.",
    ),
    click.option(
        "--use",
        type=_PATTERN,
        multiple=True,
        metavar="PATTERN",
        help="Keys it may open connections to. Repeatable.",
    ),
    click.option("--relay", is_flag=True, help="Others' traffic may pass."),
    click.option("--manage", is_flag=True, help="It may manage others."),
)


def takes_rights(command: Callable[P, R]) -> Callable[P, R]:
    """Have a command take ``groups``, ``register``, ``use``, ``relay`` and ``manage``."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
