"""A diagnosis as the API tells it."""

import enum
from typing import Final

import msgspec

from mesh.diagnostics.job import JobView
from mesh.diagnostics.results import ENDED, ProbeState, Result, RoundTrips, spread_of
from mesh.diagnostics.tasks import Task, What
from mesh.trust.identity import NO_AGENT, display_id, short_id

LATEST: Final = 100
"""Round trips that are told one by one: more than come between two questions."""


class Verdict(enum.Enum):
    """What a diagnosis comes to."""

    RUNNING = "running"
    REACHABLE = "reachable"
    """All that was asked for."""
    UNREACHABLE = "unreachable"
    """Something of it cannot be reached."""


class Found(msgspec.Struct, frozen=True):
    """What is known of one agent, or of one key at one agent."""

    what: What
    """``ping``: its agent answers. ``open``: its service accepts. Others: so much gets through."""
    agent: str
    """Display name; empty if nobody within reach offers the key."""
    agent_id: str
    short_id: str
    key: str
    """Empty if it is the agent that was asked for."""
    hop_count: int
    """Links to the agent; -1 if it is out of reach."""
    state: ProbeState
    code: str
    """Why it failed, for programs: the code of a refusal, or empty."""
    error: str
    """Why it failed, for people."""
    open_ms: float | None
    """How long opening took."""
    sent: int
    answered: int
    """Within the time-out."""
    late: int
    lost: int
    """Those without an answer; while it runs, only those that can have none any more are not known yet: 0."""
    round_trip_ms: RoundTrips | None
    """Of the latest 1,000 answers."""
    latest_ms: tuple[float, ...]
    """The latest answers one by one, in the order in which they came."""
    byte_count: int
    seconds: float
    bytes_per_s: float | None
    """What a bench has carried."""


class Diagnosis(msgspec.Struct, frozen=True):
    """A diagnosis that is under way, or over."""

    id: str
    verdict: Verdict
    ended: int
    """Of what is to be found, how much is known."""
    failed: int
    found: tuple[Found, ...]


def diagnosis_of(number: int, view: JobView) -> Diagnosis:
    """A job for programs."""
    failed = sum(result.state is ProbeState.FAILED for result in view.results)
    verdict = Verdict.UNREACHABLE if failed else Verdict.REACHABLE
    return Diagnosis(
        id=str(number),
        verdict=verdict if view.is_over else Verdict.RUNNING,
        ended=sum(result.state in ENDED for result in view.results),
        failed=failed,
        found=tuple(map(_found, view.tasks, view.results)),
    )


def _found(task: Task, result: Result) -> Found:
    is_known = task.agent_id != NO_AGENT
    has_ended = result.state in ENDED
    return Found(
        what=task.what,
        agent=task.agent_name,
        agent_id=display_id(task.agent_id) if is_known else "",
        short_id=short_id(task.agent_id) if is_known else "",
        key=task.key,
        hop_count=task.hop_count,
        state=result.state,
        code=result.code,
        error=result.error,
        open_ms=None if result.open_s is None else round(result.open_s * 1000, 3),
        sent=result.sent,
        answered=result.answered,
        late=result.late,
        lost=result.sent - result.answered - result.late if has_ended else 0,
        round_trip_ms=spread_of(result.round_trips_s),
        latest_ms=tuple(round(each * 1000, 3) for each in result.round_trips_s[-LATEST:]),
        byte_count=result.byte_count,
        seconds=round(result.carried_s, 3),
        bytes_per_s=round(result.byte_count / result.carried_s, 1) if result.carried_s else None,
    )
