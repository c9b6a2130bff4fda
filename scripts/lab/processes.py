"""Programs as processes, with their output in files; none outlives whoever started it."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from mesh.agent.core_dumps import DEBUGGABLE_VARIABLE
from scripts.interrupts import held_interrupts
from scripts.lab.waiting import wait_until

ROOT: Final = Path(__file__).resolve().parents[2]
STOP_TIMEOUT_S: Final = 15.0
LAST_BYTES: Final = 20_000
"""Of a log that is shown with a failure."""


class Process:
    """A program with its output in a file; it and its children end with ``stop`` or ``kill``.

    Args:
        command: its parts, each of which becomes a string.
        log: what it writes is added to this file.
        cwd: the folder it runs in; ours unless one is given.
        environment: variables beside ours.
        inherited: descriptors of ours that it gets.
    """

    def __init__(
        self,
        command: Sequence[object],
        log: str | Path,
        *,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
        inherited: Sequence[int] = (),
    ) -> None:
        self.command = [str(part) for part in command]
        self.log = Path(log)
        self.log_start = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as output, held_interrupts() as came:
            # A session of its own: Ctrl-C is for whoever started it, who then ends it in order.
            self._child = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                # An agent's descriptors are counted from outside, which root alone may do otherwise.
                env={DEBUGGABLE_VARIABLE: "1", **os.environ, **(environment or {})},
                start_new_session=True,
                pass_fds=tuple(inherited),
            )
            if came:  # whoever starts it is interrupted next, and would not know of it
                self.kill()

    @property
    def pid(self) -> int:
        """Of the program; also the id of its process group."""
        return self._child.pid

    @property
    def status(self) -> int | None:
        """What it ended with, negative for a signal; ``None`` while it runs."""
        return self._child.poll()

    @property
    def is_running(self) -> bool:
        """Whether it has not ended; it may be about to."""
        return self.status is None

    @property
    def output(self) -> str:
        """What this run has written."""
        with self.log.open("rb") as file:
            file.seek(self.log_start)
            return file.read().decode(errors="replace")

    def wait(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """The exit status, negative for a signal.

        Raises:
            subprocess.TimeoutExpired: it still runs after ``timeout_s``.
        """
        return self._child.wait(timeout_s)

    def pause(self) -> None:
        """SIGSTOP, and wait until no thread runs any more: one of them has to run to stop the others."""
        self.signal(signal.SIGSTOP)
        wait_until(self._is_stopped, f"{self.pid} has stopped")

    def _is_stopped(self) -> bool:
        with contextlib.suppress(FileNotFoundError):  # a thread that has just ended
            tasks = Path(f"/proc/{self.pid}/task").iterdir()
            return all((task / "stat").read_text().rpartition(")")[2].split()[0] == "T" for task in tasks)
        return False

    def signal(self, number: int) -> None:
        """Send a signal to the program alone; nothing happens if it has ended."""
        self._child.send_signal(number)

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """End it in order; the exit status.

        Raises:
            AssertionError: it did not end in time, and was killed; its stacks are in the log.
        """
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

    def kill(self) -> None:
        """As a crash or a power cut ends it."""
        if self.is_running:
            self._child.kill()
        self._child.wait()
        self._end_group()

    def _end_group(self) -> None:
        # Its own children, such as the session processes of sshd: the group is that of this process alone.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def descriptors(self) -> dict[int, str]:
        """What its descriptors are, by number."""
        found = {}
        folder = Path(f"/proc/{self.pid}/fd")
        for entry in folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                found[int(entry.name)] = str(entry.readlink())
        return found

    def memory(self) -> int:
        """Bytes resident now."""
        return self._status_kib("VmRSS") * 1024

    def peak_memory(self) -> int:
        """The most bytes that were ever resident."""
        return self._status_kib("VmHWM") * 1024

    def _status_kib(self, field: str) -> int:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(field))

    def threads(self) -> int:
        """How many it has now."""
        return len(list(Path(f"/proc/{self.pid}/task").iterdir()))


def python(*arguments: object) -> list[object]:
    """The command of a program in this interpreter."""
    return [sys.executable, *arguments]


@contextlib.contextmanager
def sigterm_unwinds() -> Iterator[None]:
    """Let SIGTERM raise ``SystemExit`` meanwhile, so that what was started is ended, too."""
    former = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


def tail(log: str | Path) -> str:
    """The end of a log, for people."""
    with Path(log).open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - LAST_BYTES))
        return file.read().decode(errors="replace")
