"""The control socket, served."""

import contextlib
from pathlib import Path
from wsgiref.types import WSGIApplication

from mesh.agent.control.api import MAX_BODY_BYTES
from mesh.agent.control.socket_file import NAME, listen_at
from mesh.agent.dashboard.server import HttpServer


class ControlDoor:
    """Takes the control socket when it is made; :meth:`close` ends it.

    Taking it before the actors start finds another agent that has the same data directory.

    Args:
        data_dir: the agent's; without one there is no control socket.

    Raises:
        AgentFileError: the socket cannot be had; the text is one line for people.
    """

    def __init__(self, data_dir: Path | None) -> None:
        self._path = None if data_dir is None else data_dir / NAME
        self._socket = None if self._path is None else listen_at(self._path)
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
        with contextlib.suppress(OSError):  # somebody else may have removed it
            self._path.unlink()
        if self._server is not None:
            self._server.stop()
        self._socket.close()
