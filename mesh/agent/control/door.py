"""The control socket, served."""

import contextlib
import os
import socket
from pathlib import Path
from typing import Final
from wsgiref.types import WSGIApplication

from mesh.agent.control.resource import MAX_BODY_BYTES
from mesh.agent.control.socket_file import NAME, NoSocketError, listen_at
from mesh.agent.dashboard.server import HttpServer
from mesh.agent.logs import logger

_log: Final = logger("agent")


class ControlDoor:
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
        self._socket = None if self._path is None else _listening_at(self._path)
        self._place = _place(self._path)
        self._server: HttpServer | None = None

    def serve(self, app: WSGIApplication) -> None:
        """Answer from now on."""
        if self._socket is not None:
            self._server = HttpServer(app, (self._socket,), max_body_bytes=MAX_BODY_BYTES)
            self._server.start()

    def close(self) -> None:
        """Stop serving, and leave no file behind."""
        if self._path is None or self._socket is None:
            return
        with contextlib.suppress(OSError):
            if _place(self._path) == self._place:  # else somebody has removed it, or put another there
                self._path.unlink()
        if self._server is not None:
            self._server.stop()
        self._socket.close()


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
