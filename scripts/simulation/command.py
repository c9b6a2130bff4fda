"""The command line of ``scripts/simulate.py``: what to run, a progress bar, and what came of it."""

import argparse
import contextlib
import random
import shlex
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import rich.box
import rich.console
import rich.table

from scripts import arguments as values
from scripts.interrupts import EXIT_INTERRUPTED, one_interrupt
from scripts.simulation.faults import draw_script
from scripts.simulation.many import Outcomes, attempt, run_many
from scripts.simulation.plot import Recorder
from scripts.simulation.progress import Progress
from scripts.simulation.real_runner import run_real
from scripts.simulation.runner import Order, Outcome, run
from scripts.simulation.scenario import Scenario, ScenarioError, load_scenario

EXIT_OK: Final = 0
EXIT_BROKEN: Final = 1
EXIT_USAGE: Final = 2

SEEDS: Final = 1 << 31
"""Where no seed is given, one below this is drawn."""

WIDTH: Final = 110
"""Of a table that goes into a file."""

STORY_LINES: Final = 400
"""Most lines of a broken run's story that are printed; the last ones, and ``--trace`` has all."""


def main(arguments: Sequence[str]) -> int:
    """Run what the command line says.

    Returns:
        The exit status: 0, 1 for a broken invariant, 2 for wrong usage, 130 if it was interrupted and no
        invariant was broken until then.
    """
    options = _parse(arguments)
    width = None if sys.stdout.isatty() else WIDTH
    console = rich.console.Console(highlight=False, soft_wrap=True, width=width)
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(SEEDS)
    try:
        for path in options.scenario:
            draw_script(load_scenario(path, agents=options.agents), seed)
        if options.plot is not None or options.trace is not None:
            return _report(console, [_run_watched(options, seed)], options)
        with one_interrupt() as interrupted:
            return _run_and_report(console, seed, options, interrupted)
    except ScenarioError as error:
        console.print(f"error: {error}", markup=False)
        return EXIT_USAGE


def _run_and_report(
    console: rich.console.Console, seed: int, options: argparse.Namespace, interrupted: threading.Event
) -> int:
    orders = _orders(options, seed)
    outcomes = _run_all(console, orders, options, interrupted)
    status = _report(console, outcomes, options) if outcomes else EXIT_OK
    if len(outcomes) < len(orders):
        of = f"{len(outcomes)} of {len(orders)} runs were done"
        console.print(f"interrupted: {of}, the first with seed {seed}")
        return status or EXIT_INTERRUPTED
    return status


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="simulate.py", description="Run a mesh of agents while everything in it fails."
    )
    parser.add_argument("scenario", nargs="+", type=Path, help="files like those in config/scenarios")
    parser.add_argument(
        "--seed", type=values.seed, metavar="N", help="of the first run; drawn where none is given"
    )
    parser.add_argument(
        "--agents", type=values.whole(1), metavar="N", help="how many, instead of what the file says"
    )
    parser.add_argument(
        "--runs", type=values.whole(1), default=1, metavar="N", help="with this seed and those after it"
    )
    parser.add_argument(
        "--jobs", type=values.whole(1), default=1, metavar="N", help="processes that share the runs"
    )
    parser.add_argument("--real", action="store_true", help="real agents and sockets on loopback, real time")
    parser.add_argument(
        "--plot", type=values.file_to_write, metavar="FILE.svg", help="draw a timeline of one run"
    )
    parser.add_argument(
        "--trace", type=values.file_to_write, metavar="FILE", help="write every event of one run"
    )
    options = parser.parse_args(arguments)
    if (options.plot or options.trace) and (options.runs > 1 or len(options.scenario) > 1):
        parser.error("--plot and --trace show one run of one scenario")
    if options.real and (options.plot or options.trace):
        parser.error("--plot and --trace belong to simulated runs")
    if options.real and options.jobs > 1:
        parser.error("--jobs belongs to simulated runs: those on loopback would take each other's time")
    return options


def _orders(options: argparse.Namespace, seed: int) -> list[Order]:
    # Round by round: every scenario has its turn soon.
    return [
        Order(str(path), seed + n, options.agents) for n in range(options.runs) for path in options.scenario
    ]


def _run_all(
    console: rich.console.Console,
    orders: list[Order],
    options: argparse.Namespace,
    interrupted: threading.Event,
) -> list[Outcome]:
    """The outcomes of all runs; of those that were done, if somebody interrupts."""
    outcomes: list[Outcome] = []
    real: Outcomes = (attempt(order, run_real) for order in orders)
    with (
        contextlib.suppress(KeyboardInterrupt),
        contextlib.closing(real if options.real else run_many(orders, options.jobs)) as coming,
        Progress(console, len(orders)) as progress,
    ):
        for outcome in coming:
            outcomes.append(outcome)
            if options.real and len(orders) > 1:
                _print_one(console, outcome)  # half a minute and more each: not all at the end
            progress.note(outcome)
            if interrupted.is_set():
                break
    return outcomes


def _run_watched(options: argparse.Namespace, seed: int) -> Outcome:
    order = Order(str(options.scenario[0]), seed, options.agents)
    recorder = Recorder() if options.plot is not None else None
    if options.trace is None:
        outcome = run(order, wants_events=True, recorder=recorder)
    else:
        with options.trace.open("w") as file:
            on_event: Callable[[str], object] = file.write
            outcome = run(order, on_event=on_event, recorder=recorder)
    if recorder is not None:
        scenario: Scenario = load_scenario(options.scenario[0], agents=options.agents)
        options.plot.write_text(recorder.draw(f"{scenario.title} (seed {seed})"))
    return outcome


def _report(console: rich.console.Console, outcomes: list[Outcome], options: argparse.Namespace) -> int:
    broken = [outcome for outcome in outcomes if outcome.broken]
    for outcome in broken:
        _print_broken(console, outcome, options)
    if len(outcomes) == 1:
        _print_one(console, outcomes[0])
    else:
        console.print(_table(outcomes))
    if broken:
        console.print(f"{len(broken)} of {len(outcomes)} runs broke an invariant", style="red")
        return EXIT_BROKEN
    return EXIT_OK


def _print_one(console: rich.console.Console, outcome: Outcome) -> None:
    console.print(
        f"{outcome.scenario}, seed {outcome.seed}: {outcome.faults} faults; {_fates(outcome)}, "
        f"{outcome.fates.byte_count:,} bytes; {outcome.virtual_s:.1f} s in {outcome.cpu_s:.2f} s of CPU; "
        f"converged after {outcome.first_converged_s:.2f} s, and {outcome.mended_s:.2f} s after the last "
        f"repair; trace {outcome.digest}",
        markup=False,
    )


def _fates(outcome: Outcome) -> str:
    fates = outcome.fates
    return (
        f"connections: {fates.complete} complete, {fates.reset} reset, {fates.refused} refused, "
        f"{fates.left} left"
    )


def _print_broken(console: rich.console.Console, outcome: Outcome, options: argparse.Namespace) -> None:
    say = console.print
    say(f"\n{outcome.scenario}, seed {outcome.seed}: an invariant is broken", style="bold red")
    say(f"  {outcome.broken}\n", markup=False)
    hidden = len(outcome.story) - STORY_LINES
    say("What happened up to there:" + (f" (without the first {hidden} lines)" if hidden > 0 else ""))
    for line in outcome.story[-STORY_LINES:]:
        say(f"  {line}", markup=False)
    if outcome.events:
        head = f"The last {len(outcome.events)} events (--trace FILE writes all):"
        say("The ends of the agents' logs:" if options.real else head)
        for line in outcome.events:
            say(f"  {line}", markup=False)
    path = next(path for path in options.scenario if path.stem == outcome.scenario)
    words = ["python", "scripts/simulate.py", str(path), "--seed", str(outcome.seed)]
    words += ["--agents", str(options.agents)] if options.agents is not None else []
    words += ["--real"] if options.real else []
    say(f"\nThe same again: {shlex.join(words)}\n", markup=False)


def _table(outcomes: list[Outcome]) -> rich.table.Table:
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("scenario", no_wrap=True)
    for head in ("runs", "broken", "faults", "done", "reset", "refused", "left", "MiB", "CPU s", "worst"):
        table.add_column(head, justify="right", no_wrap=True)
    for name in dict.fromkeys(outcome.scenario for outcome in outcomes):
        table.add_row(name, *_sums([outcome for outcome in outcomes if outcome.scenario == name]))
    table.add_section()
    table.add_row("all", *_sums(outcomes))
    return table


def _sums(outcomes: list[Outcome]) -> list[str]:
    cpu_s = [outcome.cpu_s for outcome in outcomes]
    fates = ("complete", "reset", "refused", "left")
    return [
        str(len(outcomes)),
        str(sum(bool(outcome.broken) for outcome in outcomes)),
        str(sum(outcome.faults for outcome in outcomes)),
        *(str(sum(getattr(outcome.fates, fate) for outcome in outcomes)) for fate in fates),
        f"{sum(outcome.fates.byte_count for outcome in outcomes) / 2**20:.0f}",
        f"{sum(cpu_s) / len(cpu_s):.2f}",
        f"{max(cpu_s):.2f}",
    ]
