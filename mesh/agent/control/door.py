"""The control socket, served."""

import contextlib
import os
import socket
import threading
import time
from math import inf
from pathlib import Path
from typing import Final
from wsgiref.types import WSGIApplication

from mesh.agent.control.resource import MAX_BODY_BYTES
from mesh.agent.control.socket_file import NAME, NoSocketError, listen_at
from mesh.agent.dashboard.server import HttpServer
from mesh.agent.files import AgentFileError
from mesh.agent.logs import logger

LOOK_S: Final = 2.0
"""How often it is looked whether the socket's file is there: one question to the file system."""

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

    _app: WSGIApplication
    """Set when it begins to serve."""

    def __init__(self, data_dir: Path | None) -> None:
        self._path = None if data_dir is None else data_dir / NAME
        self._socket = None if self._path is None else _listening_at(self._path)
        self._place = _place(self._path)
        self._server: HttpServer | None = None
        self._complaint = ""
        """Why a socket that was removed is not there again."""
        self._next_look_s = time.monotonic() + LOOK_S

    def serve(self, app: WSGIApplication) -> None:
        """Answer from now on."""
        self._app = app
        if self._socket is not None:
            self._server = HttpServer(app, (self._socket,), max_body_bytes=MAX_BODY_BYTES)
            self._server.start()

    def wait_s(self) -> float:
        """Seconds until the next :meth:`look`; infinite if there was no socket from the start."""
        return inf if self._socket is None else self._next_look_s - time.monotonic()

    def look(self) -> None:
        """Make the socket anew if its file is gone, as what cleans up temporary files removes it.

        Without it nobody can ask this agent, and another that is started with its data directory would run.
        """
        path, server = self._path, self._server
        if path is None or server is None or self.wait_s() > 0:
            return
        self._next_look_s = time.monotonic() + LOOK_S
        if _place(path) == self._place:
            return
        try:
            made = listen_at(path)
        except (AgentFileError, NoSocketError) as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                _log.error("the control socket was removed: %(reason)s", {"reason": self._complaint})
            return
        self._complaint = ""
        _log.warning("the control socket was removed, and is there again: %s", path)
        # What it is being asked may wait for this very thread.
        threading.Thread(target=server.stop, name="control-stop", daemon=True).start()
        self._socket, self._place = made, _place(path)
        self.serve(self._app)

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
