"""The command line of ``scripts/trials.py``: which trials, how often, and what came of them."""

import argparse
import contextlib
import json
import random
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

import rich.box
import rich.console
import rich.table
import rich.text

from scripts import arguments as values
from scripts.lab.meshes import Mesh, complaints
from scripts.lab.processes import sigterm_unwinds, tail
from scripts.trial_runs import changes, exits, handover, relays, rolling, soak, starts
from scripts.trial_runs.trial import MIB, Effort, Outcome, Series, Stage, Trial

EXIT_OK: Final = 0
EXIT_FAULTS: Final = 1

WIDTH: Final = 110
"""Of a table that goes into a file."""

STALL_AIM_S: Final = 0.5
SILENCE_AIM_S: Final = 4.5
"""One and a half times the time after which a silent peer is dead."""
FIRST_SUCCESS_AIM_S: Final = 0.5


def _stalls(aim_s: float) -> dict[str, float]:
    return {f"{relays.STALL}{way}": aim_s for way in ("", ", up", ", down")}


_RESTARTS: Final = {
    starts.TO_SERVED.format(f"{role} after {how}"): starts.RESTART_BAR_S
    for role in ("endpoint", "transit", "ingress")
    for how in ("SIGTERM", "SIGKILL")
}

TRIALS: Final[Mapping[str, Trial]] = MappingProxyType(
    {
        "transfer-kill": Trial(
            "kill -9 of the relay in use during a transfer",
            relays.transfer_trial(relays.kill),
            _stalls(STALL_AIM_S),
        ),
        "transfer-pause": Trial(
            "SIGSTOP of the relay in use during a transfer",
            relays.transfer_trial(relays.pause),
            _stalls(SILENCE_AIM_S),
        ),
        "transfer-stop": Trial(
            "SIGTERM of the relay in use during a transfer",
            relays.transfer_trial(relays.stop, leaves=True),
            _stalls(STALL_AIM_S),
        ),
        "database-kill": Trial(
            "kill -9 of the relay in use under pgbench",
            relays.database_trial(relays.kill),
            _stalls(STALL_AIM_S),
        ),
        "database-pause": Trial(
            "SIGSTOP of the relay in use under pgbench",
            relays.database_trial(relays.pause),
            _stalls(SILENCE_AIM_S),
        ),
        "database-restart": Trial(
            "SIGTERM of the relay in use under pgbench, and a new start",
            relays.database_trial(relays.stop, leaves=True),
            _stalls(STALL_AIM_S),
        ),
        "pair-agent": Trial(
            "kill -9 of the nearest of two exits under short requests",
            exits.pair_trial(exits.agent),
            {exits.FIRST_SUCCESS: FIRST_SUCCESS_AIM_S},
        ),
        "pair-target": Trial(
            "kill -9 of the service behind the nearest of two exits under short requests",
            exits.pair_trial(exits.target),
            {exits.FIRST_SUCCESS: FIRST_SUCCESS_AIM_S},
        ),
        "handover": Trial(
            "reload, restart and drain of exits, alone and as a pair, under short requests",
            handover.run,
        ),
        "rolling": Trial("restart of every relay of a ring of six under load", rolling.run),
        "changes": Trial(
            "changes of every agent's configuration, one after another, under load", changes.run
        ),
        "soak": Trial("mixed load while relays and exits are killed, paused and restarted", soak.run),
        "starts": Trial(
            "start, stop and restart of endpoint, transit and ingress",
            starts.run,
            {starts.ENDPOINT_STARTED: starts.BAR_S, **_RESTARTS},
        ),
    }
)


def main(arguments: Sequence[str]) -> int:
    """Run what the command line says; the exit status is 1 where something failed that should not have."""
    options = _parse(arguments)
    effort = Effort(byte_count=options.mib * MIB, changes=options.changes, soak_s=options.seconds)
    console = rich.console.Console(
        highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else WIDTH
    )
    results = {}
    for name in options.trial or TRIALS:
        series = Series()
        for number in range(options.runs):
            began_at = time.monotonic()
            series.outcomes.append(run(name, effort, options.seed + number))
            _say(f"{name}: run {number + 1} of {options.runs}, {time.monotonic() - began_at:.0f} s")
        results[name] = series
        _show(console, name, series)
    if options.json is not None:
        written = {name: series.as_json() for name, series in results.items()}
        options.json.write_text(json.dumps(written, indent=2) + "\n")
    return EXIT_FAULTS if any(series.faults() for series in results.values()) else EXIT_OK


def run(name: str, effort: Effort, seed: int) -> Outcome:
    """One run of the trial ``name``, in a mesh of its own."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(sigterm_unwinds())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mesh-trial-")))
        mesh = Mesh(folder)
        stack.callback(mesh.close)
        stage = Stage(mesh, effort, random.Random(seed), stack)  # noqa: S311 - when and where, no secret
        try:
            TRIALS[name].run(stage)
        except (AssertionError, OSError, EOFError) as error:
            stage.fault(f"{type(error).__name__}: {error}")
        for line in complaints(mesh):
            stage.fault(line)
        if stage.outcome.faults:
            for line in stage.outcome.story:
                _say(line)
            for agent, log in mesh.logs():
                _say(f"--- log of {agent}\n{tail(log)}")
        return stage.outcome


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="trials.py",
        description="Break a mesh of real agents under load, and see whether its users notice.",
        epilog="trials: " + "; ".join(f"{name}: {trial.what}" for name, trial in TRIALS.items()),
    )
    parser.add_argument("trial", nargs="*", metavar="NAME", help="which; all where none is named")
    parser.add_argument("--runs", type=values.whole(1), default=1, metavar="N", help="of each trial (1)")
    parser.add_argument(
        "--mib", type=values.whole(1), default=1024, metavar="MIB", help="in each transfer (1024)"
    )
    parser.add_argument(
        "--changes", type=values.whole(1), default=1000, metavar="N", help="of configurations (1000)"
    )
    parser.add_argument(
        "--seconds", type=values.whole(1), default=60, metavar="S", help="that the soak lasts (60)"
    )
    parser.add_argument(
        "--seed", type=values.seed, default=1, help="of the first run; the next has the next (1)"
    )
    parser.add_argument("--json", type=values.file_to_write, metavar="FILE", help="write every sample there")
    options = parser.parse_args(arguments)
    for name in options.trial:
        if name not in TRIALS:
            parser.error(f"expected one of {', '.join(TRIALS)}, found {name}")
    return options


def _show(console: rich.console.Console, name: str, series: Series) -> None:
    trial = TRIALS[name]
    table = rich.table.Table(
        title=f"{name}: {trial.what} ({len(series.outcomes)} runs)",
        title_justify="left",
        box=rich.box.SIMPLE,
    )
    table.add_column("figure")
    for title in ("median", "max", "aim"):
        table.add_column(title, justify="right")
    for figure, summary in series.as_json()["figures"].items():
        aim = trial.aims.get(figure)
        missed = aim is not None and summary["max"] > aim
        shown = "" if aim is None else f"{'missed: ' if missed else ''}{aim:g}"
        table.add_row(rich.text.Text(figure), *(f"{summary[key]:.4g}" for key in ("median", "max")), shown)
    console.print(table)
    faults = series.faults()
    console.print(f"faults: {len(faults)}")
    for fault in faults:
        console.print(f"  {fault}", markup=False)


def _say(text: str) -> None:
    """Progress, apart from the results."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
