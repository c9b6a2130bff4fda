"""Bulk transfers over links with a bandwidth, a queue that marks and a limit that drops."""

import pytest

from mesh.connection.stream import INITIAL_WINDOW_BYTES, StreamBudget, WindowLimits
from mesh.connection.stream.receive_half import MAX_SEGMENTS_AHEAD
from mesh.link.frames import FrameType
from tests.mesh.connection.stream.harness import MIB, World, make_pair, pattern

DATA, FIN = FrameType.DATA, FrameType.FIN
SEGMENTS = (DATA, FIN)


class Bottleneck:
    """A link towards the exit. Control frames go first; segments queue, are marked, are dropped."""

    def __init__(self, rate, *, latency=0.01, mark_above=float("inf"), limit=float("inf")):
        self.rate, self.latency = rate, latency
        self.mark_above, self.limit = mark_above, limit
        self.free_at = 0.0
        self.longest = 0
        self.dropped = self.marked = 0

    def __call__(self, frame, now):
        if frame.type not in SEGMENTS or frame.from_exit:
            return [(self.latency, frame)]
        queued = max(0.0, self.free_at - now) * self.rate
        if queued > self.limit:
            self.dropped += 1
            return []
        self.longest = max(self.longest, queued)
        if queued > self.mark_above:
            self.marked += 1
            frame = frame.with_mark()
        self.free_at = max(self.free_at, now) + (len(frame.body) + 72) / self.rate
        return [(self.free_at - now + self.latency, frame)]


def transfer(link, size, **settings):
    """Seconds for ``size`` bytes from the ingress, and the world."""
    world = World(fate=link, **settings)
    world.apply(world.ingress, world.ingress.stream.confirm(world.now))
    world.run(duration=1.0)
    world.ingress.outgoing = pattern(size)
    start = world.now
    world.run(until=lambda: len(world.exit.incoming) == size)
    assert bytes(world.exit.incoming) == pattern(size)
    return world.now - start, world


@pytest.mark.parametrize(
    ("rate", "latency"),
    [(MIB, 0.001), (MIB, 0.02), (10 * MIB, 0.01), (10 * MIB, 0.1), (100 * MIB, 0.01), (500 * MIB, 0.0002)],
)
def test_a_transfer_fills_the_path(rate, latency):
    size = 24 * MIB if rate > MIB else 4 * MIB
    took, world = transfer(Bottleneck(rate, latency=latency), size)
    # The first round trips are spent on growing the window.
    assert took < size / rate * 1.15 + 22 * latency + 0.03
    # On a slow path the first segment takes longer than the confirmation let expect.
    assert world.ingress.stream.repeated_segments <= 2


def test_the_queue_on_a_slow_path_stays_short_without_marks():
    link = Bottleneck(MIB, latency=0.005)
    transfer(link, 4 * MIB)
    assert link.longest <= 2 * INITIAL_WINDOW_BYTES


def test_marks_keep_the_queue_short_and_the_link_busy():
    link = Bottleneck(10 * MIB, latency=0.05, mark_above=256 * 1024)
    size = 60 * MIB
    world = World(fate=link)
    world.ingress.outgoing = pattern(size)
    start = world.now
    world.run(until=lambda: len(world.exit.incoming) > size // 2)
    link.longest = 0
    world.run(until=lambda: len(world.exit.incoming) == size)
    assert link.marked
    assert world.now - start < size / link.rate * 1.2 + 1.0
    assert link.longest < 512 * 1024
    assert world.ingress.stream.repeated_segments == 0


def test_a_queue_that_drops_is_survived_without_waiting_for_timeouts():
    link = Bottleneck(20 * MIB, latency=0.05, limit=MIB)
    size = 40 * MIB
    took, world = transfer(link, size)
    assert link.dropped
    assert took < size / link.rate * 1.5 + 2
    assert world.ingress.stream.repeated_segments < 4 * link.dropped + 50


def test_few_acknowledgements_serve_a_bulk_transfer():
    _, world = transfer(Bottleneck(100 * MIB, latency=0.005), 32 * MIB)
    segments = world.ingress.count(DATA)
    acknowledgements = world.exit.count(FrameType.ACK, FrameType.PROBE)
    assert segments <= 32 * 16 * 1.3
    assert acknowledgements < segments / 2


def test_an_end_that_only_receives_measures_the_path_too():
    # The exit has not sent a segment; a PROBE in the place of an ACK tells it the round-trip time.
    _, world = transfer(Bottleneck(100 * MIB, latency=0.05), 8 * MIB)
    assert world.exit.stream.round_trip_s == pytest.approx(0.1, rel=0.1)
    assert world.exit.count(FrameType.PROBE) == 1


def test_a_slow_reader_holds_no_more_than_its_window():
    world = World(limits=WindowLimits(cap=256 * 1024))
    world.exit.taking = False
    world.ingress.outgoing = pattern(4 * MIB)
    longest = 0
    while len(world.exit.incoming) < 4 * MIB:
        world.run(duration=0.01)
        longest = max(longest, len(world.exit.waiting))
        world.take(world.exit, 50_000)
    assert longest <= 256 * 1024
    assert bytes(world.exit.incoming) == pattern(4 * MIB)
    assert world.ingress.stream.repeated_segments == 0


def test_an_exhausted_budget_slows_a_stream_and_stops_none():
    budget = StreamBudget(0)
    world = World(budget=budget)
    world.ingress.outgoing = pattern(MIB)
    start = world.now
    world.run(until=lambda: len(world.exit.incoming) == MIB)
    assert bytes(world.exit.incoming) == pattern(MIB)
    # 16 KiB each round trip of 20 ms, at the least
    assert world.now - start < MIB / 16_384 * 0.021 + 0.5


def test_an_exhausted_budget_does_not_stop_a_stream_of_tiny_segments():
    world = World(budget=StreamBudget(0))
    world.ingress.outgoing, world.ingress.chunk = pattern(2_000), 1
    start = world.now
    world.run(until=lambda: len(world.exit.incoming) == 2_000)
    assert bytes(world.exit.incoming) == pattern(2_000)
    assert world.ingress.stream.repeated_segments == 0
    # 48 in each round trip of 20 ms and the delay of its ACK; a real socket would give more at once.
    assert world.now - start < 2_000 / 48 * 0.046


def test_tiny_segments_are_bounded_in_number():
    stream, _ = make_pair()
    count = 0
    while stream.writable_bytes:
        stream.send(b"x", 100.0)
        count += 1
    assert count == stream.unacknowledged_segments == MAX_SEGMENTS_AHEAD - 1
    assert len(stream.finish(100.0).frames) == 1


def test_a_thousand_tiny_early_segments_are_taken():
    world = World()
    world.ingress.outgoing, world.ingress.chunk = pattern(3000), 1
    lost = []

    def fate(frame, now):
        if frame.type == DATA and frame.number == 0 and not lost:
            lost.append(frame)
            return []
        return [(0.01, frame)]

    world.fate = fate
    world.run(until=lambda: len(world.exit.incoming) == 3000)
    assert bytes(world.exit.incoming) == pattern(3000)


def test_no_segment_is_silly():
    # A window that opens by a little at a time is used in pieces worth a frame.
    world = World()
    world.apply(world.ingress, world.ingress.stream.confirm(world.now))
    world.exit.taking = False
    world.ingress.outgoing = pattern(MIB)
    sizes = []

    def fate(frame, now):
        if frame.type == DATA:
            sizes.append(len(frame.body) - 16)
        return [(0.01, frame)]

    world.fate = fate
    while len(world.exit.incoming) < MIB:
        world.run(duration=0.02)
        world.take(world.exit, 1000)
    assert min(sizes[:-1]) >= 4096
