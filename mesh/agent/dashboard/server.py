"""Serves a WSGI application with Waitress on threads of its own."""

import logging
import socket
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final
from wsgiref.types import WSGIApplication

from waitress import wasyncore  # type: ignore[import-untyped]
from waitress.server import (  # type: ignore[import-untyped]
    BaseWSGIServer,
    MultiSocketServer,
    create_server,
)

from mesh.addresses import TcpAddress
from mesh.agent.dashboard.channels import (
    MAX_CONNECTIONS,
    ClientChannel,
    Pace,
    accept,
    close_overdue,
    make_room_at_limit,
)
from mesh.agent.dashboard.kept_answers import KeptAnswers
from mesh.agent.dashboard.tls import TlsClient
from mesh.agent.threads import ThreadsOnDemand

THREADS: Final = 8
"""Requests under way at once. They mostly wait for one shared answer, so more would not serve faster."""

MAX_HEADER_BYTES: Final = 16 * 1024
MAX_BODY_BYTES: Final = 1024
"""Of who may only read: nothing takes a body, and a little is read so that a polite 405 can be sent."""

IDLE_TIMEOUT_S: Final = 60
LOOP_TIMEOUT_S: Final = 30
"""How often Waitress's loop looks for idle connections; shorter would only wake an idle agent."""

LOOK_S: Final = 1.0
"""How often it looks for requests that have not come in time, while one is awaited."""

MIN_WAIT_S: Final = 0.002
"""The kernel waits for whole milliseconds."""

SERVED_AT_ONCE: Final = 7
"""Clients that are begun to be served in one turn of the loop: fewer than it makes room for."""

STOP_TIMEOUT_S: Final = 2.0

_log = logging.getLogger("mesh.http")


class HttpServer:
    """One HTTP server; started and stopped once each, from any thread.

    Args:
        app: the WSGI callable.
        listening: of :func:`~mesh.agent.dashboard.listening.listen`; the server's from now on. Clients wait
            in them until the start.
        max_body_bytes: of a request.
        secured: makes of a client's socket one that encrypts, or nothing else.
    """

    def __init__(
        self,
        app: WSGIApplication,
        listening: Sequence[socket.socket],
        *,
        max_body_bytes: int = MAX_BODY_BYTES,
        secured: Callable[[socket.socket], socket.socket | TlsClient] = lambda client: client,
    ) -> None:
        self._secured = secured
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._listening = listening
        self._server: BaseWSGIServer | MultiSocketServer | None = None
        self._sockets: dict[int, Any] = {}
        self._trigger: Any = None
        self._thread: threading.Thread | None = None
        self._pace = Pace()
        self._kept = KeptAnswers()
        self._is_ending = False
        """Set in the loop."""
        self._told_to_end = threading.Event()
        """Nobody writes to the trigger any more: it may be closed."""

    def start(self) -> TcpAddress | None:
        """Serve; returns the bound address, with the chosen port, unless it is a unix socket."""
        bound = _bound_address(self._listening)
        self._server = create_server(
            self._app,
            map=self._sockets,
            sockets=list(self._listening),
            _dispatcher=ThreadsOnDemand(THREADS),
            connection_limit=MAX_CONNECTIONS,
            max_request_header_size=MAX_HEADER_BYTES,
            max_request_body_size=self._max_body_bytes,
            channel_timeout=IDLE_TIMEOUT_S,
            cleanup_interval=LOOP_TIMEOUT_S,
            log_socket_errors=False,  # a client that left early is no news
            ident=None,
        )
        servers = [part for part in self._sockets.values() if isinstance(part, BaseWSGIServer)]
        for server in servers:
            server.handle_accept = partial(self._take_from, server)
            server.pace = self._pace
            server.kept = self._kept
            server.secured = self._secured
        self._trigger = servers[0].trigger  # one wakes the loop, which all have in common
        self._thread = threading.Thread(target=self._loop, name="http-loop", daemon=True)
        self._thread.start()
        return bound

    def _loop(self) -> None:
        """Waitress's own loop, with limits to time and pace; in the end it closes all sockets."""
        while not self._is_ending:
            now = time.monotonic()
            make_room_at_limit(self._sockets)
            room = min(MAX_CONNECTIONS - len(self._sockets), SERVED_AT_ONCE)
            is_turn_of_others = room > 0 and self._pace.arrivals.serve(room, now)
            is_time_running = close_overdue(self._sockets, now, time.time())
            timeout_s = LOOK_S if is_time_running else LOOP_TIMEOUT_S
            wait_s = self._pace.wait_s(now)
            if wait_s:
                timeout_s = min(timeout_s, wait_s + MIN_WAIT_S)
            heard = self._pace.heard(self._sockets, now)
            unread = [one for one in heard.values() if isinstance(one, ClientChannel) and one.has_unread()]
            for channel in unread:  # of these the kernel has nothing to tell
                wasyncore.read(channel)
            # Not select(): it fails at descriptor 1024, which a busy agent passes.
            wasyncore.poll2(0.0 if unread or is_turn_of_others else timeout_s, heard)
        # A thread that has just served may have woken the loop before the one that ends it wrote to the
        # trigger: closed under it, the descriptor would be none, or another file's.
        self._told_to_end.wait(STOP_TIMEOUT_S)
        wasyncore.close_all(self._sockets, ignore_all=True)
        self._pace.arrivals.close()

    def _take_from(self, server: BaseWSGIServer) -> None:
        """Clients have come to one of the listening sockets. In the loop."""
        self._pace.arrivals.take_from(partial(accept, server), time.monotonic())

    def _end(self) -> None:
        self._is_ending = True

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Finish requests under way, close every connection and end the threads; idempotent.

        Waits up to ``timeout_s`` seconds for the requests and as long for the loop; what hangs is left behind
        on daemon threads.
        """
        server, self._server = self._server, None
        if server is None or self._thread is None:
            for bound in self._listening:
                bound.close()
            return
        server.task_dispatcher.shutdown(cancel_pending=True, timeout=timeout_s)
        # Waitress's sockets belong to its loop: they are closed there.
        self._trigger.pull_trigger(self._end)
        self._told_to_end.set()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            _log.warning("the HTTP loop did not end within %.1f s", timeout_s)


def _bound_address(listening: Sequence[socket.socket]) -> TcpAddress | None:
    if listening[0].family == socket.AF_UNIX:
        return None
    host, port = listening[0].getsockname()[:2]
    if len(listening) > 1:
        host = "localhost"  # nothing else has several sockets
    return TcpAddress(host, port)
