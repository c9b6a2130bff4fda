"""Two streams over a network that loses, repeats, reorders, delays, marks and forges."""

import random
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.connection.opening_payloads import OpenReply, OpenRequest
from mesh.connection.party import Party
from mesh.connection.session_handshake import SessionInitiator, SessionResponder
from mesh.connection.stream import INITIAL_WINDOW_BYTES, ResetCode, StreamBudget
from mesh.link.frames import FrameType
from mesh.trust.noise.primitives import key_pair
from scripts.lab.frames import changed
from tests.examples import examples
from tests.mesh.connection.replies import reply_with
from tests.mesh.connection.stream.harness import EXIT, INGRESS, MIB, World, make_stream, pattern, sessions


class Weather:
    """A hostile fate: lossy until ``calm_at``, then only slow. Deterministic by its seed."""

    def __init__(self, seed, *, loss, duplication, reordering, marks, forgery, calm_at):
        self.draw = random.Random(seed)
        self.loss, self.duplication, self.reordering = loss, duplication, reordering
        self.marks, self.forgery = marks, forgery
        self.calm_at = calm_at

    def __call__(self, frame, now):
        draw = self.draw
        if now >= self.calm_at:
            return [(0.01, frame)]
        if draw.random() < self.marks and frame.type in (FrameType.DATA, FrameType.FIN):
            frame = frame.with_mark()
        arriving = []
        if draw.random() < self.forgery:
            arriving.append((draw.random() * 0.02, self.forge(frame)))
        if draw.random() < self.loss:
            return arriving
        for _ in range(2 if draw.random() < self.duplication else 1):
            delay = 0.01 + (draw.random() * 0.08 if draw.random() < self.reordering else 0)
            arriving.append((delay, frame))
        return arriving

    def forge(self, frame):
        match self.draw.randrange(5) if frame.body else 1:
            case 0:
                body = bytearray(frame.body)
                body[self.draw.randrange(len(body))] ^= 1 << self.draw.randrange(8)
                return changed(frame, body=bytes(body))
            case 1:
                return changed(frame, number=frame.number + 1)
            case 2:
                return changed(frame, type=self.draw.choice([0x13, 0x14, 0x15, 0x16, 0x17]), number=2**63)
            case 3:
                return changed(frame, from_exit=not frame.from_exit)
            case _:
                return changed(frame, type=FrameType.UNKNOWN, body=b"")


chances = st.sampled_from([0.0, 0.0, 0.02, 0.1, 0.3])


@examples(1.5)
@given(
    seed=st.integers(0, 2**32),
    loss=chances,
    duplication=chances,
    reordering=chances,
    marks=chances,
    forgery=chances,
    sizes=st.tuples(*[st.sampled_from([0, 1, 1000, 65_536, 70_000, 300_000, 1_500_000])] * 2),
    chunks=st.tuples(*[st.sampled_from([700, 5000, MIB])] * 2),
    limit=st.sampled_from([256 * MIB, 0]),
)
def test_every_byte_arrives_once_and_in_order_and_both_ends_end(
    *, seed, loss, duplication, reordering, marks, forgery, sizes, chunks, limit
):
    weather = Weather(
        seed,
        loss=loss,
        duplication=duplication,
        reordering=reordering,
        marks=marks,
        forgery=forgery,
        calm_at=120.0,
    )
    budgets = [StreamBudget(limit), StreamBudget(limit)]
    pair = [make_stream(s, budget=b) for s, b in zip(sessions(), budgets, strict=True)]
    world = World(fate=weather, pair=pair)
    messages = [pattern(sizes[0], 1), pattern(sizes[1], 2**30)]
    for end, message, chunk in zip(world.ends, messages, chunks, strict=True):
        end.outgoing, end.chunk, end.ends = message, chunk, True
    world.apply(world.ingress, world.ingress.stream.confirm(world.now))
    world.run(until=world.all_done)

    assert world.all_done()
    for end, other, message in zip(world.ends, world.ends[::-1], reversed(messages), strict=True):
        assert bytes(end.incoming) == message
        assert end.finishes == 1
        assert end.stream.deadline() == inf
        if not end.stream.finished:
            # What acknowledged its last bytes was lost again and again, until the other end had left.
            assert loss >= 0.1
            assert end.resets in ([ResetCode.GONE], [ResetCode.TIMED_OUT])
            assert other.stream.finished
        else:
            assert not end.resets
    assert [budget.reserved_bytes for budget in budgets] == [0, 0]


@examples(0.8)
@given(
    seed=st.integers(0, 2**32),
    loss=chances,
    reordering=chances,
    reset_after=st.floats(0, 1),
    size=st.sampled_from([0, 1000, 300_000, 1_500_000]),
    resetting=st.sampled_from([(0,), (1,), (0, 1)]),
)
def test_a_reset_reaches_the_other_end_and_leaves_nothing(
    *, seed, loss, reordering, reset_after, size, resetting
):
    weather = Weather(
        seed, loss=loss, duplication=0.02, reordering=reordering, marks=0.0, forgery=0.02, calm_at=103.0
    )
    budget = StreamBudget(256 * MIB)
    world = World(fate=weather, budget=budget)
    messages = [pattern(size, 1), pattern(size, 2**30)]
    for end, message in zip(world.ends, messages, strict=True):
        end.outgoing = message
    world.apply(world.ingress, world.ingress.stream.confirm(world.now))
    world.run(duration=reset_after)
    before = world.now
    for index in resetting:
        end = world.ends[index]
        end.outgoing = b""
        world.apply(end, end.stream.reset(ResetCode.RESET, world.now))
    world.run(until=world.all_done)

    assert world.all_done()
    assert world.now < before + 45
    for end, message in zip(world.ends, reversed(messages), strict=True):
        assert message.startswith(bytes(end.incoming))
    if len(resetting) == 1:
        other = world.ends[1 - resetting[0]]
        assert len(other.resets) == 1
        assert other.resets[0] in {ResetCode.RESET, ResetCode.GONE}
    assert budget.reserved_bytes == 0


@pytest.mark.parametrize("lost", [FrameType.ACK, FrameType.FIN, FrameType.DATA, FrameType.PROBE])
@pytest.mark.parametrize("first", range(6))
def test_any_one_frame_may_be_lost(lost, first):
    # Of each type, the frames number ``first`` and ``first + 1`` vanish, whichever end sent them.
    seen = 0

    def fate(frame, now):
        nonlocal seen
        if frame.type == lost:
            seen += 1
            if first < seen <= first + 2:
                return []
        return [(0.01, frame)]

    world = World(fate=fate)
    for end in world.ends:
        end.outgoing, end.ends = pattern(200_000), True
    world.apply(world.ingress, world.ingress.stream.confirm(world.now))
    world.run(until=world.all_done)
    for end in world.ends:
        assert bytes(end.incoming) == pattern(200_000)
        assert end.finishes == 1
        assert not end.resets
    assert world.now < 110


def test_a_stream_runs_on_a_session_that_was_opened_by_its_handshake():
    parties, keys = [], []
    for byte in (1, 2):
        keys.append(key_pair(bytes([byte]) * 32))
        party = Party(id=(INGRESS, EXIT)[byte - 1], instance=bytes([byte]) * 16, session_key=keys[-1].public)
        parties.append(party)
    initiator = SessionInitiator(
        local=parties[0], remote=parties[1], connection=9, static=keys[0], ephemeral=key_pair(b"3" * 32)
    )
    responder = SessionResponder(
        local=parties[1], remote=parties[0], connection=9, static=keys[1], ephemeral=key_pair(b"4" * 32)
    )
    request = OpenRequest(routing_key="my-api", credit=INITIAL_WINDOW_BYTES)
    assert responder.read_open(initiator.open_frame(request)) == request
    answer, exit_session = reply_with(responder, OpenReply(accepted=True, credit=INITIAL_WINDOW_BYTES))
    reply, ingress_session = initiator.read_reply(answer)
    pair = (
        make_stream(ingress_session, send_credit=reply.credit),
        make_stream(exit_session, send_credit=request.credit),
    )
    world = World(pair=pair)
    world.arrive(world.ingress, answer)  # repeated: the exit has not heard yet that it was chosen
    for end, seed in zip(world.ends, (1, 2), strict=True):
        end.outgoing, end.ends = pattern(MIB, seed), True
    world.run(until=world.all_done)
    assert bytes(world.exit.incoming) == pattern(MIB, 1)
    assert bytes(world.ingress.incoming) == pattern(MIB, 2)


def test_a_forged_unknown_does_no_harm():
    def fate(frame, now):
        unknown = changed(frame, type=FrameType.UNKNOWN, body=b"", number=0)
        return [(0.002, unknown), (0.01, frame), (0.011, unknown)]

    world = World(fate=fate)
    world.ingress.outgoing = pattern(MIB)
    world.ingress.ends = world.exit.ends = True
    world.run(until=world.all_done)
    assert bytes(world.exit.incoming) == pattern(MIB)
    assert not world.exit.resets
    assert not world.ingress.resets
