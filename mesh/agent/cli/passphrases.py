"""The passphrase of an authority's key: from a file, from the environment, or asked at the terminal."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

import click

from mesh.agent.cli.failure import Failure
from mesh.agent.files import KeyUse, read_key
from mesh.agent.locked_keys import MAX_PASSPHRASE_CHARACTERS, unfit
from mesh.trust.identity import Identity

VARIABLE: Final = "MESH_PASSPHRASE"
"""Of the environment, for scripts."""

P = ParamSpec("P")
R = TypeVar("R")


def takes_passphrase(command: Callable[P, R]) -> Callable[P, R]:
    """Give a command the option that names a file with the passphrase."""
    return click.option(
        "--passphrase-file",
        type=click.Path(path_type=Path),
        help="Has the passphrase of the authority's key in its first line. Default: the variable "
        f"{VARIABLE}, or it is asked for at the terminal.",
    )(command)


def read_authority(file: Path, passphrase_file: Path | None) -> Identity:
    """The authority's key in ``file``; its passphrase is looked for if it has one.

    Raises:
        AgentFileError: the key cannot be read, or the passphrase is wrong.
        Failure: there is no passphrase.
    """
    return read_key(file, KeyUse.AUTHORITY, passphrase=lambda: _known(file, passphrase_file))


def new_passphrase(passphrase_file: Path | None) -> str:
    """The passphrase of a new key; at the terminal it is asked for twice.

    Raises:
        Failure: there is none, or it is too short.
    """
    passphrase = _given(passphrase_file)
    if passphrase is None:
        _require_terminal("a new authority's key")
        passphrase = click.prompt(
            "Passphrase for the authority's key",
            hide_input=True,
            confirmation_prompt="The same again",
            err=True,
        )
    if why := unfit(passphrase):
        raise Failure(f"{why}; choose another, and note it: without it the key is lost")
    return passphrase


def _known(file: Path, passphrase_file: Path | None) -> str:
    passphrase = _given(passphrase_file)
    if passphrase is None:
        _require_terminal(str(file))
        passphrase = click.prompt(f"Passphrase of {file}", hide_input=True, err=True)
    return passphrase


def _given(file: Path | None) -> str | None:
    """What a file or the environment says; ``None`` if neither does."""
    if file is None:
        return os.environ.get(VARIABLE)
    try:
        with file.open(encoding="utf-8", errors="surrogateescape") as lines:
            return lines.readline(4 * MAX_PASSPHRASE_CHARACTERS).rstrip("\r\n")
    except OSError as error:
        raise Failure(f"{file}: cannot be read: {(error.strerror or str(error)).lower()}") from None


def _require_terminal(what: str) -> None:
    if not sys.stdin.isatty():
        raise Failure(
            f"{what}: nobody is there to ask for its passphrase; name a file with --passphrase-file, "
            f"or set {VARIABLE}"
        )
