"""One agent of a scenario on loopback: its configuration, its process, and what its dashboard says."""

import contextlib
import http.client
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import yaml

LOG_FILE: Final = "agent.log"
LOOPBACK: Final = "127.0.0.1"
ASK_TIMEOUT_S: Final = 5.0
STOP_TIMEOUT_S: Final = 20.0

NOT_READY: Final = (OSError, http.client.HTTPException, ValueError, KeyError)
"""What asking an agent raises that does not run, or not yet."""

QUIET: Final = ("open_connections", "stream_count", "pending_opens", "unacknowledged_segments")
"""Figures of the dashboard that are zero when nobody is connected."""


class RealAgent:
    """One process of ``python -m mesh.agent``.

    Args:
        folder: has its key and certificate.
        config: what its configuration file is to say.
        http_port: of its dashboard.
    """

    def __init__(self, name: str, folder: Path, config: dict[str, Any], http_port: int) -> None:
        self.name = name
        self.http_port = http_port
        self.log = folder / LOG_FILE
        self.is_paused = False
        self._bytes_read = 0
        self._file = folder / "config.yaml"
        self._file.write_text(yaml.safe_dump(config, sort_keys=False))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        """Whether its process lives; it may be about to leave."""
        return self._process is not None and self._process.poll() is None

    @property
    def status(self) -> int | None:
        """What its process ended with; ``None`` while it runs, or was never started."""
        return None if self._process is None else self._process.poll()

    def new_lines(self) -> list[str]:
        """What it has logged since this was asked last."""
        if not self.log.exists():
            return []
        with self.log.open("rb") as log:
            log.seek(self._bytes_read)
            data, end, _ = log.read().rpartition(b"\n")
        self._bytes_read += len(data) + len(end)
        return data.decode(errors="replace").splitlines()

    def start(self) -> None:
        """Start its process; a former one that still lives is killed first."""
        self.kill()
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C is for the simulator, which then ends its processes.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mesh.agent", str(self._file)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None and self.is_running:
            self._process.kill()
            self._process.wait()
        self.is_paused = False

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, where it runs."""
        if self._process is not None and self.is_running:
            self._process.send_signal(number)
            if number is signal.SIGSTOP:
                self.is_paused = True
            elif number is signal.SIGCONT:
                self.is_paused = False

    def stop(self) -> int:
        """SIGTERM, and wait; the exit status."""
        if self._process is None:
            return 0
        self.signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return -signal.SIGKILL

    def dashboard(self) -> dict[str, Any]:
        """What ``GET /api/dashboard`` says.

        Raises:
            OSError, http.client.HTTPException, ValueError: it does not answer, or not with that.
        """
        connection = http.client.HTTPConnection(LOOPBACK, self.http_port, timeout=ASK_TIMEOUT_S)
        with contextlib.closing(connection):
            connection.request("GET", "/api/dashboard")
            document: dict[str, Any] = json.loads(connection.getresponse().read())
        return document
