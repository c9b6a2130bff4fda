"""Tells how far many runs are: a bar on a terminal, and a line now and then elsewhere."""

import threading
from types import TracebackType
from typing import Final, Self

import rich.console
import rich.progress

from scripts.simulation.runner import Outcome

LINE_S: Final = 20.0
"""Seconds from one line to the next."""


class Progress:
    """Hears of each outcome; used as a context.

    Args:
        total: how many runs there are.
        line_s: instead of :data:`LINE_S`.
    """

    def __init__(self, console: rich.console.Console, total: int, *, line_s: float | None = None) -> None:
        self._console, self._total = console, total
        self._line_s = LINE_S if line_s is None else line_s
        self._done = self._broken = 0
        self._cpu_s = 0.0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._tell_lines, name="progress", daemon=True)
        columns = (
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TimeRemainingColumn(),
        )
        self._shows_bar = console.is_terminal and total > 1
        self._bar = rich.progress.Progress(
            *columns, console=console, disable=not self._shows_bar, transient=True
        )
        self._task = self._bar.add_task("all invariants hold", total=total)

    def __enter__(self) -> Self:
        if self._shows_bar:
            self._bar.start()
        elif self._total > 1:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        if self._thread.is_alive():
            self._thread.join()
        self._bar.stop()

    def note(self, outcome: Outcome) -> None:
        """A run has ended; one that broke is told at once."""
        self._done += 1
        self._cpu_s += outcome.cpu_s
        if outcome.broken:
            self._broken += 1
            if self._total > 1:
                head = outcome.broken.partition("\n")[0]
                self._console.print(f"{outcome.scenario}, seed {outcome.seed}: {head}", markup=False)
        self._bar.update(self._task, advance=1, description=self._text())

    def _text(self) -> str:
        each_s = f", {self._cpu_s / self._done:.2f} s of CPU each" if self._done else ""
        return (f"{self._broken} broken" if self._broken else "all invariants hold") + each_s

    def _tell_lines(self) -> None:
        while not self._is_over.wait(self._line_s):
            self._console.print(f"{self._done} of {self._total} runs: {self._text()}", markup=False)
