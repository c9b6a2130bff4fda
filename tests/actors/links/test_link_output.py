"""How deep a queue may become before data is marked, how much is sealed at once, and where keys change."""

import itertools

import pytest

from actors.links.output import (
    BATCH_FRACTION,
    LEAST_BATCH_BYTES,
    LONG_LINK_RATE,
    MARK_DELAY_S,
    MARK_ROUND_TRIPS,
    MAX_MARK_BYTES,
    MEASURE_S,
    MOST_BATCH_BYTES,
    SHOWN_BYTES,
    WRITE_BATCH_BYTES,
    LinkOutput,
)
from actors.links.settings import LEAST_NOT_SENT_BYTES, LINK_SOCKET_OPTIONS, NOT_SENT_BYTES
from mesh.errors import LocalProtocolError
from mesh.link.frame_sealing import FrameReader, FrameWriter
from mesh.link.frames import Frame, FrameType, link_frame
from mesh.link.relay_budget import RelayBudget
from mesh.trust.identity import AgentId

LEAST = 256 * 1024
numbers = itertools.count()
BODY = bytes(65_536)


class Socket:
    """Takes everything."""

    def send(self, buffers):
        return sum(map(len, buffers))

    def keep_unsent(self, byte_count):
        pass


def output_at(bytes_per_s, *round_trips_s):
    output = LinkOutput(Socket(), budget=RelayBudget(1 << 30), mark_bytes=LEAST, own_id=AgentId(bytes(16)))
    output._writer = FrameWriter(bytes(32))
    for rtt_s in round_trips_s:
        output.follow_round_trip(rtt_s)
    for number in range(200):
        output.push((Frame(FrameType.DATA, False, AgentId(bytes(16)), AgentId(bytes(16)), 1, number, BODY),))
        output.flush(100.0 + number * len(BODY) / bytes_per_s)
    return output


@pytest.mark.parametrize(
    ("bytes_per_s", "round_trips_s", "depth"),
    [
        (1e6, (), LEAST),
        (1e6, (0.0002,), LEAST + 0.0002 * LONG_LINK_RATE),
        (50e6, (0.0002,), 50e6 * MARK_DELAY_S),
        (5e6, (0.04,), LEAST + 0.04 * LONG_LINK_RATE),
        (20e6, (0.04,), 20e6 * MARK_ROUND_TRIPS * 0.04),
        (20e6, (0.04, 3.0, 0.05), 20e6 * MARK_ROUND_TRIPS * 0.04),
        (200e6, (0.04,), MAX_MARK_BYTES),
    ],
    ids=["slow", "slow and near", "fast and near", "long", "long and fast", "behind a queue", "at most"],
)
def test_the_depth_of_marks_follows_pace_and_round_trip(bytes_per_s, round_trips_s, depth):
    output = output_at(bytes_per_s, *round_trips_s)
    assert output.queue.data.mark_bytes == pytest.approx(depth, rel=0.1)


def test_a_link_that_was_given_little_is_marked_by_what_it_has_shown():
    output = output_at(20e6, 0.04)
    shown = output.queue.data.mark_bytes
    for number in range(20):
        push(output, 8192)
        assert output.flush(200.0 + number)
    assert output.queue.data.mark_bytes == shown > 2 * LEAST


def test_of_a_link_that_is_full_marks_come_sooner_within_some_periods():
    output, socket = narrow_output(50e6)
    depths = []
    for number in range(30):
        if number == 20:
            socket.bytes_per_s = 1e6
        socket.room = int(2 * MEASURE_S * socket.bytes_per_s)
        while output.queue.byte_count < 2 * socket.room:
            push(output, len(BODY))
        assert not output.flush(100.0 + 2 * MEASURE_S * number)
        depths.append(output.queue.data.mark_bytes)
    before, *after = depths[20:]  # what is taken counts as the next begins
    assert before == pytest.approx(50e6 * MARK_DELAY_S, rel=0.1)
    assert after[0] == pytest.approx((before + 1e6 * MARK_DELAY_S) / 2, rel=0.1)
    assert after[4] == LEAST


class NarrowSocket:
    """Takes so many bytes a second, and says when it has no room."""

    def __init__(self, bytes_per_s):
        self.bytes_per_s = bytes_per_s
        self.room = self.taken = self.offered = 0
        self.unsent = LINK_SOCKET_OPTIONS.not_sent_low_water_bytes

    def send(self, buffers):
        if self.room <= 0:
            raise BlockingIOError
        waiting = sum(map(len, buffers))
        self.offered = max(self.offered, waiting)
        sent = min(self.room, waiting)
        self.room -= sent
        self.taken += sent
        return sent

    def watch_write(self, enabled):
        pass

    def keep_unsent(self, byte_count):
        assert byte_count != self.unsent
        self.unsent = byte_count


@pytest.mark.parametrize(
    ("bytes_per_s", "committed", "unsent"),
    [
        (125_000, LEAST_BATCH_BYTES, LEAST_NOT_SENT_BYTES),
        (3e6, 3e6 * MARK_DELAY_S, 4 * LEAST_NOT_SENT_BYTES),
        (50e6, WRITE_BATCH_BYTES, NOT_SENT_BYTES),
    ],
    ids=["thin", "slow", "fast"],
)
def test_what_leaves_the_queue_at_once_follows_the_pace_of_a_link_that_is_full(
    bytes_per_s, committed, unsent
):
    socket, agent = NarrowSocket(bytes_per_s), AgentId(bytes(16))
    output = LinkOutput(socket, budget=RelayBudget(1 << 32), mark_bytes=LEAST, own_id=agent)
    output._writer = FrameWriter(bytes(32))
    most = number = 0
    for step in range(600):
        while output.queue.byte_count < 2_000_000:
            output.push((Frame(FrameType.DATA, False, agent, agent, 1, number, BODY[:8192]),))
            number += 1
        socket.room = int(bytes_per_s * 0.01)
        output.flush(100.0 + step * 0.01)
        if step > 300:
            most = max(most, output.unsent_bytes)
    assert 0.5 * committed < most < 1.2 * committed + 8192 + 200  # a measured pace varies
    assert socket.unsent == unsent


@pytest.mark.parametrize(
    ("bytes_per_s", "committed"),
    [(50e6, WRITE_BATCH_BYTES), (150e6, 150e6 * MARK_DELAY_S / BATCH_FRACTION), (500e6, MOST_BATCH_BYTES)],
    ids=["fast", "very fast", "at most"],
)
def test_more_leaves_the_queue_of_a_very_fast_link_at_once(bytes_per_s, committed):
    output, socket = narrow_output(bytes_per_s)
    for step in range(3):
        socket.room = int(bytes_per_s * MEASURE_S)
        while output.queue.byte_count < 1.2 * socket.room:
            push(output, 8192)
        socket.offered = 0
        assert not output.flush(100.0 + step * 1.01 * MEASURE_S)
    assert socket.offered == pytest.approx(committed, rel=0.15)


def narrow_output(bytes_per_s):
    socket = NarrowSocket(bytes_per_s)
    output = LinkOutput(socket, budget=RelayBudget(1 << 32), mark_bytes=LEAST, own_id=AgentId(bytes(16)))
    output._writer = FrameWriter(bytes(32))
    return output, socket


def push(output, byte_count):
    agent = AgentId(bytes(16))
    for _ in range(byte_count // 8192):
        output.push((Frame(FrameType.DATA, False, agent, agent, 1, next(numbers), BODY[:8192]),))


@pytest.mark.parametrize("idle_s", [0.0, 0.04, 0.06, 30.0])
def test_little_leaves_the_queue_of_a_link_that_has_not_shown_its_pace(idle_s):
    output, socket = narrow_output(125_000)
    socket.room = 1250
    push(output, 8192)
    output.flush(100.0)
    push(output, 2_000_000)
    for step in range(100):
        output.flush(100.0 + idle_s + step * 0.01)
        assert output.unsent_bytes < 17 / 16 * LEAST_BATCH_BYTES + 8192 + 200
        assert socket.unsent == LEAST_NOT_SENT_BYTES
        socket.room = 1250


def test_a_long_frame_may_be_overtaken_until_little_is_left_to_send():
    output, socket = narrow_output(125_000)
    agent = AgentId(bytes(16))
    frames = [Frame(FrameType.DATA, False, agent, agent, 1, number, BODY) for number in range(9)]
    output.push(frames)
    for step in range(1000):
        was_unsent = output.unsent_bytes
        socket.room = 1000
        output.flush(100.0 + step * 0.01)
        if output.unsent_bytes > was_unsent:
            assert was_unsent < 1000 + LEAST_BATCH_BYTES / 16
    assert not output.unsent_bytes


def test_a_fast_link_shows_its_pace_at_once():
    output, socket = narrow_output(50e6)
    push(output, 10_000_000)
    for step in range(10):
        socket.room = 500_000
        output.flush(100.0 + step * 0.01)
    assert socket.unsent == NOT_SENT_BYTES
    socket.room = output.unsent_bytes + 1
    output.flush(100.1)
    assert output.unsent_bytes > 0.9 * WRITE_BATCH_BYTES


def test_a_link_that_always_has_room_takes_all_at_once_as_soon_as_it_has_taken_enough():
    output, socket = narrow_output(50e6)
    socket.room = 1 << 30
    push(output, SHOWN_BYTES - 2 * LEAST_BATCH_BYTES)
    output.flush(100.0)
    assert socket.unsent == LEAST_NOT_SENT_BYTES
    push(output, 4 * LEAST_BATCH_BYTES)
    output.flush(100.0 + MEASURE_S / 2)
    assert socket.unsent == NOT_SENT_BYTES
    socket.room = WRITE_BATCH_BYTES // 2
    push(output, 2 * WRITE_BATCH_BYTES)
    output.flush(100.0 + MEASURE_S / 2)
    assert output.unsent_bytes > 0.4 * WRITE_BATCH_BYTES


def test_one_that_takes_as_much_in_a_longer_time_does_not():
    output, socket = narrow_output(50e6)
    for step in range(100):
        socket.room = 1 << 30
        push(output, 8192)
        output.flush(100.0 + step * 0.02)
    assert socket.unsent == LEAST_NOT_SENT_BYTES


def test_what_a_link_carries_with_room_to_spare_it_may_take_at_once():
    output, socket = narrow_output(50e6)
    for step in range(30):
        socket.room = 1 << 20
        push(output, 131_072)
        output.flush(100.0 + step * 0.01)
    assert socket.unsent == NOT_SENT_BYTES
    for step in range(300):  # less to carry shows nothing
        socket.room = 1 << 20
        push(output, 8192)
        output.flush(101.0 + step * 0.1)
    assert socket.unsent == NOT_SENT_BYTES


def test_a_link_that_is_full_no_more_takes_as_much_as_it_carries():
    output, socket = narrow_output(125_000)
    for step in range(600):
        if step < 300 and output.queue.byte_count < 200_000:
            push(output, 163_840)
        socket.room = 1250
        output.flush(100.0 + step * 0.01)
    assert socket.unsent == LEAST_NOT_SENT_BYTES
    for step in range(30):
        socket.room = 1 << 20
        push(output, 131_072)
        output.flush(110.0 + step * 0.01)
    assert socket.unsent == NOT_SENT_BYTES


def test_the_key_changes_behind_what_is_sealed_and_before_what_waits():
    wire = bytearray()

    class Full(Socket):
        room = 0

        def send(self, buffers):
            if not self.room:
                raise BlockingIOError
            wire.extend(b"".join(buffers))
            return sum(map(len, buffers))

        def watch_write(self, enabled):
            pass

    socket, agent = Full(), AgentId(bytes(16))
    output = LinkOutput(socket, budget=RelayBudget(1 << 30), mark_bytes=LEAST, own_id=agent)
    with pytest.raises(LocalProtocolError, match="seals nothing"):
        output.switch(link_frame(FrameType.NEW_KEY, b""), bytes(32))
    output.seal_with(b"1" * 32)

    def data(number):
        return Frame(FrameType.DATA, False, agent, agent, 1, number, b"some")

    output.push((data(0),))
    output.flush(100.0)
    output.push((data(1),))  # the socket is full: it waits in the queue
    output.switch(link_frame(FrameType.NEW_KEY, b"last"), b"2" * 32)
    output.push((data(2),))
    socket.room = 1
    assert output.flush(101.0)
    keys = {b"last": b"2" * 32}
    reader = FrameReader(b"1" * 32, lambda _, body: keys.pop(body))
    frames = reader.feed(memoryview(bytes(wire)))
    assert [(frame.type, frame.number) for frame in frames] == [
        (FrameType.DATA, 0),
        (FrameType.NEW_KEY, 0),
        (FrameType.DATA, 1),
        (FrameType.DATA, 2),
    ]
    assert not keys
