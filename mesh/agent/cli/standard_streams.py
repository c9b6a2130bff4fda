"""Standard output, where it is full or read by nobody."""

import json
import os
import re
import signal
import sys
from typing import Final

import click

from mesh.agent.cli.failure import Failure
from mesh.agent.standard_descriptors import STANDARD_DESCRIPTORS
from mesh.escaping import can_be_seen

EXIT_UNREAD: Final = 128 + signal.SIGPIPE
"""As of programs that SIGPIPE ends: 1 and 2 would say that something is wrong with what was asked for."""


_NOT_PLAIN: Final = re.compile(r"[^\n\x20-\x7e]")


def json_text(data: bytes) -> str:
    """JSON as it is printed: what a terminal would obey is escaped as JSON has it, and so means the same."""
    return _NOT_PLAIN.sub(
        lambda found: found[0] if can_be_seen(found[0]) else json.dumps(found[0])[1:-1], data.decode()
    )


def say(text: str, *, end: str = "\n") -> None:
    """Print what a command was asked for, all at once, or a part of it.

    Raises:
        Failure: it cannot be written, for example because the disk is full.
        click.exceptions.Exit: whoever read it has gone, as ``head`` does when it has seen enough.
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        # What the terminal's encoding has no character for is escaped: no error, as it says who is meant.
        click.echo((text + end).encode(encoding, "backslashreplace").decode(encoding), nl=False)
    except BrokenPipeError:
        _drop_output()
        raise click.exceptions.Exit(EXIT_UNREAD) from None
    except OSError as error:
        _drop_output()
        raise Failure(f"standard output: {(error.strerror or str(error)).lower()}") from None


def _drop_output() -> None:
    """Let what is still buffered go nowhere: the interpreter would try again, and complain, at its end."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, STANDARD_DESCRIPTORS[1])
    os.close(null)
