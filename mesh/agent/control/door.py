"""The control socket, served."""

import threading
import time
from math import inf
from typing import Final
from wsgiref.types import WSGIApplication

from mesh.agent.control.control_socket import ControlSocket
from mesh.agent.control.resource import MAX_BODY_BYTES
from mesh.agent.dashboard.server import HttpServer

LOOK_S: Final = 2.0
"""How often it is looked whether the socket's file is there: one question to the file system."""


class ControlDoor:
    """Serves ``taken`` from :meth:`serve` to :meth:`close`, which lets go of it, too."""

    _app: WSGIApplication
    """Set when it begins to serve."""

    def __init__(self, taken: ControlSocket) -> None:
        self._taken = taken
        self._server: HttpServer | None = None
        self._next_look_s = time.monotonic() + LOOK_S

    def serve(self, app: WSGIApplication) -> None:
        """Answer from now on."""
        self._app = app
        listening = self._taken.listening
        if listening is not None:
            self._server = HttpServer(app, (listening,), max_body_bytes=MAX_BODY_BYTES)
            self._server.start()

    def wait_s(self) -> float:
        """Seconds until the next :meth:`look`; infinite if there was no socket from the start."""
        return inf if self._taken.listening is None else self._next_look_s - time.monotonic()

    def look(self) -> None:
        """Make the socket anew if its file is gone, as what cleans up temporary files removes it.

        Without it nobody can ask this agent, and another that is started with its data directory would run.
        """
        server = self._server
        if server is None or self.wait_s() > 0:
            return
        self._next_look_s = time.monotonic() + LOOK_S
        if self._taken.again():
            # What it is being asked may wait for this very thread.
            threading.Thread(target=server.stop, name="control-stop", daemon=True).start()
            self.serve(self._app)

    def close(self) -> None:
        """Stop serving, and leave no file behind."""
        self._taken.remove()  # first: who comes now finds nobody
        if self._server is not None:
            self._server.stop()
        self._taken.close()
