"""``mesh ping``, ``trace``, ``test`` and ``bench``: who can be reached, by which way, and how fast."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

import click

from mesh.agent.cli import completing
from mesh.agent.cli.asking import (
    EXIT_FAILED,
    EXIT_FORBIDDEN,
    Agent,
    asks_agent,
    asks_agent_at_length,
    not_empty,
)
from mesh.agent.cli.diagnosis_progress import progress_bar
from mesh.agent.cli.standard_streams import say
from mesh.agent.cli.tables import table
from mesh.agent.control.client import NotRunning, Refused
from mesh.agent.control.requests import BENCHES, PINGS, TESTS, TRACES
from mesh.agent.diagnosis.documents import Diagnosis, Found, Verdict
from mesh.agent.diagnosis.requests import BenchRequest, PingRequest, TraceRequest
from mesh.connection.reject_codes import RejectCode
from mesh.diagnostics.results import RoundTrips
from mesh.diagnostics.serving import BENCH_MAX_S
from mesh.diagnostics.tasks import TIMEOUT_S, What
from mesh.escaping import escaped

POLL_S: Final = 0.1
"""How often the agent is asked at first, for what is over at once."""

MAX_POLL_S: Final = 0.5

_to = click.argument("to", metavar="KEY|AGENT", callback=not_empty, shell_complete=completing.keys_and_agents)
_seconds = click.FloatRange(0.01, 60.0)
_timeout = click.option(
    "--timeout", "-W", type=_seconds, default=TIMEOUT_S, show_default=True, help="For an answer, in seconds."
)


@click.command()
@_to
@click.option("--count", "-c", type=click.IntRange(0), default=5, show_default=True, help="0: until Ctrl-C.")
@click.option("--interval", "-i", type=_seconds, default=1.0, show_default=True, help="Seconds between two.")
@_timeout
@asks_agent_at_length
def ping(agent: Agent, *, to: str, count: int, interval: float, timeout: float) -> None:
    """Ping an agent, or the nearest that offers KEY, end to end through the mesh.

    Whoever is pinged by a KEY must let this agent use it, as for a connection; its service is not asked.
    What is lost on the way is sent again: an answer that comes after the timeout is late, not lost.

    \b
    mesh ping hq
    mesh ping postgres-main -c 20 -i 0.2
    """
    lines = _Lines(quiet=agent.as_json)
    request = PingRequest(to, count=count, interval_s=interval, timeout_s=timeout)
    diagnosis = _follow(agent, PINGS, request, lambda seen: lines.show(seen.found[0]))
    agent.tell(diagnosis, lambda: "\n".join(_pinged(diagnosis.found[0])))
    _end(diagnosis)


@click.command()
@_to
@click.option("--count", type=click.IntRange(1, 100), default=3, show_default=True, help="Pings to each.")
@_timeout
@asks_agent
def trace(agent: Agent, *, to: str, count: int, timeout: float) -> None:
    """Ping each agent on the way to one, or to the nearest that offers KEY, and say where the way ends.

    \b
    mesh trace hq
    mesh trace postgres-main
    """
    diagnosis = _follow(agent, TRACES, TraceRequest(to, count=count, timeout_s=timeout))
    agent.tell(diagnosis, lambda: "\n".join(_traced(diagnosis)))
    _end(diagnosis)


@click.command()
@asks_agent
def test(agent: Agent) -> None:
    """Ping every agent, and open every key that this agent may use at each agent that offers it.

    A service that is opened sees a connection that ends at once. The exit status is 1 if anything cannot be
    reached.

    \b
    mesh test
    mesh test --json
    """
    began = time.monotonic()
    with progress_bar(shown=not agent.as_json) as bar:
        diagnosis = _follow(agent, TESTS, None, lambda seen: bar(seen.ended, len(seen.found)))
    took_s = time.monotonic() - began
    agent.tell(diagnosis, lambda: "\n".join(_tested(diagnosis, took_s)))
    if diagnosis.failed:
        sys.exit(EXIT_FAILED)


@click.command()
@click.argument("key", callback=not_empty, shell_complete=completing.offered_keys)
@click.option(
    "--seconds",
    "-t",
    type=click.FloatRange(0.1, BENCH_MAX_S),
    default=3.0,
    show_default=True,
    help="Each way.",
)
@asks_agent
def bench(agent: Agent, *, key: str, seconds: float) -> None:
    """Measure round trip and throughput to the nearest agent that offers KEY.

    No service takes part: the agent at the other end gives and takes by itself. What else the mesh carries
    is slowed down meanwhile.

    \b
    mesh bench postgres-main
    mesh bench postgres-main -t 10
    """
    diagnosis = _follow(agent, BENCHES, BenchRequest(key, seconds))
    agent.tell(diagnosis, lambda: "\n".join(_benched(diagnosis)))
    _end(diagnosis)


class _Lines:
    """Prints each answer to a ping once."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._shown = 0

    def show(self, found: Found) -> None:
        """Print those that are new."""
        heard = found.answered + found.late
        fresh = found.latest_ms[-(heard - self._shown) :] if heard > self._shown else ()
        if self._quiet or not fresh:
            return
        if not self._shown:
            say(_who(found))
        for number, latest_ms in enumerate(fresh, heard - len(fresh) + 1):
            say(f"answer {number}: {latest_ms:.2f} ms")
        self._shown = heard


def _follow(
    agent: Agent, place: str, request: object, seen: Callable[[Diagnosis], None] = lambda _: None
) -> Diagnosis:
    """Begin a diagnosis and ask for it until it is over, or somebody presses Ctrl-C; what is known then."""
    diagnosis = agent.client.post(place, Diagnosis, request)
    mine = f"{place}/{diagnosis.id}"
    pause_s = POLL_S
    try:
        seen(diagnosis)
        while diagnosis.verdict is Verdict.RUNNING:
            time.sleep(pause_s)
            pause_s = min(MAX_POLL_S, pause_s * 1.2)
            diagnosis = agent.client.get(mine, Diagnosis)
            seen(diagnosis)
    except KeyboardInterrupt:
        diagnosis = agent.client.get(mine, Diagnosis)
        seen(diagnosis)
    finally:
        with suppress(NotRunning, Refused):  # then it ends by itself
            agent.client.delete(mine)
    return diagnosis


def _end(diagnosis: Diagnosis) -> None:
    """Leave with the status that says how it is; one that was broken off is judged by what is known."""
    if any(found.code == RejectCode.NOT_PERMITTED for found in diagnosis.found):
        sys.exit(EXIT_FORBIDDEN)
    if diagnosis.failed or any(found.sent and not found.answered for found in diagnosis.found):
        sys.exit(EXIT_FAILED)


def _who(found: Found) -> str:
    """An agent, and the key by which it was found."""
    if not found.agent_id:
        return f"{escaped(found.key)}: nobody within reach"
    by = f"{escaped(found.key)} at " if found.key else ""
    return f"{by}{escaped(found.agent)} {found.short_id}, {_hops(found.hop_count)}"


def _hops(count: int) -> str:
    if count < 0:
        return "out of reach"
    return f"{count} hop{'' if count == 1 else 's'}"


def _pinged(found: Found) -> Iterator[str]:
    if found.error:
        yield f"{_who(found)}: {escaped(found.error)}"
    if found.sent:
        late = f", {found.late} late" if found.late else ""
        lost = found.lost / found.sent * 100
        yield f"{found.sent} sent, {found.answered} answered{late}, {found.lost} lost ({lost:.0f} %)"
    if found.round_trip_ms is not None:
        yield f"round trip {_spread(found.round_trip_ms)}"


def _spread(trips: RoundTrips) -> str:
    return (
        f"min {trips.min:.2f}, mean {trips.mean:.2f}, median {trips.p50:.2f}, 90 % {trips.p90:.2f}, "
        f"99 % {trips.p99:.2f}, max {trips.max:.2f} ms"
    )


def _traced(diagnosis: Diagnosis) -> Iterator[str]:
    rows = [
        (
            str(number),
            found.agent or "?",
            found.short_id,
            "" if found.round_trip_ms is None else f"{found.round_trip_ms.p50:.2f} ms",
            f"{found.answered} of {found.sent}" if found.sent else "",
            found.error,
        )
        for number, found in enumerate(diagnosis.found, 1)
    ]
    yield from table(("hop", "agent", "id", "round trip", "answers", ""), rows, none="nobody")
    stops = next((number for number, found in enumerate(diagnosis.found, 1) if found.error), None)
    if stops is not None:
        yield f"it stops at hop {stops}: {_who(diagnosis.found[stops - 1])}"


def _tested(diagnosis: Diagnosis, took_s: float) -> Iterator[str]:
    rows = [
        (
            found.key or "(agent)",
            f"{found.agent} {found.short_id}".strip() or "?",
            "" if found.hop_count < 0 else str(found.hop_count),
            _time_of(found),
            "reachable" if not found.error else found.error,
        )
        for found in diagnosis.found
    ]
    yield from table(("key", "at", "hops", "time", "result"), rows, none="no other agent is known")
    count = len(diagnosis.found)
    if diagnosis.verdict is Verdict.RUNNING:
        yield f"broken off: {diagnosis.ended} of {count} tried, {diagnosis.failed} cannot be reached"
    elif diagnosis.failed:
        yield f"{diagnosis.failed} of {count} cannot be reached ({took_s:.1f} s)"
    else:
        yield f"all {count} can be reached ({took_s:.1f} s)"


def _time_of(found: Found) -> str:
    if found.what is What.PING and found.round_trip_ms is not None:
        return f"{found.round_trip_ms.p50:.2f} ms"
    return "" if found.open_ms is None or found.error else f"{found.open_ms:.2f} ms"


def _benched(diagnosis: Diagnosis) -> Iterator[str]:
    yield _who(diagnosis.found[0])
    for found in diagnosis.found:
        if found.error:
            yield f"{found.what.value:<9} {escaped(found.error)}"
        elif found.round_trip_ms is not None:
            yield f"{found.what.value:<9} {_spread(found.round_trip_ms)}"
        elif found.bytes_per_s is not None:
            mbit = found.bytes_per_s * 8 / 1e6
            mb = found.byte_count / 1e6
            yield f"{found.what.value:<9} {mbit:,.1f} Mbit/s ({mb:,.1f} MB in {found.seconds:.1f} s)"
