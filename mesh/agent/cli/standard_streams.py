"""Standard input, output and error, where one of them is missing, full or read by nobody."""

import os
import signal
import sys
from typing import Final

import click

from mesh.agent.cli.failure import Failure

STANDARD_DESCRIPTORS: Final = range(3)

EXIT_UNREAD: Final = 128 + signal.SIGPIPE
"""As of programs that SIGPIPE ends: 1 and 2 would say that something is wrong with what was asked for."""


def say(text: str) -> None:
    """Print what a command was asked for, all at once.

    Raises:
        Failure: it cannot be written, for example because the disk is full.
        click.exceptions.Exit: whoever read it has gone, as ``head`` does when it has seen enough.
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        # What the terminal's encoding has no character for is escaped: no error, as it says who is meant.
        click.echo(text.encode(encoding, "backslashreplace").decode(encoding))
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


def complete_standard_streams() -> None:
    """Let those that are closed lead to ``/dev/null``; to be called before anything else is opened.

    The next socket would get the number otherwise: log lines would go to a peer, and uvloop cannot close it.
    """
    for descriptor in STANDARD_DESCRIPTORS:
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
            os.set_inheritable(descriptor, True)
    for name, descriptor, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(descriptor, mode, closefd=False))
