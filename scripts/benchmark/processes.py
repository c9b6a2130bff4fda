"""Processes of the benchmark: started, watched through /proc, and always ended."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from scripts.lab import processes
from scripts.lab.ports import Ports
from scripts.lab.processes import ROOT, STOP_TIMEOUT_S

READY_TIMEOUT_S: Final = 30.0
COMMAND_TIMEOUT_S: Final = 60.0
LAST_LINES: Final = 15
CHECK_S: Final = 0.2
"""Between two looks at the processes that a client needs."""

CPU_CLOCK: Final = 2
"""With the process's number, the clock of its CPU time: clock_getcpuclockid(3), in nanoseconds."""

CLIENT_GRACE_S: Final = 10.0
"""Beyond a client's own limit: its start, its end, and connecting."""


class BenchmarkError(Exception):
    """A process did not start, or a measurement failed; the text is for people."""


class Place(msgspec.Struct, frozen=True):
    """Where a process runs: on this host, or in a network namespace."""

    prefix: tuple[str, ...] = ()
    """What a command begins with to run there."""
    address: str = "127.0.0.1"
    """Where it is reached from the place before it."""


HERE: Final = Place()


class Usage(msgspec.Struct, frozen=True):
    """What some processes have used."""

    cpu_s: float
    """User and system time so far, children that have ended included."""
    memory_bytes: int
    """Proportional set size now: shared pages count once over all processes."""


class Process(processes.Process):
    """A child process with its output in a file; ``stop`` ends it and what it started."""

    def check(self) -> None:
        """Nothing while it runs.

        Raises:
            BenchmarkError: it has ended; with the last lines it wrote.
        """
        if self.status is not None:
            raise BenchmarkError(f"{self.command!r} ended with status {self.status}:\n{self.last_words()}")

    def last_words(self) -> str:
        """The last lines it wrote."""
        return "\n".join(self.output.splitlines()[-LAST_LINES:])

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """End it and its descendants: politely, then not; the exit status."""
        with contextlib.ExitStack() as stack:
            below = []
            for pid in descendants(self.pid):
                with contextlib.suppress(ProcessLookupError):
                    # Held by descriptor: the number may be somebody else's by the time it is used.
                    below.append(os.pidfd_open(pid))
                    stack.callback(os.close, below[-1])
            self.signal(signal.SIGTERM)
            try:
                status = self.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.signal(signal.SIGKILL)
                status = self.wait(timeout_s)
            for descriptor in below:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                select.select([descriptor], [], [], timeout_s)  # readable when the process has ended
        return status


class Server:
    """A load server; ``port`` is where it listens."""

    def __init__(self, kind: str, place: Place = HERE, addresses: Sequence[str] = ("127.0.0.1",)) -> None:
        self._child = _start(place, ["serve", "--kind", kind, "--addresses", *addresses])
        self.port: int = _first_line(self._child, READY_TIMEOUT_S)["port"]

    def stop(self) -> None:
        """End it."""
        _end(self._child)


class Wire:
    """A cable between two interfaces, which it makes (``wire.py``)."""

    def __init__(self, names: Sequence[str], *, delay_s: float, bits_per_s: float, loss: float) -> None:
        options = [f"--delay-s={delay_s}", f"--bits-per-s={bits_per_s}", f"--loss={loss}"]
        self._child = _run_module("scripts.benchmark.wire", HERE, [*names, *options])
        _first_line(self._child, READY_TIMEOUT_S)

    def stop(self) -> None:
        """Cut it; its interfaces go."""
        _end(self._child)


class Holder:
    """Keeps open connections, spread over ``ports``, until stopped."""

    def __init__(self, ports: Sequence[int], count: int, timeout_s: float, place: Place = HERE) -> None:
        options = ["--ports", *map(str, ports), "--connections", str(count)]
        self._child = _start(place, ["hold", *options])
        _first_line(self._child, timeout_s)

    def stop(self) -> None:
        """Close them all."""
        _end(self._child)


class Asker:
    """Asks an agent's HTTP side in turns (``load_requests.py``)."""

    def __init__(self, *arguments: str, place: Place = HERE) -> None:
        self._child = _start(place, ["ask", *arguments])

    def begin(self) -> None:
        """Ask from now on.

        Raises:
            BenchmarkError: it has ended.
        """
        assert self._child.stdin is not None  # noqa: S101 - a pipe was asked for
        try:
            self._child.stdin.write(b"\n")
            self._child.stdin.flush()
        except OSError as error:
            raise BenchmarkError(f"a load process failed: {error.strerror}") from None

    def end(self) -> Mapping[str, float]:
        """Ask no more; what came of it.

        Raises:
            BenchmarkError: it has ended, or does not answer.
        """
        self.begin()  # the same sign
        return _one_line(self._child, READY_TIMEOUT_S)

    def stop(self) -> None:
        """End it."""
        _end(self._child)


class Background:
    """A bulk transfer that runs beside another load until stopped."""

    def __init__(self, *arguments: str, place: Place = HERE) -> None:
        self._child = _start(place, ["flood", *arguments])

    def moved(self) -> tuple[int, float]:
        """Bytes it has moved so far, and when that was, in seconds of the monotonic clock.

        Raises:
            BenchmarkError: it has ended, or does not answer.
        """
        assert self._child.stdin is not None  # noqa: S101 - a pipe was asked for
        try:
            self._child.stdin.write(b"\n")
            self._child.stdin.flush()
        except OSError:
            pass  # its last line says why
        said = _one_line(self._child, READY_TIMEOUT_S)
        return said["byte_count"], said["at_s"]

    def stop(self) -> None:
        """End it, wherever it is.

        Raises:
            BenchmarkError: it had ended before: the load was not there all the time.
        """
        ended = self._child.poll() is not None
        self._child.kill()
        try:
            output, _ = self._child.communicate(timeout=STOP_TIMEOUT_S)
        except BrokenPipeError:  # what was still to be written to it
            output = b""
        if ended:
            raise BenchmarkError(f"the load in the background ended early: {output.decode().strip()}")


def measure(
    *arguments: str, seconds: float, place: Place = HERE, needs: Sequence[Process] = ()
) -> dict[str, float]:
    """Run one load client for at most ``seconds`` and return what it measured.

    It cannot succeed without the processes ``needs``: when one of them ends, so does the wait.

    Raises:
        BenchmarkError: it stalled or failed.
    """
    child = _start(place, [*arguments, "--seconds", str(seconds)])
    until = time.monotonic() + seconds + CLIENT_GRACE_S
    output = b""
    try:
        while True:
            left_s = until - time.monotonic()
            with contextlib.suppress(subprocess.TimeoutExpired):
                output, _ = child.communicate(timeout=max(0.0, min(left_s, CHECK_S) if needs else left_s))
                break
            for process in needs:
                process.check()
            if left_s <= 0:
                raise BenchmarkError(f"{arguments[0]}: no result within {seconds + CLIENT_GRACE_S:g} s")
    finally:
        if child.poll() is None:
            child.kill()
            child.communicate(timeout=STOP_TIMEOUT_S)
    try:
        result: dict[str, Any] = json.loads(output)
    except ValueError:
        raise BenchmarkError(f"{arguments[0]}: the load client failed (status {child.returncode})") from None
    if "error" in result:
        words = "\n".join(process.last_words() for process in needs)
        raise BenchmarkError(f"{arguments[0]}: {result['error']}\n{words}".rstrip())
    return result


def command(arguments: Sequence[str]) -> None:
    """Run one command to its end.

    Raises:
        BenchmarkError: it failed; with what it wrote.
    """
    done = subprocess.run(
        arguments,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=COMMAND_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        words = (done.stdout + done.stderr).decode(errors="replace").strip()
        raise BenchmarkError(f"{' '.join(arguments)} failed:\n{words}")


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


def usage(roots: Iterable[int], *, memory: bool = False) -> Usage:
    """What the processes ``roots`` and all below them have used; memory only where it is asked for."""
    cpu_s, byte_count = 0.0, 0
    for root in roots:
        for pid in (root, *descendants(root)):
            with contextlib.suppress(OSError):
                cpu_s += time.clock_gettime(~pid << 3 | CPU_CLOCK)
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                cpu_s += (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
                if memory:
                    byte_count += memory_bytes(pid)
    return Usage(cpu_s=cpu_s, memory_bytes=byte_count)


def memory_bytes(pid: int) -> int:
    """Proportional set size of one process."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def free_ports(count: int) -> list[int]:
    """Loopback ports that were free a moment ago."""
    with contextlib.closing(Ports()) as ports:
        return [ports.reserve() for _ in range(count)]


def wait_for_listener(address: str, port: int, processes: Sequence[Process], place: Place = HERE) -> None:
    """Wait until something listens there, as seen from ``place``.

    Raises:
        BenchmarkError: a process ended, or the time is up.
    """
    where = ["--addresses", address, "--port", str(port)]
    measure("listens", *where, seconds=READY_TIMEOUT_S, place=place, needs=processes)


def wait_for_echo(port: int, processes: Sequence[Process], place: Place = HERE) -> None:
    """Wait until bytes sent to ``port`` come back.

    Raises:
        BenchmarkError: a process ended, or the time is up.
    """
    measure("wait", "--port", str(port), seconds=READY_TIMEOUT_S, place=place, needs=processes)


def _start(place: Place, arguments: Sequence[str]) -> "subprocess.Popen[bytes]":
    return _run_module("scripts.benchmark.load", place, arguments)


def _run_module(name: str, place: Place, arguments: Sequence[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [*place.prefix, sys.executable, "-m", name, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def _first_line(child: "subprocess.Popen[bytes]", timeout_s: float) -> dict[str, Any]:
    """What a child says once it is ready; one that fails to is ended, for nobody else knows of it yet."""
    try:
        return _one_line(child, timeout_s)
    except BaseException:
        _end(child)
        raise


def _one_line(child: "subprocess.Popen[bytes]", timeout_s: float) -> dict[str, Any]:
    assert child.stdout is not None  # noqa: S101 - a pipe was asked for
    ready, _, _ = select.select([child.stdout], [], [], timeout_s)
    line = child.stdout.readline() if ready else b""
    result: dict[str, Any] = json.loads(line) if line else {"error": f"silent for {timeout_s:g} s"}
    if "error" in result:
        raise BenchmarkError(f"a load process failed: {result['error']}")
    return result


def _end(child: "subprocess.Popen[bytes]") -> None:
    """Close its standard input, which is its sign to end, and see that it does."""
    try:
        child.communicate(timeout=STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate(timeout=STOP_TIMEOUT_S)
