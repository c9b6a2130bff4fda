"""The terminal that an agent was started from: what SIGHUP means depends on whether it is still there.

A terminal that closes sends SIGHUP to what runs in it, as an operator does to have a configuration read anew.
"""

import errno
import os
from typing import Final

_PATH: Final = "/dev/tty"

_OWN_LIMITS: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""These say nothing of the terminal."""


class Terminal:
    """The controlling terminal of this process, if it had one when this was made (credentials(7))."""

    def __init__(self) -> None:
        self._was_there = _is_there()

    @property
    def is_closed(self) -> bool:
        """Whether it was there and has been hung up: nobody can stop the agent by Ctrl-C any more."""
        return self._was_there and not _is_there()


def _is_there() -> bool:
    try:
        descriptor = os.open(_PATH, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return error.errno in _OWN_LIMITS
    os.close(descriptor)
    return True
