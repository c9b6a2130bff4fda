"""An agent's process: started with a configuration, told to end or stopped dead, and asked what it knows."""

import contextlib
import http.client
import json
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

import yaml

from mesh.agent.control.client import AgentClient, Refused
from mesh.agent.control.requests import RELOAD
from mesh.agent.control.socket_file import NAME as CONTROL
from mesh.agent.dashboard.single_flight import FRESH_S
from mesh.agent.outcome import Outcome
from scripts.lab.ports import LOOPBACK
from scripts.lab.processes import ROOT, Process, python
from scripts.lab.waiting import POLL_S, wait_until

PROGRAM: Final = ("-m", "mesh.agent")
"""What the interpreter runs for an agent."""
LOG_FILE: Final = "agent.log"
RELOADED: Final = re.compile(r"reload [0-9]+ (?:done|refused)")
"""The end of a reload in the log."""
QUIET: Final = ("open_connections", "stream_count", "pending_opens", "unacknowledged_segments")
"""Figures of the dashboard that are zero when nobody is connected."""


def get(port: int, path: str, timeout_s: float = 5.0) -> tuple[int, bytes]:
    """Status and body of what an HTTP server on loopback has at ``path``.

    Raises:
        OSError: it does not answer, or not in HTTP.
    """
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=timeout_s)
    with contextlib.closing(connection):
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        except http.client.HTTPException as error:
            raise ConnectionError(repr(error)) from None


def dashboard(port: int) -> dict[str, Any]:
    """What ``GET /api/dashboard`` says at a port of loopback, of now: an agent shares answers for a moment.

    Raises:
        OSError, json.JSONDecodeError: it does not answer, or not with that.
    """
    began, deadline = datetime.now(UTC), time.monotonic() + FRESH_S  # an agent's clock may be another
    while True:
        is_last = time.monotonic() >= deadline
        status, body = get(port, "/api/dashboard")
        if status != http.HTTPStatus.OK:
            raise ConnectionError(f"dashboard: status {status}: {body[:200]!r}")
        document: dict[str, Any] = json.loads(body)
        if is_last or document["age_s"] or datetime.fromisoformat(document["as_of"]) >= began:
            return document
        time.sleep(POLL_S)


def write_config(file: Path, config: dict[str, Any]) -> None:
    """Write an agent's configuration."""
    file.write_text(yaml.safe_dump(config, sort_keys=False))


class AgentProcess:
    """One agent whose key and certificate are there; it may run many times.

    Args:
        folder: has its key and certificate, and gets its configuration and log.
        config: what its configuration file is to say; may be changed before ``start``.
        http_port: of its dashboard, on loopback.
    """

    def __init__(self, name: str, folder: Path, config: dict[str, Any], http_port: int) -> None:
        self.name = name
        self.folder = folder
        self.config = config
        self.http_port = http_port
        self.config_file = folder / "config.yaml"
        self.log = folder / LOG_FILE
        self._process: Process | None = None

    @property
    def process(self) -> Process:
        """Its latest run.

        Raises:
            RuntimeError: it was never started.
        """
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._process

    @property
    def was_started(self) -> bool:
        """Whether it has had a process, which may have ended."""
        return self._process is not None

    @property
    def is_running(self) -> bool:
        """Whether its process lives; it may be about to leave."""
        return self._process is not None and self._process.is_running

    @property
    def status(self) -> int | None:
        """What its process ended with, negative for a signal; ``None`` if it runs or was never started."""
        return None if self._process is None else self._process.status

    def start(
        self,
        *arguments: object,
        program: Sequence[object] = PROGRAM,
        prefix: Sequence[object] = (),
        wait: bool = True,
        inherited: Sequence[int] = (),
    ) -> Self:
        """Run it, by default until its dashboard answers.

        Args:
            arguments: of its command line, before the configuration.
            program: what the interpreter runs.
            prefix: what its command begins with, to run in another network namespace for example.
            wait: for the dashboard, for which it must listen on loopback of this namespace.
            inherited: descriptors that it gets.
        """
        write_config(self.config_file, self.config)
        command = [*prefix, *python("-X", "faulthandler", *program, *arguments, self.config_file)]
        self._process = Process(
            command,
            self.log,
            cwd=ROOT,
            inherited=inherited,
        )
        if wait:
            self.wait_until_it_answers()
        return self

    def wait_until_it_answers(self) -> None:
        """Wait for its dashboard."""
        wait_until(self._answers, f"{self.name}'s dashboard answers")

    def _answers(self) -> bool:
        if not self.process.is_running:
            raise AssertionError(f"{self.name} ended with status {self.process.wait()}")
        return self.get("/healthz")[0] == http.HTTPStatus.OK

    def reload(self) -> str:
        """Write its configuration anew and have it read; what its log says from then on."""
        write_config(self.config_file, self.config)
        return self.read_again()

    def read_again(self, *, by_signal: bool = False) -> str:
        """Have its configuration read as it is; what its log says from then on.

        Args:
            by_signal: SIGHUP, which an agent that was started under ``nohup`` ignores.
        """
        before = len(self.process.output)
        if by_signal:
            self.process.signal(signal.SIGHUP)
        else:
            with contextlib.suppress(Refused):  # its log says so, too
                AgentClient(self.folder / CONTROL).post(RELOAD, Outcome)
        wait_until(lambda: RELOADED.search(self.process.output, before), f"{self.name} has reloaded")
        return self.process.output[before:]

    def ask(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run a command that asks it; how that ended, and what it said."""
        command = python("-m", "mesh.agent.entry", *arguments, "--config", self.config_file)
        return subprocess.run(
            [str(part) for part in command], check=False, capture_output=True, text=True, timeout=60, cwd=ROOT
        )

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        return self.process.stop()

    def kill(self) -> None:
        """As a crash ends it."""
        self.process.kill()

    def pause(self) -> None:
        """SIGSTOP; nothing of it runs any more."""
        self.process.pause()

    def resume(self) -> None:
        """SIGCONT."""
        self.process.signal(signal.SIGCONT)

    def lines_with(self, text: str) -> list[str]:
        """Lines of its log, of this run, that have ``text`` in them."""
        return [line for line in self.process.output.splitlines() if text in line]

    def wait_for_lines_with(self, text: str) -> list[str]:
        """The same, as soon as there is one: a thread of its own writes the log, after what it tells of."""
        return wait_until(lambda: self.lines_with(text), f"the log of {self.name} says: {text}")

    def get(self, path: str, timeout_s: float = 5.0) -> tuple[int, bytes]:
        """Status and body of what its dashboard has at ``path``.

        Raises:
            OSError: it does not answer, or not in HTTP.
        """
        return get(self.http_port, path, timeout_s)

    def dashboard(self) -> dict[str, Any]:
        """What ``GET /api/dashboard`` says.

        Raises:
            OSError, json.JSONDecodeError: it does not answer, or not with that.
        """
        return dashboard(self.http_port)
