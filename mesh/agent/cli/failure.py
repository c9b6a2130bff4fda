"""How a command fails: one line for each problem on standard error, no traceback, exit status 2."""

import functools
from collections.abc import Callable
from typing import IO, Any, Final, ParamSpec, TypeVar

import click

from mesh.agent.finding import WhichAgentError
from mesh.errors import MeshError

EXIT_STATUS: Final = 2
"""Of anything that is wrong with arguments, configuration or files; click uses the same for arguments."""

P = ParamSpec("P")
R = TypeVar("R")


class Failure(click.ClickException):
    """Problems for people; each is a line."""

    exit_code = EXIT_STATUS

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the lines as they are, so that file:line: stands at the start, where editors look for it."""
        click.echo(self.message, file=file, err=file is None)


def told_plainly(command: Callable[P, R]) -> Callable[P, R]:
    """Turn the errors that a user can mend into a :class:`Failure`."""

    @functools.wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except MeshError as error:
            if (told := _told(error)) is None:
                raise
            raise Failure(told) from None

    return wrapper


def _told(error: MeshError) -> str | None:
    """What a user is told of it; ``None`` if it is none that a user can mend."""
    # Not above: they take a third of the time of a command that needs neither.
    from mesh.agent.files import AgentFileError  # noqa: PLC0415
    from mesh.config import ConfigError  # noqa: PLC0415

    if isinstance(error, ConfigError):
        count = len(error.problems)
        more = "more than " if error.are_more else ""
        return f"{error}\n{more}{count} {'problem' if count == 1 else 'problems'}"
    return str(error) if isinstance(error, (AgentFileError, WhichAgentError)) else None
