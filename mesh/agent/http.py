"""The agent's HTTP side: its port, and the server behind it."""

import contextlib
import errno
import socket
from importlib.metadata import version
from typing import Final

from mesh.agent.dashboard.app import DashboardApp
from mesh.agent.dashboard.server import HttpServer, listen
from mesh.agent.dashboard.status import StatusSource
from mesh.agent.files import AgentFileError
from mesh.agent.logs import logger
from mesh.config.loading import NOTHING_WRITTEN, Written
from mesh.config.schema import Config

DISTRIBUTION: Final = "mesh-agent"

_log: Final = logger("agent")


def open_http(
    config: Config, stack: contextlib.ExitStack, written: Written = NOTHING_WRITTEN
) -> tuple[socket.socket, ...]:
    """The listening sockets of ``http.address``, none without that section; ``stack`` closes them.

    Raises:
        AgentFileError: the port cannot be used; the text is one line for people.
    """
    if config.http is None:
        return ()
    try:
        listening = listen(config.http.address)
    except OSError as error:
        hint = "; does another agent run on this machine?" if error.errno == errno.EADDRINUSE else ""
        why = (error.strerror or str(error)).replace(
            str(config.http.address), written.get("http.address", str(config.http.address))
        )
        raise AgentFileError(f"http.address: {why}{hint}") from None
    for bound in listening:
        stack.callback(bound.close)
    return listening


def serve_http(
    config: Config, listening: tuple[socket.socket, ...], status: StatusSource, stack: contextlib.ExitStack
) -> None:
    """Show ``status`` to those who come to the sockets of :func:`open_http`, until ``stack`` is closed."""
    if config.http is None:
        return
    app = DashboardApp(status, version=version(DISTRIBUTION), allowed_hosts=config.http.allowed_hosts)
    server = HttpServer(app, listening)
    address = server.start()
    stack.callback(app.close)
    stack.callback(server.stop)
    _log.info("dashboard at http://%s/", address)
