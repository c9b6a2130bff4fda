"""The command line of ``scripts/fuzz.py``: a campaign, its progress, and what came of it."""

import argparse
import functools
import hashlib
import importlib
import logging
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mesh.trust.noise import handshake as noise_handshake
from scripts import arguments as values
from scripts.fuzzing import child
from scripts.fuzzing.campaign import Campaign, Slice
from scripts.fuzzing.seeds import ROOT, seeds
from scripts.fuzzing.targets import TARGETS, run_bounded
from scripts.interrupts import EXIT_INTERRUPTED, one_interrupt

CORPUS: Final = ROOT / "tests" / "fuzz" / "corpus"
"""The minimised corpus: a folder a target, which a test replays."""

MAX_KEPT_BYTES: Final = 20_000
"""Of each target's minimised corpus: the smallest inputs that bring something new."""

MAX_SECRETS: Final = 4_096
"""Results of Diffie-Hellman that a fuzzed process keeps."""

EXIT_OK: Final = 0
EXIT_FOUND: Final = 1


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says.

    Returns:
        The exit status: 0, 1 if something was found, 130 if it was interrupted before.
    """
    options = _parse(arguments)
    names = list(dict.fromkeys(options.target)) or list(TARGETS)
    if options.child:
        return _fuzz(names[0], options.rest)
    if options.replay is not None:
        run_bounded(TARGETS[names[0]], options.replay.read_bytes())
        return EXIT_OK
    with one_interrupt():
        return _run_campaign(names, options)


def _run_campaign(names: Sequence[str], options: argparse.Namespace) -> int:
    campaign, covered = Campaign(names, options.runs), {}
    was_stopped = False
    while not was_stopped and (piece := campaign.next()) is not None:
        report = _run(piece, campaign)
        covered[piece.name] = report.covered
        was_stopped = report.was_stopped
    print(_table(campaign, covered))
    found = [name for name, tally in campaign.tallies.items() if tally.has_failed]
    print(
        f"{campaign.executions:,} executions of {len(names)} targets"
        f"{', interrupted' if was_stopped else ''}; findings: {', '.join(found) or 'none'}",
        flush=True,
    )
    if options.minimize and not was_stopped:
        for name in names:
            if name not in found:
                _minimize(name)
    if found:
        return EXIT_FOUND
    return EXIT_INTERRUPTED if was_stopped else EXIT_OK


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="fuzz.py", description="Fuzz all that reads outside bytes.")
    parser.add_argument("target", nargs="*", help=f"of: {', '.join(TARGETS)}; all where none is named")
    parser.add_argument(
        "--runs", type=values.whole(1), default=100_000, metavar="N", help="executions altogether"
    )
    parser.add_argument("--minimize", action="store_true", help="keep the smallest corpus in tests/fuzz")
    parser.add_argument(
        "--replay", type=values.file_to_read, metavar="FILE", help="run the target on one input"
    )
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options, options.rest = parser.parse_known_args(arguments)
    unknown = [name for name in options.target if name not in TARGETS]
    if unknown and not options.child:
        parser.error(f"no target is called {unknown[0]!r}; there are {', '.join(TARGETS)}")
    if options.rest and not options.child:
        parser.error(f"unknown option {options.rest[0]}")
    if options.replay and len(options.target) != 1:
        parser.error("--replay takes one target")
    return options


def _run(piece: Slice, campaign: Campaign) -> child.Report:
    """Fuzz one target for a while, and tell of it."""
    name = piece.name
    work, kept = child.WORK / name, CORPUS / name
    work.mkdir(parents=True, exist_ok=True)
    for seed in seeds(name):
        _keep(work, seed)
    folders = [work, *([kept] if kept.is_dir() else [])]
    report = child.fuzz(name, piece.runs, folders, functools.partial(_say, campaign, name))
    campaign.took(
        name,
        executions=report.executions,
        cpu_s=report.cpu_s,
        set_up_s=report.set_up_s,
        has_failed=not report.is_clean,
    )
    if not report.is_clean:
        print(f"{name}: found something\n{report.log[-4000:]}", flush=True)
    _say(campaign, name, 0)
    return report


def _say(campaign: Campaign, name: str, under_way: int) -> None:
    """One line of progress; ``under_way`` executions of ``name`` have not been counted yet."""
    tally = campaign.tallies[name]
    print(
        f"{name:18} {tally.executions + under_way:>11,} executions in {tally.cpu_s:6.0f} s; "
        f"altogether {campaign.executions + under_way:,} of {campaign.runs:,}",
        flush=True,
    )


def _table(campaign: Campaign, covered: dict[str, tuple[int, int, int]]) -> str:
    heads = ("executions", "CPU s", "per CPU s", "edges", "features", "corpus")
    lines = ["", f"{'target':18}" + "".join(f"{head:>12}" for head in heads)]
    for name, tally in campaign.tallies.items():
        figures = (
            f"{tally.executions:,}",
            f"{tally.cpu_s:.0f}",
            f"{tally.rate:,.0f}" if tally.executions else "-",
            *map(str, covered.get(name, (0, 0, 0))),
        )
        lines.append(f"{name:18}" + "".join(f"{figure:>12}" for figure in figures))
    cpu_s = sum(tally.cpu_s for tally in campaign.tallies.values())
    lines.append(f"{'all':18}{campaign.executions:>12,}{cpu_s:>12.0f}")
    set_up_s = sum(tally.set_up_s for tally in campaign.tallies.values())
    return "\n".join([*lines, f"and {set_up_s:.0f} s of CPU to set up processes", ""])


def _minimize(name: str) -> None:
    """Keep of the target's corpus what covers as much with the fewest bytes, up to a limit."""
    work, merged, kept = child.WORK / name, child.WORK / f"{name}-merged", CORPUS / name
    for path in merged.glob("*") if merged.is_dir() else ():
        path.unlink()
    merged.mkdir(parents=True, exist_ok=True)
    child.merge(name, merged, [work, *([kept] if kept.is_dir() else [])])
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


def _keep(folder: Path, data: bytes) -> None:
    (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)


class _Unwritten(logging.Handler):
    """Puts lines together, as a log does, and writes none of them."""

    def emit(self, record: logging.LogRecord) -> None:
        """Have it say what it says."""
        record.getMessage()


def _fuzz(name: str, options: Sequence[str]) -> int:
    atheris = importlib.import_module("atheris")  # no other environment has it
    logging.getLogger("mesh").addHandler(_Unwritten())
    # Most of what a handshake costs, and nearly always of the same few keys.
    noise_handshake.dh = functools.lru_cache(MAX_SECRETS)(noise_handshake.dh)
    target = TARGETS[name]
    again = shlex.join([sys.executable, *sys.argv[:3]])  # a merge runs its program by this, in a shell
    atheris.Setup([again, *options], lambda data: run_bounded(target, data))
    child.say_set_up(time.process_time())
    atheris.Fuzz()
    return EXIT_OK
