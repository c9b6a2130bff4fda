"""One target in a process of its own, by libFuzzer, and what its log says."""

import contextlib
import os
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from scripts.fuzzing.seeds import ROOT
from scripts.fuzzing.targets import TARGETS

WORK: Final = ROOT / "build" / "fuzz"
"""What is found on the way; not kept."""

PROGRESS_S: Final = 30.0
"""After so many seconds, again and again, a child's caller hears how far it is."""

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - each child has a directory of its own there

_END_S: Final = 30.0
"""A child that is told to stop has so long."""
_INTERRUPTED: Final = 72
"""Exit status of a libFuzzer that was signalled, which may be before its parent is."""
_LOG_HEAD_BYTES: Final = 4 * 1024
_LOG_END_BYTES: Final = 64 * 1024
_COUNT: Final = re.compile(r"^#(\d+)\t", re.MULTILINE)
_DONE: Final = re.compile(r"^Done (\d+) (?:runs )?in (\d+) second", re.MULTILINE)
_SET_UP: Final = re.compile(r"^set up in ([0-9.]+) s of CPU", re.MULTILINE)
_COVERED: Final = re.compile(r"cov: (\d+) ft: (\d+) corp: (\d+)/")


class Report(msgspec.Struct, frozen=True):
    """What a child has done."""

    executions: int
    """At least; exactly of one that ended by itself."""
    cpu_s: float
    """Without what it took to set up."""
    set_up_s: float
    """CPU seconds, too."""
    covered: tuple[int, int, int]
    """Edges, features, inputs of the corpus; zeros if it never came so far."""
    is_clean: bool
    """Nothing was found; it did start."""
    was_stopped: bool
    log: str
    """Its beginning and end."""


def say_set_up(cpu_s: float) -> None:
    """Tell the parent what it took a child to set up, in CPU seconds."""
    print(f"set up in {cpu_s:.2f} s of CPU", flush=True)


def fuzz(name: str, runs: int, folders: Sequence[Path], on_progress: Callable[[int], None]) -> Report:
    """Fuzz one target; ``on_progress`` hears the executions so far now and then.

    A KeyboardInterrupt stops the child, and is then part of the report.
    """
    options = [
        f"-runs={runs}",
        f"-max_len={TARGETS[name].max_bytes}",
        "-timeout=20",
        "-rss_limit_mb=2048",
        f"-artifact_prefix={WORK}/{name}-",
        *map(str, folders),
    ]
    log, before_s, was_stopped = WORK / f"{name}.log", _children_s(), False
    with _started(name, options, log) as process:
        try:
            while not _ended(process, PROGRESS_S):
                on_progress(executions_in(_text(log)))
        except KeyboardInterrupt:
            was_stopped = True
            process.terminate()
            if not _ended(process, _END_S):
                process.kill()
    was_stopped = was_stopped or process.returncode == _INTERRUPTED
    text = _text(log)
    executions = executions_in(text)
    cpu_s, set_up = _children_s() - before_s, _SET_UP.search(text)
    set_up_s = min(cpu_s, float(set_up[1])) if set_up else cpu_s
    found = _COVERED.findall(text)
    edges, features, inputs = map(int, found[-1]) if found else (0, 0, 0)
    return Report(
        executions=executions,
        cpu_s=cpu_s - set_up_s,
        set_up_s=set_up_s,
        covered=(edges, features, inputs),
        is_clean=was_stopped or (process.returncode == 0 and executions > 0),
        was_stopped=was_stopped,
        log=text,
    )


def merge(name: str, into: Path, folders: Sequence[Path]) -> None:
    """Copy to ``into`` what covers as much as all of ``folders`` with the fewest bytes."""
    options = ["-merge=1", f"-max_len={TARGETS[name].max_bytes}", str(into), *map(str, folders)]
    with _started(name, options, WORK / f"{name}-merge.log") as process:
        process.wait()


@contextlib.contextmanager
def _started(name: str, options: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, str(ROOT / "scripts" / "fuzz.py"), name, "--child", *options]
    place = _MEMORY if _MEMORY.is_dir() else None
    # libFuzzer ends its process without a word to Python, so what that has left is taken away here.
    with tempfile.TemporaryDirectory(prefix="mesh-fuzz-", dir=place, ignore_cleanup_errors=True) as folder:
        environment = os.environ | {"TMPDIR": folder}
        with log.open("wb") as file:
            process = subprocess.Popen(
                command, stdout=file, stderr=subprocess.STDOUT, cwd=ROOT, env=environment
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def _ended(process: subprocess.Popen[bytes], within_s: float) -> bool:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(within_s)
        return True
    return False


def _text(log: Path) -> str:
    """The beginning and the end of a log."""
    with log.open("rb") as file:
        head = file.read(_LOG_HEAD_BYTES)
        file.seek(max(len(head), file.seek(0, os.SEEK_END) - _LOG_END_BYTES))
        return (head + file.read()).decode("utf-8", "replace")


def executions_in(text: str) -> int:
    """The last number of executions that a log tells of."""
    done = _DONE.findall(text)
    if done:
        return int(done[-1][0])
    counts = _COUNT.findall(text)
    return int(counts[-1]) if counts else 0


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
