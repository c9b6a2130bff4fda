"""How a command fails: one line for each problem on standard error, no traceback, exit status 2."""

import functools
from collections.abc import Callable
from typing import IO, Any, Final, ParamSpec, TypeVar

import click

from mesh.agent.files import AgentFileError
from mesh.agent.finding import WhichAgentError
from mesh.config import ConfigError

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
        except ConfigError as error:
            count = len(error.problems)
            more = "more than " if error.are_more else ""
            raise Failure(f"{error}\n{more}{count} {'problem' if count == 1 else 'problems'}") from None
        except (AgentFileError, WhichAgentError) as error:
            raise Failure(str(error)) from None

    return wrapper
