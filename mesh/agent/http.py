"""The agent's HTTP side: its port, and the server behind it, which may move while the agent runs."""

from collections.abc import Iterable
from typing import Final
from wsgiref.types import WSGIApplication

from actors.meters import Meters
from mesh.agent.control.admission import ByHttpAddress, Throttle
from mesh.agent.control.api import ApiApp, Front
from mesh.agent.control.bearers import Bearers
from mesh.agent.control.calling import Calling
from mesh.agent.control.reading_guard import ReadingGuard
from mesh.agent.control.resource import MAX_BODY_BYTES
from mesh.agent.control.route import Route
from mesh.agent.control.tokens import Tokens
from mesh.agent.dashboard.app import DashboardApp
from mesh.agent.dashboard.guard import Marks
from mesh.agent.dashboard.listening import HttpPort, listening_at, tls_of
from mesh.agent.dashboard.server import HttpServer
from mesh.agent.dashboard.status import StatusSource
from mesh.agent.files import AgentFileError
from mesh.agent.logs import logger
from mesh.agent.software import VERSION
from mesh.auditing import NOT_AUDITING, Auditing
from mesh.config.loading import NOTHING_WRITTEN, Written
from mesh.config.rules import is_for_this_machine
from mesh.config.schema import HttpSection

_log: Final = logger("agent")


class HttpSide:
    """Shows ``status`` to those who come to ``http.address``; :meth:`close` ends it.

    Args:
        section: ``http``; ``None`` shows nothing to anybody.
        port: of :func:`~mesh.agent.dashboard.listening.take_port`; its own from now on.
    """

    def __init__(self, section: HttpSection | None, port: HttpPort) -> None:
        self._section = section
        self._listening, self._tls = port
        self._app: DashboardApp | None = None
        self._tokens = Tokens()
        self._meters = Meters()
        self._admit(section)
        self._front: ReadingGuard | None = None
        self._server: HttpServer | None = None

    def dashboard(self, status: StatusSource, meters: Meters | None = None) -> DashboardApp:
        """What shows ``status``; to be served. ``meters`` count who is refused."""
        hosts = () if self._section is None else self._section.allowed_hosts
        self._meters = meters or Meters()
        self._app = DashboardApp(status, version=VERSION, allowed_hosts=hosts, meters=self._meters)
        return self._app

    def serve(
        self,
        app: DashboardApp,
        routes: Iterable[Route],
        calling: Calling | None = None,
        audit: Auditing = NOT_AUDITING,
    ) -> None:
        """Answer from now on: with ``app``, and for the API with ``routes``; ask others by ``calling``.

        What bearers of tokens change goes into ``audit``.
        """
        bearers = Bearers(self._tokens, audit, self._meters)
        middleware = Marks(), app.guard, Throttle(), ByHttpAddress(bearers, audit)
        self._front = ReadingGuard(Front(ApiApp(routes, middleware, calling), app), bearers)
        self._start(self._front)
        self._warn()

    def change(self, section: HttpSection | None, written: Written = NOTHING_WRITTEN) -> None:
        """Be as ``section`` says; while :meth:`serve` is in effect. An address that stays is not let go of.

        Raises:
            AgentFileError: the new port cannot be used; the old one is kept, or had again.
        """
        before, app, front = self._section, self._app, self._front
        if section == before or app is None or front is None:
            return
        moves = _place(section) != _place(before)
        if moves:
            self._tokens.allow((), guard_reading=True)  # meanwhile nobody, at either
            try:
                self._move(section, written, front)
            except BaseException:
                self._admit(before)
                raise
        self._section = section
        if section is not None:
            app.allow_hosts(section.allowed_hosts)
        self._admit(section)
        if moves:
            self._warn()

    def _admit(self, section: HttpSection | None) -> None:
        if section is not None:
            guard_reading = bool(section.tokens) and not is_for_this_machine(section.address)
            self._tokens.allow(section.tokens, guard_reading=guard_reading)

    def close(self) -> None:
        """Stop serving, and let go of the port."""
        self._stop()
        if self._app is not None:
            self._app.close()

    def _move(self, section: HttpSection | None, written: Written, app: WSGIApplication) -> None:
        before, tls = self._section, tls_of(section)
        try:
            listening = listening_at(section, written)
        except AgentFileError:
            if section is None or before is None or section.address.port != before.address.port:
                raise
            # The old address may be part of the new one (127.0.0.1 of 0.0.0.0), or the other way round.
            self._stop()
            try:
                listening = listening_at(section, written)
            except AgentFileError:
                self._section = None  # until it is had again
                self._listening = listening_at(before, written)
                self._section = before
                self._start(app)
                raise
        else:
            self._stop()
        self._listening, self._tls = listening, tls
        self._start(app)

    def _start(self, app: WSGIApplication) -> None:
        if not self._listening:
            return
        if self._tls is None:
            self._server, scheme = HttpServer(app, self._listening, max_body_bytes=MAX_BODY_BYTES), "http"
        else:
            secured, scheme = self._tls.wrapped, "https"
            self._server = HttpServer(app, self._listening, max_body_bytes=MAX_BODY_BYTES, secured=secured)
        _log.info("dashboard at %s://%s/", scheme, self._server.start())

    def _warn(self) -> None:
        if self._tls is None and self._tokens.guard_reading:
            _log.warning("http.address: tokens come there unencrypted; http.tls mends that")

    def _stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.stop()
        listening, self._listening = self._listening, ()
        for bound in listening:
            bound.close()


def _place(section: HttpSection | None) -> object:
    """Where and how clients come; a server is for one of these."""
    return None if section is None else (section.address, section.tls)
