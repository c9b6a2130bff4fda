"""One agent of a scenario on loopback: a process that may be paused, and what it has logged since."""

import signal
import subprocess
from pathlib import Path
from typing import Any, Final

from scripts.lab.agent_processes import AgentProcess

STOP_TIMEOUT_S: Final = 20.0

NOT_READY: Final = (OSError, ValueError, KeyError)
"""What asking an agent raises that does not run, or not yet."""


class RealAgent(AgentProcess):
    """One process of ``python -m mesh.agent``.

    Args:
        folder: has its key and certificate.
        config: what its configuration file is to say.
        http_port: of its dashboard.
    """

    def __init__(self, name: str, folder: Path, config: dict[str, Any], http_port: int) -> None:
        super().__init__(name, folder, config, http_port)
        self.is_paused = False
        self._bytes_read = 0

    def new_lines(self) -> list[str]:
        """What it has logged since this was asked last."""
        if not self.log.exists():
            return []
        with self.log.open("rb") as log:
            log.seek(self._bytes_read)
            data, end, _ = log.read().rpartition(b"\n")
        self._bytes_read += len(data) + len(end)
        return data.decode(errors="replace").splitlines()

    def restart(self) -> None:
        """Start its process, and wait for nothing; a former one that still lives is killed first."""
        self.kill()
        self.start(wait=False)

    def kill(self) -> None:
        """SIGKILL, if it runs."""
        if self.is_running:
            super().kill()
        self.is_paused = False

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it runs."""
        if self.is_running:
            self.process.signal(number)
            if number is signal.SIGSTOP:
                self.is_paused = True
            elif number is signal.SIGCONT:
                self.is_paused = False

    def stop(self) -> int:
        """SIGTERM, and wait; the exit status, which is that of SIGKILL if it takes too long."""
        if not self.was_started:
            return 0
        self.signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return -signal.SIGKILL
