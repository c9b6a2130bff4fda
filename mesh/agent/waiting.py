"""Before the start: until the certificate is valid, where a machine's clock is wrong at first.

A board without a clock of its own starts in 1970, and the agent's process starts before the time has come
over the network. Ending would not help: whatever restarts the agent would give up sooner or later.
"""

import contextlib
import os
import signal
import sys
import time
from typing import Final

from mesh.agent.control.control_socket import ControlSocket
from mesh.agent.credentials import CertificateEarlyError, open_credentials
from mesh.agent.dashboard.listening import take_port
from mesh.agent.dashboard.status import DashboardSnapshot, StatusUnavailable
from mesh.agent.dump import dump
from mesh.agent.events import Events
from mesh.agent.importing import importing
from mesh.agent.logs import logger
from mesh.agent.terminal import Terminal
from mesh.config.loading import NOTHING_WRITTEN, Written
from mesh.config.schema import Config
from mesh.trust.credentials import Credentials

LOOK_S: Final = 1.0
"""How often the clock is read: it may jump, so no single timer would do."""

REMIND_S: Final = 600.0
"""How often the log says again what is being waited for."""

log: Final = logger("agent")


class StoppedWaiting(Exception):  # noqa: N818 - the wish of whoever sent the signal, not an error
    """A signal ended the process before its start."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number.name)
        self.signal = number


class WaitingStatus:
    """Implements :class:`~mesh.agent.dashboard.status.StatusSource` while there is nothing to show yet.

    ``/health`` is fine, so that nobody restarts the process; ``/ready`` says what is being waited for, and so
    does the control socket, whatever it is asked.
    """

    def __init__(self) -> None:
        self.reason = "the agent is starting"

    def dashboard_snapshot(self, timeout_s: float) -> DashboardSnapshot:
        """None yet.

        Raises:
            StatusUnavailable: with the reason.
        """
        raise StatusUnavailable(self.reason)


def wait_for_credentials(config: Config, events: Events, written: Written = NOTHING_WRITTEN) -> Credentials:
    """As :func:`~mesh.agent.credentials.open_credentials`, as soon as this machine's clock allows it.

    Files are read anew each time: a certificate that is replaced meanwhile is taken.

    Raises:
        AgentFileError: something else is wrong with a key, a certificate or the HTTP port, or another agent
            has this one's data directory.
        StoppedWaiting: a signal came first.
    """
    status = WaitingStatus()
    told_at, terminal = None, Terminal()
    with contextlib.ExitStack() as stack:
        while True:
            try:
                credentials = open_credentials(
                    config, now_unix_s=time.time(), random_bytes=os.urandom, written=written
                )
            except CertificateEarlyError as early:
                status.reason = f"waiting: {early}"
            else:
                if told_at is not None:
                    log.info("the certificate is valid now: starting")
                return credentials
            if told_at is None:
                with importing():
                    # An agent that starts loads these later.
                    from mesh.agent.control.door import ControlDoor  # noqa: PLC0415
                    from mesh.agent.control.not_yet import not_yet  # noqa: PLC0415
                    from mesh.agent.http import HttpSide  # noqa: PLC0415

                door = ControlDoor(ControlSocket(config.agent.data_dir))
                stack.enter_context(contextlib.closing(door)).serve(not_yet(status))
                http = stack.enter_context(
                    contextlib.closing(HttpSide(config.http, take_port(config.http, written)))
                )
                http.serve(http.dashboard(status), ())
            if told_at is None or time.monotonic() - told_at >= REMIND_S:
                told_at = time.monotonic()
                log.warning("%s", status.reason)
            _look_for_signals(events, terminal)


def _look_for_signals(events: Events, terminal: Terminal) -> None:
    """Let a moment pass.

    Raises:
        StoppedWaiting: the process is to end.
    """
    with contextlib.suppress(TimeoutError):
        event = events.get(LOOK_S)
        if event is signal.SIGUSR1:
            dump(sys.stderr)
        elif event is signal.SIGHUP and not terminal.is_closed:
            log.warning("SIGHUP: nothing is read anew before the start; restart the agent for that")
        elif isinstance(event, signal.Signals):
            raise StoppedWaiting(event)
