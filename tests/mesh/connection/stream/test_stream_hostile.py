"""An authentic other end that breaks the protocol, and frames that are not authentic."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.connection.stream import ResetCode
from mesh.connection.stream.control import Fin, Reset, encode_acknowledgement, encode_fin, encode_reset
from mesh.connection.stream.receive_half import MAX_SEGMENTS_AHEAD
from mesh.connection.stream.states import State
from mesh.link.frames import Frame, FrameType
from scripts.lab.frames import changed
from tests.mesh.connection.stream.harness import EXIT, INGRESS, make_stream, sessions

DATA, FIN, ACK, PROBE, RESET = (
    FrameType.DATA,
    FrameType.FIN,
    FrameType.ACK,
    FrameType.PROBE,
    FrameType.RESET,
)
NOW = 100.0
SAID = encode_fin(Fin(0, 0.0))


def victim_and_peer():
    """A stream, and the session of its other end to seal whatever one likes."""
    session, peer = sessions()
    return make_stream(session), peer


def acknowledgement(**fields):
    defaults = {
        "next_number": 0,
        "credit": 65_536,
        "missing_until": 0,
        "marked": 0,
        "echo": 0,
        "silence_s": 0.0,
        "delay_s": 0.0,
    }
    return encode_acknowledgement(**(defaults | fields))


VIOLATIONS = {
    "beyond its credit": lambda peer: [
        peer.seal_segment(DATA, 0, bytes(65_536)),
        peer.seal_segment(DATA, 1, b"x"),
    ],
    "beyond its credit, early": lambda peer: [
        peer.seal_segment(DATA, 5, bytes(65_536)),
        peer.seal_segment(DATA, 7, b"x"),
    ],
    "too far ahead": lambda peer: [peer.seal_segment(DATA, MAX_SEGMENTS_AHEAD, b"x")],
    "DATA without bytes": lambda peer: [peer.seal_segment(DATA, 0, b"")],
    "FIN that is too short": lambda peer: [peer.seal_segment(FIN, 0, SAID[:-1])],
    "FIN with another flag": lambda peer: [peer.seal_segment(FIN, 0, SAID[:-1] + b"\2")],
    "FIN beyond its credit": lambda peer: [
        peer.seal_segment(DATA, 0, bytes(65_536)),
        peer.seal_segment(FIN, 1, SAID + b"x"),
    ],
    "FIN that acknowledges what was not sent": lambda peer: [
        peer.seal_segment(FIN, 0, encode_fin(Fin(1, 0.0)))
    ],
    "DATA after the FIN": lambda peer: [peer.seal_segment(FIN, 0, SAID), peer.seal_segment(DATA, 1, b"x")],
    "DATA after an early FIN": lambda peer: [
        peer.seal_segment(FIN, 3, SAID),
        peer.seal_segment(DATA, 4, b"x"),
    ],
    "FIN before early DATA": lambda peer: [
        peer.seal_segment(FIN, 2, SAID),
        peer.seal_segment(DATA, 3, b"x"),
    ][::-1],
    "two FINs": lambda peer: [peer.seal_segment(FIN, 0, SAID), peer.seal_segment(FIN, 1, SAID)],
    "ACK of what was not sent": lambda peer: [peer.seal_control(ACK, acknowledgement(next_number=1))],
    "gap in what was not sent": lambda peer: [peer.seal_control(ACK, acknowledgement(missing_until=1))],
    "ACK of another length": lambda peer: [peer.seal_control(ACK, b"?")],
    "PROBE of another length": lambda peer: [peer.seal_control(PROBE, b"")],
    "RESET of another length": lambda peer: [peer.seal_control(RESET, b"?")],
    "RESET with another flag": lambda peer: [peer.seal_control(RESET, b"\x01\x02" + bytes(8))],
}


@pytest.mark.parametrize("violation", VIOLATIONS.values(), ids=VIOLATIONS)
def test_whoever_breaks_the_protocol_is_reset(violation):
    stream, peer = victim_and_peer()
    effects = stream.receive(violation(peer), NOW)
    assert effects.peer_reset is ResetCode.PROTOCOL_ERROR
    assert stream.state is State.RESETTING
    assert effects.frames[-1].type == RESET
    answer = peer.seal_control(RESET, encode_reset(Reset(ResetCode.PROTOCOL_ERROR, True, 0)))
    assert stream.receive([answer], NOW).done


@pytest.mark.parametrize("violation", VIOLATIONS.values(), ids=VIOLATIONS)
def test_an_end_that_is_resetting_already_stays_so(violation):
    stream, peer = victim_and_peer()
    stream.reset(ResetCode.RESET, NOW)
    effects = stream.receive(violation(peer), NOW)
    assert effects.peer_reset is None
    assert not effects.delivered
    assert stream.state is State.RESETTING


def test_a_probe_whose_number_cannot_be_echoed_breaks_the_protocol_and_nothing_else():
    stream, peer = victim_and_peer()
    peer._next_control = 2**64 - 1
    effects = stream.receive([peer.seal_control(PROBE, acknowledgement(credit=100_000))], NOW)
    assert effects.peer_reset is ResetCode.PROTOCOL_ERROR
    assert [frame.type for frame in effects.frames] == [RESET]


def test_credit_never_shrinks():
    stream, peer = victim_and_peer()
    stream.receive([peer.seal_control(ACK, acknowledgement(credit=100_000))], NOW)
    stream.receive([peer.seal_control(ACK, acknowledgement(credit=10))], NOW)
    assert stream.writable_bytes == 100_000


def test_an_answer_to_a_reset_that_was_not_sent_says_nothing():
    stream, peer = victim_and_peer()
    answer = peer.seal_control(RESET, encode_reset(Reset(ResetCode.RESET, True, 0)))
    effects = stream.receive([answer], NOW)
    assert not effects.done
    assert effects.peer_reset is None
    assert stream.state is State.OPEN


def test_a_final_number_that_will_never_come_is_not_waited_for_long():
    stream, peer = victim_and_peer()
    reset = peer.seal_control(RESET, encode_reset(Reset(ResetCode.RESET, False, 2**64 - 1)))
    effects = stream.receive([reset], NOW)
    assert [frame.type for frame in effects.frames] == [RESET]
    assert stream.deadline() == NOW + 1.0
    assert stream.timeout(NOW + 1.0).peer_reset is ResetCode.RESET


def test_gap_reports_without_end_repeat_nothing_without_end():
    stream, peer = victim_and_peer()
    for _ in range(10):
        stream.send(b"x" * 1000, NOW)
    sent = 0
    for count in range(1000):
        ack = peer.seal_control(ACK, acknowledgement(missing_until=9, marked=count))
        sent += len(stream.receive([ack], NOW + count * 1e-4).frames)
    assert sent <= 9


def frames():
    return st.builds(
        Frame,
        type=st.sampled_from([FrameType.OPEN, FrameType.ACCEPT, DATA, FIN, ACK, RESET, PROBE]),
        from_exit=st.booleans(),
        source=st.sampled_from([INGRESS, EXIT]),
        destination=st.sampled_from([INGRESS, EXIT]),
        connection=st.sampled_from([7, 8]),
        number=st.integers(0, 2**64 - 1),
        body=st.binary(max_size=100),
        marked=st.booleans(),
    )


@given(st.lists(frames(), max_size=20))
def test_frames_that_are_not_authentic_change_nothing(forged):
    stream, _ = victim_and_peer()
    effects = stream.receive(forged, NOW)
    assert not effects.frames
    assert not effects.delivered
    assert (effects.peer_reset, effects.done, effects.peer_finished) == (None, False, False)
    assert stream.deadline() == inf
    assert not stream.heard
    assert stream.state is State.OPEN
    opening = (FrameType.OPEN, FrameType.ACCEPT)
    assert stream.forged_frames == sum(frame.type not in opening for frame in forged)


def test_own_frames_sent_back_change_nothing():
    stream, _ = victim_and_peer()
    reflected = [*stream.send(b"x", NOW).frames, *stream.confirm(NOW).frames]
    before = stream.deadline()
    effects = stream.receive(reflected, NOW)
    assert stream.forged_frames == len(reflected) == 2
    assert not effects.frames
    assert stream.deadline() == before


def test_replayed_control_frames_say_nothing_new():
    stream, peer = victim_and_peer()
    probe = peer.seal_control(PROBE, acknowledgement())
    assert len(stream.receive([probe], NOW).frames) == 1
    heard_until = stream.deadline()
    assert not stream.receive([probe], NOW + 10).frames
    assert stream.deadline() == heard_until


def test_replayed_segments_are_no_sign_of_life():
    stream, peer = victim_and_peer()
    data = peer.seal_segment(DATA, 0, b"x")
    stream.receive([data], NOW)
    stream.delivered(1, NOW)
    stream.timeout(NOW + 0.025)
    assert stream.deadline() == NOW + 60
    for second in range(1, 59):
        stream.receive([data], NOW + second)
        stream.timeout(NOW + second + 0.5)
    assert stream.deadline() == NOW + 60


def test_another_marking_on_the_way_does_no_harm():
    stream, peer = victim_and_peer()
    data = changed(peer.seal_segment(DATA, 0, b"x"), marked=True, hop_limit=3)
    assert stream.receive([data], NOW).delivered == [b"x"]


@pytest.mark.parametrize("kind", [ACK, PROBE])
def test_a_control_frame_that_another_has_overtaken_is_dropped_and_is_no_forgery(kind):
    stream, peer = victim_and_peer()
    first, second = (peer.seal_control(kind, acknowledgement()) for _ in range(2))
    stream.receive([second], NOW)
    effects = stream.receive([first, second], NOW)
    assert effects.frames == []
    assert stream.forged_frames == 0
    stream.receive([changed(first, body=bytes(len(first.body)))], NOW)
    assert stream.forged_frames == 1, "what was not sealed there is one, whatever its number"
