"""Processes, ports and patience: what every system test needs, and what never outlives a test."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOOPBACK = "127.0.0.1"
PATIENCE_S = 20.0
"""How long anything may take that should take milliseconds: only a broken program waits this long."""
POLL_S = 0.02
STOP_TIMEOUT_S = 15.0
LAST_BYTES = 20_000
"""Of a log that is shown with a failure."""


NOT_YET = (OSError, json.JSONDecodeError, KeyError, EOFError)
"""What a program that is not ready makes its clients raise."""


def wait_until(condition, what, timeout_s=PATIENCE_S, not_yet=NOT_YET):
    """Look until ``condition()`` is true, and return it; errors in ``not_yet`` count as false."""
    deadline = time.monotonic() + timeout_s
    while True:
        last = None
        try:
            last = condition()
        except not_yet as error:
            failure = f"{type(error).__name__}: {error}"
        else:
            failure = f"last seen: {last!r}"
        if last:
            return last
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:g} s: {what} ({failure})")
        time.sleep(POLL_S)


class Ports:
    """Loopback ports that stay reserved until ``close``.

    A bound socket that does not listen keeps the kernel from giving the port away, and SO_REUSEADDR lets the
    program under test listen on it all the same.
    """

    def __init__(self):
        self._reserved = []

    def reserve(self, host=LOOPBACK):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        reserved = socket.socket(family, socket.SOCK_STREAM)
        self._reserved.append(reserved)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind((host, 0))
        return reserved.getsockname()[1]

    def close(self):
        for reserved in self._reserved:
            reserved.close()
        self._reserved.clear()


class Process:
    """A program with its output in a file; it and its children end with ``stop`` or ``kill``."""

    def __init__(self, command, log, *, cwd=None, environment=None):
        self.command = [str(part) for part in command]
        self.log = Path(log)
        self.log_start = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as output:
            self._child = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )

    @property
    def pid(self):
        return self._child.pid

    @property
    def is_running(self):
        return self._child.poll() is None

    @property
    def output(self):
        """What this run has written."""
        with self.log.open("rb") as file:
            file.seek(self.log_start)
            return file.read().decode(errors="replace")

    def wait(self, timeout_s=STOP_TIMEOUT_S):
        """The exit status: negative for a signal."""
        return self._child.wait(timeout_s)

    def signal(self, number):
        self._child.send_signal(number)

    def stop(self, timeout_s=STOP_TIMEOUT_S):
        """End it in order; the exit status."""
        if self.is_running:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
        try:
            status = self.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGABRT)  # Python's fault handler writes the stacks of all threads to the log
            self.wait(timeout_s)
            self._end_group()
            raise AssertionError(f"{self.command} did not end within {timeout_s:g} s") from None
        self._end_group()
        return status

    def kill(self):
        """As a crash or a power cut ends it."""
        if self.is_running:
            self._child.kill()
        self._child.wait()
        self._end_group()

    def _end_group(self):
        # Its own children, such as the session processes of sshd: the group is that of this process alone.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def descriptors(self):
        """What its descriptors are, by number."""
        found = {}
        folder = Path(f"/proc/{self.pid}/fd")
        for entry in folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                found[int(entry.name)] = str(entry.readlink())
        return found

    def memory(self):
        """Bytes resident now."""
        return self._status_kib("VmRSS") * 1024

    def peak_memory(self):
        """The most bytes that were ever resident."""
        return self._status_kib("VmHWM") * 1024

    def _status_kib(self, field):
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(field))

    def threads(self):
        return len(list(Path(f"/proc/{self.pid}/task").iterdir()))


def is_listening(port):
    """Whether a program listens at a port, by the kernel's table: iperf3 takes a connection for a client."""
    listen = "0A"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(row[1].endswith(f":{port:04X}") and row[3] == listen for row in rows)


def python(*arguments):
    """The command of a program in this interpreter."""
    return [sys.executable, *arguments]


def tail(log):
    """The end of a log, for people."""
    with Path(log).open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - LAST_BYTES))
        return file.read().decode(errors="replace")
