"""When others take most of a stream's pace its window grows, and in no other case."""

import itertools
import random

import pytest

from mesh.connection.stream.lost_pace import LostPace
from mesh.connection.stream.window import INITIAL_WINDOW_BYTES, WindowLimits
from mesh.link.frames import FrameType
from tests.mesh.connection.stream.harness import MIB, World, pattern
from tests.mesh.connection.stream.test_stream_bulk import Bottleneck

KIB = 1024
CAP = 4 * MIB
RATE = 1.25e6
TICK_S = 0.01


class Path:
    """A stream that comes as ``pace_of(window)`` says, and the window that it gets."""

    def __init__(self, base=64 * KIB):
        self.lost = LostPace(CAP)
        self.base = base
        self.now = 50.0
        self.received = 0.0
        self.largest = 0
        self.enlarged_s = 0.0

    @property
    def window(self):
        return max(self.base, self.lost.least_bytes)

    def run(self, seconds, pace_of, *, hindered=False):
        """The pace of that time; bytes arrive as those before them have been taken."""
        before = self.received
        for _ in range(int(seconds / TICK_S)):
            self.now += TICK_S
            self.received += pace_of(self.window) * TICK_S
            if hindered:
                self.lost.hindered(int(self.received), self.now)
            self.lost.round_over(int(self.received), self.now, self.window)
            self.largest = max(self.largest, self.window)
            self.enlarged_s += TICK_S if self.window > self.base else 0.0
        return (self.received - before) / seconds


def alone(window):
    return RATE


def beside(others):
    """Among so many bytes of others, that never end; half of the line is a fair part."""
    return lambda window: min(RATE * window / (window + others), RATE / 2)


def slow(window):
    return RATE / 4


class Uneven:
    """A line whose rate changes all the time, as on a busy machine, down to ``least`` of it."""

    def __init__(self, seed, least):
        self.draw = random.Random(seed)
        self.least = least
        self.left_s = 0.0
        self.rate = RATE
        self.offered = 0.0

    def shared_with(self, others):
        """The pace beside so many bytes of others; 0: alone."""

        def pace_of(window):
            self.left_s -= TICK_S
            if self.left_s <= 0:
                self.rate = RATE * (1 - self.draw.random() * (1 - self.least))
                self.left_s = self.draw.expovariate(1 / 0.3)
            self.offered += self.rate * TICK_S
            part = min(window / (window + others), 0.5) if others else 1.0
            return self.rate * part

        return pace_of

    def shares(self, path, others, seconds):
        """Of the line, in each quarter of a second."""
        part, lines, paces = 0.25, [], []
        for _ in range(int(seconds / part)):
            before = self.offered
            paces.append(path.run(part, self.shared_with(others)))
            lines.append((self.offered - before) / part)
        return paces, lines


def worst(paces, lines, seconds=4.0):
    """The least share of any so many seconds."""
    count = int(seconds * 4)
    got, had = ([0.0, *itertools.accumulate(each)] for each in (paces, lines))
    ends = range(count, len(got))
    return min((got[end] - got[end - count]) / (had[end] - had[end - count]) for end in ends)


@pytest.mark.parametrize("others_kib", [100, 256, 600, 1500])
def test_beside_others_a_stream_gets_its_part(others_kib):
    path = Path()
    path.run(5.0, alone)
    flooded = beside(others_kib * KIB)
    path.run(1.0 + others_kib / 100, flooded)
    assert path.run(30.0, flooded) > 0.4 * RATE
    assert path.largest <= 4 * others_kib * KIB


@pytest.mark.parametrize("base_kib", [64, 160])
@pytest.mark.parametrize("least", [0.7, 0.5])
def test_on_a_line_of_uneven_pace_one_wrong_comparison_costs_little(base_kib, least):
    """What a period shows there may be half of what the next does."""
    shares = []
    for seed in range(40):
        path, line = Path(base=base_kib * KIB), Uneven(seed, least)
        path.run(8.0, line.shared_with(0))
        path.run(1.0, line.shared_with(256 * KIB))
        shares.append(worst(*line.shares(path, 256 * KIB, 20.0)))
    shares.sort()
    assert shares[0] > 0.3
    assert shares[len(shares) // 10] > 0.36
    assert shares[len(shares) // 2] > 0.45


def test_once_the_others_have_gone_the_window_is_what_it_was():
    path = Path()
    path.run(5.0, alone)
    path.run(20.0, beside(256 * KIB))
    assert path.window > path.base
    path.run(1.0, alone)
    assert path.window == path.base


@pytest.mark.parametrize("part", [0.02, 0.1, 0.25, 0.4, 0.6])
def test_on_a_line_that_has_become_slow_it_is_tried_and_left(part):
    path = Path()
    path.run(5.0, alone)
    path.run(60.0, lambda window: part * RATE)
    assert path.largest <= 4 * path.base
    path.enlarged_s = 0.0
    path.run(60.0, lambda window: part * RATE)
    assert path.enlarged_s == 0.0


def test_a_steady_stream_never_tries():
    path = Path()
    path.run(60.0, alone)
    assert path.largest == path.base


def test_nor_does_one_that_shares_a_line_fairly():
    path = Path()
    path.run(5.0, alone)
    path.run(30.0, lambda window: RATE / 2)
    assert path.largest == path.base


def test_nor_one_whose_local_socket_has_become_slow():
    path = Path()
    path.run(5.0, alone)
    path.run(30.0, slow, hindered=True)
    assert path.largest == path.base


def test_a_slow_local_socket_takes_back_what_others_were_the_reason_for():
    path = Path()
    path.run(5.0, alone)
    path.run(20.0, beside(256 * KIB))
    path.run(TICK_S, slow, hindered=True)
    assert path.window == path.base


def test_nor_one_on_a_path_where_nothing_waits_for_long():
    path = Path(base=2 * MIB)
    path.run(5.0, lambda window: 900e6)
    path.run(30.0, lambda window: 300e6)
    assert path.largest == path.base


def test_a_trial_that_came_to_nothing_by_chance_is_looked_at_again():
    """The pace before it was taken when the others had just begun: it looks as if nothing had helped."""
    path = Path()
    path.run(5.0, alone)
    path.run(0.8, lambda window: 0.44 * RATE)
    path.run(6.0, beside(256 * KIB))
    assert path.run(10.0, beside(256 * KIB)) > 0.4 * RATE


def test_pauses_of_the_sender_are_no_loss():
    path = Path()
    for _ in range(5):
        path.run(3.0, alone)
        path.run(20.0, lambda window: 100.0)
    assert path.enlarged_s < 1.0


# -- as part of a stream -------------------------------------------------------------------------------------


class Crowded(Bottleneck):
    """From ``floods_at`` on others keep its buffers full, and take half of it."""

    def __init__(self, *, floods_at, others_bytes):
        super().__init__(RATE, latency=0.001)
        self.floods_at = floods_at
        self.others_bytes = others_bytes

    def __call__(self, frame, now):
        fates = super().__call__(frame, now)
        if now >= self.floods_at and frame.type == FrameType.DATA:
            self.rate = RATE / 2
            return [(delay + self.others_bytes / RATE, frame) for delay, frame in fates]
        return fates


def uploading(path, **settings):
    world = World(fate=path, **settings)
    world.ingress.outgoing = pattern(40 * MIB)
    return world


def pace(world, seconds):
    before = len(world.exit.incoming)
    world.run(duration=seconds)
    return (len(world.exit.incoming) - before) / seconds


def test_a_transfer_beside_a_flood_that_began_later_keeps_two_fifths():
    world = uploading(Crowded(floods_at=105.0, others_bytes=256 * KIB))
    before = pace(world, 5.0)
    assert pace(world, 2.0) > 0.2 * before
    assert pace(world, 6.0) > 0.4 * before
    assert world.exit.stream._receiver._window.size_bytes < MIB


def test_a_transfer_alone_on_a_line_that_becomes_slow_keeps_no_longer_queue():
    link = Bottleneck(RATE, latency=0.001)
    world = uploading(link)
    pace(world, 5.0)
    assert link.longest <= 2 * INITIAL_WINDOW_BYTES
    link.rate = RATE / 4
    pace(world, 30.0)
    link.longest = 0
    pace(world, 20.0)
    assert link.longest <= 2 * INITIAL_WINDOW_BYTES


def test_a_reader_that_becomes_slow_holds_no_more_than_before():
    world = uploading(Bottleneck(RATE, latency=0.001), limits=WindowLimits())
    pace(world, 5.0)
    world.exit.taking = False
    longest = 0
    for _ in range(3000):
        world.run(duration=0.01)
        longest = max(longest, len(world.exit.waiting))
        world.take(world.exit, int(RATE / 400))
    assert longest <= 2 * INITIAL_WINDOW_BYTES
