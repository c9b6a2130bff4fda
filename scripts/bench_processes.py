"""Processes of the benchmark: started, watched through /proc, and always ended."""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

LOAD: Final = Path(__file__).with_name("bench_load.py")
STOP_TIMEOUT_S: Final = 15.0
READY_TIMEOUT_S: Final = 30.0
POLL_S: Final = 0.02
LAST_LINES: Final = 15
CLIENT_GRACE_S: Final = 10.0
"""Beyond a client's own limit: its start, its end, and connecting."""


class BenchmarkError(Exception):
    """A process did not start, or a measurement failed; the text is for people."""


class Usage(msgspec.Struct, frozen=True):
    """What some processes have used."""

    cpu_s: float
    """User and system time so far."""
    memory_octets: int
    """Proportional set size now: shared pages count once over all processes."""


class Process:
    """A child process with its output in a file; ``stop`` ends it and what it started."""

    def __init__(self, command: Sequence[str], log: Path, environment: dict[str, str] | None = None) -> None:
        self._log = log
        with log.open("wb") as output:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Of the process itself."""
        return self._child.pid

    def check(self) -> None:
        """Nothing while it runs.

        Raises:
            BenchmarkError: it has ended; with the last lines it wrote.
        """
        status = self._child.poll()
        if status is not None:
            raise BenchmarkError(f"{self._child.args!r} ended with status {status}:\n{self.last_words()}")

    def last_words(self) -> str:
        """The last lines it wrote."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-LAST_LINES:])

    def stop(self) -> None:
        """End it and its descendants: politely, then not."""
        with contextlib.ExitStack() as stack:
            below = []
            for pid in descendants(self.pid):
                with contextlib.suppress(ProcessLookupError):
                    # Held by descriptor: the number may be somebody else's by the time it is used.
                    below.append(os.pidfd_open(pid))
                    stack.callback(os.close, below[-1])
            self._child.terminate()
            try:
                self._child.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait(STOP_TIMEOUT_S)
            for descriptor in below:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                select.select([descriptor], [], [], STOP_TIMEOUT_S)  # readable when the process has ended


class Server:
    """A load server; ``port`` is where it listens."""

    def __init__(self, kind: str) -> None:
        self._child = _start(["serve", "--kind", kind])
        self.port: int = _one_line(self._child, READY_TIMEOUT_S)["port"]

    def stop(self) -> None:
        """End it."""
        _end(self._child)


class Holder:
    """Keeps open connections through ``port`` until stopped."""

    def __init__(self, port: int, count: int, timeout_s: float) -> None:
        self._child = _start(["hold", "--port", str(port), "--connections", str(count)])
        try:
            _one_line(self._child, timeout_s)
        except BaseException:
            _end(self._child)
            raise

    def stop(self) -> None:
        """Close them all."""
        _end(self._child)


class Background:
    """A load client that runs beside another until stopped."""

    def __init__(self, *arguments: str) -> None:
        self._child = _start(arguments)

    def stop(self) -> None:
        """End it, wherever it is.

        Raises:
            BenchmarkError: it had ended before: the load was not there all the time.
        """
        ended = self._child.poll() is not None
        self._child.kill()
        output, _ = self._child.communicate(timeout=STOP_TIMEOUT_S)
        if ended:
            raise BenchmarkError(f"the load in the background ended early: {output.decode().strip()}")


def measure(*arguments: str, seconds: float) -> dict[str, float]:
    """Run one load client for at most ``seconds`` and return what it measured.

    Raises:
        BenchmarkError: it stalled or failed.
    """
    child = _start([*arguments, "--seconds", str(seconds)])
    try:
        output, _ = child.communicate(timeout=seconds + CLIENT_GRACE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate(timeout=STOP_TIMEOUT_S)
        raise BenchmarkError(f"{arguments[0]}: no result within {seconds + CLIENT_GRACE_S:g} s") from None
    try:
        result: dict[str, Any] = json.loads(output)
    except ValueError:
        raise BenchmarkError(f"{arguments[0]}: the load client failed (status {child.returncode})") from None
    if "error" in result:
        raise BenchmarkError(f"{arguments[0]}: {result['error']}")
    return result


def descendants(pid: int) -> list[int]:
    """All processes below ``pid`` now."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                parents.setdefault(parent, []).append(int(entry.name))
    found, edge = [], [pid]
    while edge:
        edge = [child for parent in edge for child in parents.get(parent, ())]
        found += edge
    return found


def usage(roots: Iterable[int]) -> Usage:
    """What the processes ``roots`` and all below them have used."""
    ticks, memory = 0, 0
    for root in roots:
        for pid in (root, *descendants(root)):
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        memory += int(line.split()[1]) * 1024
    return Usage(cpu_s=ticks / os.sysconf("SC_CLK_TCK"), memory_octets=memory)


def free_ports(count: int) -> list[int]:
    """Loopback ports that were free a moment ago."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


def wait_for_listener(port: int, processes: Sequence[Process]) -> None:
    """Wait until something listens on ``port``.

    Raises:
        BenchmarkError: a process ended, or the time is up.
    """
    _wait(port, processes, lambda _: True, "nothing listens on")


def wait_for_echo(port: int, processes: Sequence[Process]) -> None:
    """Wait until octets sent to ``port`` come back.

    Raises:
        BenchmarkError: a process ended, or the time is up.
    """

    def echoes(probe: socket.socket) -> bool:
        probe.sendall(b"?")
        return probe.recv(1) == b"?"

    _wait(port, processes, echoes, "nothing came back through")


def _wait(
    port: int, processes: Sequence[Process], is_ready: Callable[[socket.socket], bool], complaint: str
) -> None:
    until = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < until:
        for process in processes:
            process.check()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2) as probe:
            if is_ready(probe):
                return
        time.sleep(POLL_S)
    words = "\n".join(process.last_words() for process in processes)
    raise BenchmarkError(f"{complaint} port {port} within {READY_TIMEOUT_S:g} s\n{words}".rstrip())


def _start(arguments: Sequence[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-I", str(LOAD), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def _one_line(child: "subprocess.Popen[bytes]", timeout_s: float) -> dict[str, Any]:
    assert child.stdout is not None  # noqa: S101 - a pipe was asked for
    ready, _, _ = select.select([child.stdout], [], [], timeout_s)
    line = child.stdout.readline() if ready else b""
    result: dict[str, Any] = json.loads(line) if line else {"error": f"silent for {timeout_s:g} s"}
    if "error" in result:
        raise BenchmarkError(f"a load process did not start: {result['error']}")
    return result


def _end(child: "subprocess.Popen[bytes]") -> None:
    """Close its standard input, which is its sign to end, and see that it does."""
    try:
        child.communicate(timeout=STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate(timeout=STOP_TIMEOUT_S)
