"""The control socket of an agent, taken before its actors start."""

import contextlib
import os
import socket
from pathlib import Path
from typing import Final

from mesh.agent.control.socket_file import NAME, NoSocketError, listen_at
from mesh.agent.files import AgentFileError
from mesh.agent.logs import logger

_log: Final = logger("agent")


class ControlSocket:
    """Takes the control socket when it is made; :meth:`close` ends it.

    Taking it before the actors start finds another agent that has the same data directory. Where it cannot be
    made (a disk that is read-only or full), the agent runs without it: its connections are worth more.

    Args:
        data_dir: the agent's; without one there is no control socket.

    Raises:
        AgentFileError: another agent has it, or something else is there; the text is one line for people.
    """

    def __init__(self, data_dir: Path | None) -> None:
        self._path = None if data_dir is None else data_dir / NAME
        self.listening: socket.socket | None = None if self._path is None else _listening_at(self._path)
        """``None`` where there is none."""
        self._place = _place(self._path)
        self._complaint = ""
        """Why a socket that was removed is not there again."""

    def again(self) -> bool:
        """Make it anew if its file is gone; return whether that was so, and has been done.

        The former one is not closed here: whoever serves it does that.
        """
        path = self._path
        if path is None or self.listening is None or _place(path) == self._place:
            return False
        try:
            made = listen_at(path)
        except (AgentFileError, NoSocketError) as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                _log.error("the control socket was removed: %(reason)s", {"reason": self._complaint})
            return False
        self._complaint = ""
        _log.warning("the control socket was removed, and is there again: %s", path)
        self.listening, self._place = made, _place(path)
        return True

    def remove(self) -> None:
        """Leave no file behind; once, for that of an agent that starts then may get the same inode."""
        place, self._place = self._place, None
        if self._path is None or self.listening is None or place is None:
            return
        with contextlib.suppress(OSError):
            if _place(self._path) == place:  # else somebody has removed it, or put another there
                self._path.unlink()

    def close(self) -> None:
        """Let go of it, and leave no file behind."""
        self.remove()
        if self.listening is not None:
            self.listening.close()


def _listening_at(path: Path) -> socket.socket | None:
    try:
        return listen_at(path)
    except NoSocketError as error:
        _log.warning("no command can ask or change this agent, but SIGHUP can: %s", error)
        return None


def _place(path: Path | None) -> tuple[int, int] | None:
    """Device and inode of what is there."""
    if path is None:
        return None
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
