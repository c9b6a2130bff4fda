from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.runtime.virtual.clock import COMPACT_ABOVE, Trace, VirtualClock


def run_all(clock: VirtualClock) -> None:
    while clock.next_time() is not None:
        clock.step()


def test_events_of_one_instant_happen_in_the_order_of_scheduling():
    clock = VirtualClock()
    happened: list[int] = []
    for number in range(100):
        clock.at(1.0, lambda number=number: happened.append(number))
    run_all(clock)
    assert happened == list(range(100))
    assert clock.now == 1.0


def test_an_event_in_the_past_happens_at_this_instant():
    clock = VirtualClock()
    seen: list[float] = []
    clock.at(5.0, lambda: clock.at(1.0, lambda: seen.append(clock.now)))
    run_all(clock)
    assert seen == [5.0]


def test_cancelling_twice_or_too_late_is_no_error():
    clock = VirtualClock()
    happened: list[str] = []
    cancelled = clock.after(1.0, lambda: happened.append("cancelled"))
    kept = clock.after(2.0, lambda: happened.append("kept"))
    cancelled.cancel()
    cancelled.cancel()
    assert clock.pending_events == 1
    run_all(clock)
    kept.cancel()
    assert happened == ["kept"]
    assert clock.pending_events == 0
    assert not kept.pending


def test_a_step_without_events_is_none():
    clock = VirtualClock()
    clock.step()
    assert clock.now == 0.0
    assert clock.next_time() is None


def test_cancelled_events_do_not_pile_up():
    clock = VirtualClock()
    for _ in range(COMPACT_ABOVE * 10):
        clock.after(1000.0, lambda: None).cancel()
    assert clock.pending_events == 0
    assert len(clock._heap) <= COMPACT_ABOVE + 1


@given(
    st.lists(st.tuples(st.integers(0, 20), st.booleans()), max_size=60),
    st.integers(0, 5),
)
def test_what_happens_is_what_a_stable_sort_says(plan: list[tuple[int, bool]], chained: int):
    clock = VirtualClock()
    happened: list[Any] = []
    events = []
    for number, (time, _) in enumerate(plan):
        events.append(clock.at(float(time), lambda number=number: happened.append((clock.now, number))))
    for event, (_, cancel) in zip(events, plan, strict=True):
        if cancel:
            event.cancel()
    for _ in range(chained):
        clock.at(3.0, lambda: clock.after(0.0, lambda: None))
    run_all(clock)
    kept = [(float(time), number) for number, (time, cancel) in enumerate(plan) if not cancel]
    assert happened == sorted(kept, key=lambda entry: entry[0])
    assert clock.pending_events == 0


@pytest.mark.parametrize("other", [("kind", "b", 1), ("other", "a", 1), ("kind", "a", 2)])
def test_the_digest_depends_on_every_part_of_a_note(other: tuple[str, str, int]):
    digests = []
    for note in [("kind", "a", 1), other]:
        trace = Trace(VirtualClock(), 1)
        trace.note(*note)
        digests.append(trace.digest())
    assert digests[0] != digests[1]


def test_the_digest_depends_on_time_and_seed():
    late = VirtualClock()
    late.now = 1.0
    traces = [Trace(VirtualClock(), 1), Trace(late, 1), Trace(VirtualClock(), 2)]
    for trace in traces:
        trace.note("kind", "a")
    assert len({trace.digest() for trace in traces}) == 3


def test_a_listener_hears_every_line():
    trace = Trace(VirtualClock(), 1)
    lines: list[str] = []
    trace.listener = lines.append
    trace.note("kind", "a", 3)
    assert lines == ["0.0 kind a 3\n"]
