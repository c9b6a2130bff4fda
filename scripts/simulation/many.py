"""Many runs, in this process or on several; what ends a run is a fault of that run, and the others go on."""

import contextlib
import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Final, TypeAlias

from scripts.simulation.runner import Order, Outcome, run_order
from scripts.simulation.scenario import ScenarioError

Outcomes: TypeAlias = Generator[Outcome, None, None]
"""As they are ready; closing it ends the runs that are under way."""

_WAITING_EACH: Final = 2
"""Runs that a process is given at a time: the next is there when one ends."""


def attempt(order: Order, do: Callable[[Order], Outcome] = run_order) -> Outcome:
    """Do one run; whatever ends it unexpectedly is what broke it.

    Raises:
        ScenarioError: the scenario cannot be used.
        KeyboardInterrupt: somebody wants no more.
    """
    try:
        return do(order)
    except (ScenarioError, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001 -- even SystemExit: the others go on
        return _failed(order, error)


def run_many(orders: Sequence[Order], jobs: int) -> Outcomes:
    """Do runs on ``jobs`` processes, or in this one.

    Raises:
        ScenarioError: a scenario cannot be used.
    """
    if jobs <= 1:
        yield from map(attempt, orders)
        return
    waiting = deque(orders)
    while waiting:
        suspects = yield from _share(waiting, jobs)
        for order in suspects:
            yield _alone(order)


def _share(waiting: deque[Order], jobs: int) -> Generator[Outcome, None, list[Order]]:
    """Do runs of ``waiting`` until one takes its process down; those that were under way then."""
    running: dict[Future[Outcome], Order] = {}
    with _pool(jobs) as pool:
        while waiting or running:
            with contextlib.suppress(BrokenProcessPool):
                while waiting and len(running) < _WAITING_EACH * jobs:
                    running[pool.submit(attempt, waiting[0])] = waiting[0]
                    waiting.popleft()
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                try:
                    outcome = future.result()
                except BrokenProcessPool:
                    return list(running.values())
                del running[future]
                yield outcome
    return []


def _alone(order: Order) -> Outcome:
    """Do a run on a process of its own, so that nothing but it can take that down."""
    with _pool(1) as pool:
        try:
            return pool.submit(attempt, order).result()
        except BrokenProcessPool as error:
            return _failed(order, error)


def _failed(order: Order, error: BaseException) -> Outcome:
    text = f"the run ends in order: {type(error).__name__}: {error}"
    return Outcome(scenario=Path(order.path).stem, seed=order.seed, digest="", broken=text)


@contextlib.contextmanager
def _pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Processes for runs; they are killed if the block is left by an exception."""
    # Not forked: who tells of progress has a thread.
    context: Any = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_leave_interrupts_to_the_parent)
    try:
        yield pool
    except BaseException:
        for child in set(multiprocessing.active_children()) - others:
            child.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)  # its thread ends here, and not while the interpreter does


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
