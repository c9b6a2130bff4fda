from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.runtime.virtual.clock import Trace, VirtualClock
from actors.runtime.virtual.links import BURST_BYTES, RETRANSMISSION_S, Link
from actors.runtime.virtual.pipe import Pipe
from tests.examples import examples


class End:
    """Either end of a pipe; counts what it is told."""

    def __init__(self) -> None:
        self.room = 0
        self.arrivals: list[float] = []
        self.refusals = 0
        self.clock: VirtualClock | None = None

    def room_changed(self) -> None:
        self.room += 1

    def bytes_arrived(self) -> None:
        assert self.clock is not None
        self.arrivals.append(self.clock.now)

    def bytes_refused(self) -> None:
        self.refusals += 1


class Wire:
    def __init__(self, latency_s: float = 1.0, bytes_per_s: float | None = None) -> None:
        self.clock = VirtualClock()
        self.trace = Trace(self.clock, 1)
        self.there = Link(self.clock, self.trace, "a>b", latency_s, bytes_per_s)
        self.back = Link(self.clock, self.trace, "b>a", latency_s, bytes_per_s)

    def pipe(self, **sizes: Any) -> tuple[Pipe, End, End]:
        sender, receiver = End(), End()
        receiver.clock = self.clock
        chosen = {"send_bytes": 1000, "receive_bytes": 1000, "low_water_bytes": None} | sizes
        pipe = Pipe(
            self.clock,
            self.trace,
            "pipe",
            path=self.there,
            back=self.back,
            sender=sender,
            receiver=receiver,
            **chosen,
        )
        return pipe, sender, receiver

    def run(self) -> None:
        while self.clock.next_time() is not None:
            self.clock.step()

    def run_until(self, time: float) -> None:
        while (following := self.clock.next_time()) is not None and following <= time:
            self.clock.step()
        self.clock.now = time


def read(pipe: Pipe, limit: int = 1_000_000) -> bytes:
    buffer = memoryview(bytearray(limit))
    return bytes(buffer[: pipe.read_into(buffer)])


def test_bytes_arrive_after_the_latency():
    wire = Wire(latency_s=0.25)
    pipe, _, receiver = wire.pipe()
    assert pipe.offer([b"hello"]) == 5
    wire.run()
    assert receiver.arrivals == [0.25]
    assert read(pipe) == b"hello"


def test_a_slow_link_serialises():
    wire = Wire(latency_s=0.5, bytes_per_s=100_000)
    pipe, _, receiver = wire.pipe(send_bytes=10_000, receive_bytes=10_000)
    pipe.offer([bytes(10_000)])
    wire.run()
    assert receiver.arrivals[-1] == pytest.approx(10_000 / 100_000 + 0.5)
    assert len(receiver.arrivals) == 7  # packets of 1448, so that others get their turn


def test_streams_share_a_slow_link_by_turns():
    wire = Wire(latency_s=0.0, bytes_per_s=1_000_000)
    ends = [wire.pipe(send_bytes=100_000, receive_bytes=100_000) for _ in range(2)]
    for pipe, _, _ in ends:
        pipe.offer([bytes(100_000)])
    wire.run()
    finished = [receiver.arrivals[-1] for _, _, receiver in ends]
    assert finished == pytest.approx([0.2, 0.2], rel=0.02)


def test_the_send_buffer_is_freed_by_acknowledgements_only():
    wire = Wire(latency_s=1.0)
    pipe, sender, _ = wire.pipe(send_bytes=100)
    assert pipe.offer([bytes(150)]) == 100
    assert pipe.room_bytes() == 0
    assert not pipe.is_writable()
    pipe.await_room()
    wire.run_until(1.9)
    assert (pipe.room_bytes(), sender.room) == (0, 0)
    wire.run_until(2.0)
    assert (pipe.room_bytes(), sender.room) == (100, 1)
    assert pipe.is_writable()


def test_the_window_stops_the_sender_until_the_reader_reads():
    wire = Wire(latency_s=1.0)
    pipe, _, _ = wire.pipe(send_bytes=1000, receive_bytes=100)
    pipe.offer([bytes(250)])
    wire.run()
    assert pipe.buffered_bytes == 100
    assert len(read(pipe)) == 100
    wire.run()
    assert pipe.buffered_bytes == 100
    assert len(read(pipe)) == 100
    wire.run()
    assert len(read(pipe)) == 50


def test_a_reader_that_takes_little_by_little_still_opens_the_window():
    wire = Wire()
    pipe, _, _ = wire.pipe(send_bytes=1000, receive_bytes=100)
    pipe.offer([bytes(1000)])
    got = 0
    for _ in range(400):
        wire.run()
        got += len(read(pipe, 3))
    assert got == 1000


def test_low_water_bounds_what_waits_unsent():
    wire = Wire(latency_s=0.0, bytes_per_s=1000)
    pipe, sender, _ = wire.pipe(send_bytes=100_000, receive_bytes=100_000, low_water_bytes=10_000)
    taken = pipe.offer([bytes(50_000)])
    assert taken == 10_000
    assert pipe.offer([bytes(50_000)]) == 1448  # what has left for the link in the meantime
    assert not pipe.is_writable()
    wire.run_until(6.0)
    assert pipe.is_writable()
    assert sender.room > 0


def test_the_end_comes_behind_the_bytes():
    wire = Wire()
    pipe, _, receiver = wire.pipe()
    pipe.offer([b"last"])
    pipe.finish()
    pipe.finish()
    wire.run()
    assert pipe.finished
    assert read(pipe) == b"last"
    assert len(receiver.arrivals) == 2


def test_what_comes_after_the_receiver_closed_is_refused():
    wire = Wire()
    pipe, _, receiver = wire.pipe()
    pipe.close_receiver()
    pipe.offer([b"late"])
    wire.run()
    assert receiver.refusals == 1
    assert pipe.buffered_bytes == 0


def test_dropping_keeps_what_is_on_its_way():
    wire = Wire(bytes_per_s=1448.0)
    pipe, _, _ = wire.pipe(send_bytes=5000, receive_bytes=5000)
    pipe.offer([bytes(5000)])
    pipe.drop()
    wire.run()
    assert pipe.buffered_bytes == 1448


def test_what_a_cut_loses_arrives_a_retransmission_after_healing_and_in_order():
    wire = Wire(latency_s=1.0)
    pipe, _, receiver = wire.pipe()
    pipe.offer([b"on its way "])
    wire.run_until(0.5)
    wire.there.cut()
    pipe.offer([b"into the hole "])
    wire.run_until(50.0)
    assert receiver.arrivals == []
    wire.there.heal()
    pipe.offer([b"afterwards"])
    wire.run()
    assert receiver.arrivals[0] == pytest.approx(50.0 + 1.0 + RETRANSMISSION_S)
    assert read(pipe) == b"on its way into the hole afterwards"


def test_lost_acknowledgements_are_made_up_for():
    wire = Wire(latency_s=1.0)
    pipe, _, _ = wire.pipe(send_bytes=10)
    wire.back.cut()
    pipe.offer([bytes(10)])
    wire.run_until(10.0)
    assert pipe.room_bytes() == 0
    wire.back.heal()
    wire.run_until(20.0)
    assert pipe.room_bytes() == 10


def test_lowering_the_latency_does_not_reorder():
    wire = Wire(latency_s=1.0)
    pipe, _, _ = wire.pipe()
    pipe.offer([b"first "])
    wire.there.latency_s = 0.1
    pipe.offer([b"second"])
    wire.run()
    assert read(pipe) == b"first second"


def test_a_burst_is_never_larger_than_a_segment_offload():
    wire = Wire()
    pipe, _, receiver = wire.pipe(send_bytes=300_000, receive_bytes=300_000)
    pipe.offer([bytes(300_000)])
    wire.run()
    assert len(receiver.arrivals) == -(-300_000 // BURST_BYTES)


STEPS = st.one_of(
    st.tuples(st.just("send"), st.lists(st.binary(max_size=400), max_size=4)),
    st.tuples(st.just("read"), st.integers(1, 500)),
    st.tuples(st.just("pass"), st.floats(0.0, 3.0)),
    st.tuples(st.just("latency"), st.floats(0.0, 2.0)),
    st.tuples(st.sampled_from(["cut", "heal", "cut back", "heal back"]), st.none()),
)


@examples(3)
@given(
    steps=st.lists(STEPS, max_size=40),
    send_bytes=st.integers(1, 600),
    receive_bytes=st.integers(1, 600),
    low_water_bytes=st.none() | st.integers(1, 300),
    bytes_per_s=st.none() | st.integers(50, 5000),
)
def test_every_byte_arrives_once_and_in_order_within_the_buffers(
    steps: list[tuple[str, Any]],
    send_bytes: int,
    receive_bytes: int,
    low_water_bytes: int | None,
    bytes_per_s: int | None,
):
    wire = Wire(latency_s=0.5, bytes_per_s=bytes_per_s)
    pipe, _, _ = wire.pipe(
        send_bytes=send_bytes, receive_bytes=receive_bytes, low_water_bytes=low_water_bytes
    )
    sent, received = b"", b""
    for what, argument in steps:
        match what:
            case "send":
                room = pipe.room_bytes()
                taken = pipe.offer(argument)
                data = b"".join(argument)
                assert taken == min(room, len(data))
                sent += data[:taken]
            case "read":
                received += read(pipe, argument)
            case "pass":
                wire.run_until(wire.clock.now + argument)
            case "latency":
                wire.there.latency_s = wire.back.latency_s = argument
            case "cut":
                wire.there.cut()
            case "heal":
                wire.there.heal()
            case "cut back":
                wire.back.cut()
            case "heal back":
                wire.back.heal()
        assert pipe.buffered_bytes <= receive_bytes
        assert len(sent) - len(received) <= send_bytes + receive_bytes
        assert sent.startswith(received)
    wire.there.heal()
    wire.back.heal()
    pipe.finish()
    for _ in range(len(sent) + 2):
        wire.run()
        received += read(pipe)
    assert received == sent
    assert pipe.finished
    wire.run_until(wire.clock.now + 2.0)  # acknowledgements that nobody waits for are no events
    assert pipe.is_writable()
