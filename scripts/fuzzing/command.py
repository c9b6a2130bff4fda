"""The command line of ``scripts/fuzz.py``: runs targets in processes of their own."""

import argparse
import hashlib
import importlib
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from scripts.fuzzing.seeds import ROOT, seeds
from scripts.fuzzing.targets import TARGETS, run_bounded

CORPUS: Final = ROOT / "tests" / "fuzz" / "corpus"
"""The minimised corpus: a folder a target, which a test replays."""
WORK: Final = ROOT / "build" / "fuzz"
"""What is found on the way; not kept."""

MAX_KEPT_BYTES: Final = 20_000
"""Of each target's minimised corpus: the smallest inputs that bring something new."""

EXIT_OK: Final = 0
EXIT_FOUND: Final = 1

_DONE: Final = re.compile(r"^Done (\d+) (?:runs )?in (\d+) second", re.MULTILINE)
_COVERED: Final = re.compile(r"cov: (\d+) ft: (\d+) corp: (\d+)/")


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says; the exit status: 0, or 1 if something was found."""
    options = _parse(arguments)
    names = options.target or list(TARGETS)
    if options.child:
        return _fuzz(names[0], options.rest)
    if options.replay is not None:
        run_bounded(TARGETS[names[0]], options.replay.read_bytes())
        return EXIT_OK
    shares = sum(TARGETS[name].share for name in names)
    found, total = [], 0
    for name in names:
        runs = options.runs * TARGETS[name].share // shares
        done, is_clean = _run_target(name, runs, minimize=options.minimize)
        total += done
        if not is_clean:
            found.append(name)
    print(f"{total:,} executions of {len(names)} targets; findings: {', '.join(found) or 'none'}")
    return EXIT_FOUND if found else EXIT_OK


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="fuzz.py", description="Fuzz all that reads outside bytes.")
    parser.add_argument("target", nargs="*", help=f"of: {', '.join(TARGETS)}; all where none is named")
    parser.add_argument("--runs", type=int, default=100_000, metavar="N", help="executions altogether")
    parser.add_argument("--minimize", action="store_true", help="keep the smallest corpus in tests/fuzz")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run the target on one input")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options, options.rest = parser.parse_known_args(arguments)
    unknown = [name for name in options.target if name not in TARGETS]
    if unknown:
        parser.error(f"no target is called {unknown[0]!r}")
    if options.rest and not options.child:
        parser.error(f"unknown option {options.rest[0]}")
    if options.replay and len(options.target) != 1:
        parser.error("--replay takes one target")
    return options


def _run_target(name: str, runs: int, *, minimize: bool) -> tuple[int, bool]:
    """Fuzz one target; the executions, and whether nothing was found."""
    work, kept = WORK / name, CORPUS / name
    work.mkdir(parents=True, exist_ok=True)
    for seed in seeds(name):
        _keep(work, seed)
    options = [f"-runs={runs}", f"-max_len={TARGETS[name].max_bytes}", "-timeout=20", "-rss_limit_mb=2048"]
    folders = [str(work), *([str(kept)] if kept.is_dir() else [])]
    text, status = _child(name, [*options, f"-artifact_prefix={WORK}/{name}-", *folders])
    done = [int(match[1]) for match in _DONE.finditer(text)]
    covered = _COVERED.findall(text)
    figures = "edges {}, features {}, corpus {}".format(*covered[-1]) if covered else "nothing covered"
    print(f"{name:18} {sum(done):>10,} executions, {figures}", flush=True)
    if status:
        print(text[-4000:], flush=True)
        return sum(done), False
    if minimize:
        _minimize(name)
    return sum(done), True


def _minimize(name: str) -> None:
    """Keep of the target's corpus what covers as much with the fewest bytes, up to a limit."""
    work, merged, kept = WORK / name, WORK / f"{name}-merged", CORPUS / name
    for path in merged.glob("*") if merged.is_dir() else ():
        path.unlink()
    merged.mkdir(parents=True, exist_ok=True)
    limit = f"-max_len={TARGETS[name].max_bytes}"
    folders = [str(merged), str(work), *([str(kept)] if kept.is_dir() else [])]
    _child(name, ["-merge=1", limit, *folders])
    inputs = sorted((path.read_bytes() for path in merged.iterdir()), key=lambda data: (len(data), data))
    kept.mkdir(parents=True, exist_ok=True)
    for path in kept.iterdir():
        path.unlink()
    byte_count = 0
    for data in inputs:
        byte_count += len(data)
        if byte_count > MAX_KEPT_BYTES:
            break
        _keep(kept, data)


def _child(name: str, options: Sequence[str]) -> tuple[str, int]:
    command = [sys.executable, str(ROOT / "scripts" / "fuzz.py"), name, "--child", *options]
    done = subprocess.run(
        command,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd=ROOT,
    )
    return done.stdout, done.returncode


def _keep(folder: Path, data: bytes) -> None:
    (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)


def _fuzz(name: str, options: Sequence[str]) -> int:
    atheris = importlib.import_module("atheris")  # no other environment has it
    target = TARGETS[name]
    again = shlex.join([sys.executable, *sys.argv[:3]])  # a merge runs its program by this, in a shell
    atheris.Setup([again, *options], lambda data: run_bounded(target, data))
    atheris.Fuzz()
    return EXIT_OK
