import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st

from mesh.connection import session as session_sealing
from mesh.connection.session import MAX_CONTROL_NUMBER, Session
from mesh.errors import AuthenticationError, LocalProtocolError, OvertakenError, RemoteProtocolError
from mesh.link.frames import Frame, FrameType
from mesh.trust.identity import AgentId
from scripts.lab.frames import changed

CONNECTION = 0x0102030405060708
INGRESS = AgentId(b"i" * 16)
EXIT = AgentId(b"e" * 16)
TO_EXIT_KEY = bytes(range(32))
TO_INGRESS_KEY = bytes(range(32, 64))


def open_pair(connection: int = CONNECTION) -> tuple[Session, Session]:
    """The session at the ingress and at the exit."""
    at_ingress = Session(
        local=INGRESS,
        remote=EXIT,
        is_exit=False,
        connection=connection,
        send_key=TO_EXIT_KEY,
        receive_key=TO_INGRESS_KEY,
        remote_static=bytes(32),
    )
    at_exit = Session(
        local=EXIT,
        remote=INGRESS,
        is_exit=True,
        connection=connection,
        send_key=TO_INGRESS_KEY,
        receive_key=TO_EXIT_KEY,
        remote_static=bytes(32),
    )
    return at_ingress, at_exit


def altered(frame: Frame, **changes) -> Frame:
    return changed(frame, **changes)


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


SEGMENT_TYPES = [FrameType.DATA, FrameType.FIN]
CONTROL_TYPES = [FrameType.ACK, FrameType.RESET, FrameType.PROBE, FrameType.SESSION_KEYS]
AT_INGRESS, AT_EXIT = open_pair()
SEGMENT = AT_INGRESS.seal_segment(FrameType.DATA, 3, b"keystroke")
CONTROL = AT_INGRESS.seal_control(FrameType.ACK, b"credit")


@pytest.mark.parametrize("byte_count", [0, 1, 65_535, 65_536])
def test_segments_of_any_size_from_any_buffer(byte_count):
    at_ingress, at_exit = open_pair()
    plaintext = bytes(byte_count)
    shared = bytearray(plaintext)
    sealed = [
        at_ingress.seal_segment(FrameType.DATA, 0, plaintext),
        at_ingress.seal_segment(FrameType.DATA, 1, shared),
        at_ingress.seal_segment(FrameType.DATA, 2, memoryview(shared)),
    ]
    shared[:] = b"\xff" * byte_count
    assert [at_exit.open_segment(frame) for frame in sealed] == [plaintext] * 3


def test_a_segment_too_long_or_of_another_type_is_our_bug():
    at_ingress, _ = open_pair()
    with pytest.raises(LocalProtocolError):
        at_ingress.seal_segment(FrameType.DATA, 0, bytes(65_537))
    with pytest.raises(LocalProtocolError):
        at_ingress.seal_segment(FrameType.ACK, 0, b"")
    with pytest.raises(LocalProtocolError):
        at_ingress.seal_control(FrameType.ACK, bytes(65_537))
    with pytest.raises(LocalProtocolError):
        at_ingress.seal_control(FrameType.FIN, b"")


def test_a_segment_number_seals_once():
    at_ingress, _ = open_pair()
    at_ingress.seal_segment(FrameType.DATA, 0, b"first")
    with pytest.raises(LocalProtocolError, match="segment 0 has been sealed"):
        at_ingress.seal_segment(FrameType.DATA, 0, b"other")


def test_segments_open_in_any_order_and_again():
    at_ingress, at_exit = open_pair()
    sealed = [at_ingress.seal_segment(FrameType.DATA, number, b"%d" % number) for number in range(4)]
    for number in (3, 0, 2, 2, 1):
        assert at_exit.open_segment(sealed[number]) == b"%d" % number


def test_control_numbers_count_from_zero_and_only_rise():
    at_ingress, at_exit = open_pair()
    sealed = [at_ingress.seal_control(frame_type, b"p") for frame_type in CONTROL_TYPES]
    assert [frame.number for frame in sealed] == [0, 1, 2, 3]
    assert at_exit.open_control(sealed[0]) == b"p"
    assert at_exit.open_control(sealed[-1]) == b"p"
    for old in sealed:
        with pytest.raises(OvertakenError):
            at_exit.open_control(old)
        with pytest.raises(AuthenticationError):
            at_exit.open_control(altered(old, body=flipped(old.body, 3)))


@pytest.mark.parametrize("frame_type", sorted(CONTROL_TYPES))
def test_an_authentic_control_number_beyond_all_bounds_is_refused(frame_type):
    """The echo of a PROBE is its number and one, which must fit into 64 bits."""
    at_ingress, at_exit = open_pair()
    for number in (2**64 - 1, MAX_CONTROL_NUMBER + 1):
        at_ingress._next_control = number
        with pytest.raises(RemoteProtocolError, match="at most"):
            at_exit.open_control(at_ingress.seal_control(frame_type, b"p"))
    at_ingress._next_control = MAX_CONTROL_NUMBER
    assert at_exit.open_control(at_ingress.seal_control(frame_type, b"p")) == b"p"


def test_a_forged_control_frame_moves_no_state():
    at_ingress, at_exit = open_pair()
    genuine = at_ingress.seal_control(FrameType.ACK, b"p")
    with pytest.raises(AuthenticationError):
        at_exit.open_control(altered(genuine, number=2**64 - 1))
    assert at_exit.open_control(genuine) == b"p"


def test_what_transit_changes_does_not_matter():
    changed = SEGMENT.with_mark().after_a_hop(16)
    assert AT_EXIT.open_segment(changed) == b"keystroke"


@pytest.mark.parametrize(
    "change",
    [
        {"type": FrameType.FIN},
        {"type": FrameType.RESET},
        {"from_exit": True},
        {"source": AgentId(b"x" * 16)},
        {"destination": AgentId(b"x" * 16)},
        {"connection": CONNECTION ^ 1},
        {"number": 4},
        {"number": 2**64 - 1},
    ],
)
@pytest.mark.parametrize("frame", [SEGMENT, CONTROL], ids=["segment", "control"])
def test_an_altered_header_fails(frame, change):
    _, at_exit = open_pair()
    with pytest.raises(AuthenticationError):
        at_exit.open_segment(altered(frame, **change))
    with pytest.raises(AuthenticationError):
        at_exit.open_control(altered(frame, **change))


@given(bit=st.integers(0, len(SEGMENT.body) * 8 - 1))
def test_a_flipped_bit_in_a_segment_fails(bit):
    with pytest.raises(AuthenticationError):
        AT_EXIT.open_segment(altered(SEGMENT, body=flipped(SEGMENT.body, bit)))


@given(bit=st.integers(0, len(CONTROL.body) * 8 - 1))
def test_a_flipped_bit_in_a_control_frame_fails(bit):
    _, at_exit = open_pair()
    with pytest.raises(AuthenticationError):
        at_exit.open_control(altered(CONTROL, body=flipped(CONTROL.body, bit)))
    assert at_exit.open_control(CONTROL) == b"credit"


@given(length=st.integers(0, len(SEGMENT.body) - 1))
def test_a_truncated_body_fails(length):
    with pytest.raises(AuthenticationError):
        AT_EXIT.open_segment(altered(SEGMENT, body=SEGMENT.body[:length]))


def test_a_longer_body_fails():
    with pytest.raises(AuthenticationError):
        AT_EXIT.open_segment(altered(SEGMENT, body=SEGMENT.body + b"\0"))


def test_classes_cannot_be_swapped():
    at_ingress, at_exit = open_pair()
    data = at_ingress.seal_segment(FrameType.DATA, 0, b"as data")
    ack = at_ingress.seal_control(FrameType.ACK, b"as control")
    for frame_type in (*SEGMENT_TYPES, *CONTROL_TYPES):
        with pytest.raises(AuthenticationError):
            at_exit.open_control(altered(data, type=frame_type))
        with pytest.raises(AuthenticationError):
            at_exit.open_segment(altered(ack, type=frame_type))


def test_a_frame_sent_back_to_its_sender_fails():
    at_ingress, _ = open_pair()
    back = altered(SEGMENT, source=SEGMENT.destination, destination=SEGMENT.source, from_exit=True)
    for reflected in (SEGMENT, back):
        with pytest.raises(AuthenticationError):
            at_ingress.open_segment(reflected)
    with pytest.raises(AuthenticationError):
        at_ingress.open_control(CONTROL)


def test_frames_of_another_connection_fail_even_under_the_same_keys():
    _, elsewhere = open_pair(connection=5)
    for frame in (SEGMENT, altered(SEGMENT, connection=5)):
        with pytest.raises(AuthenticationError):
            elsewhere.open_segment(frame)


def test_an_altered_address_fails_even_where_the_tag_does_not_cover_it():
    at_exit = open_pair()[1]
    for change in ({"source": AgentId(b"x" * 16)}, {"destination": INGRESS}, {"from_exit": True}):
        with pytest.raises(AuthenticationError):
            at_exit.open_segment(altered(SEGMENT, **change))


def test_wire_bytes_are_pinned():
    at_ingress, at_exit = open_pair()
    found = {
        "DATA": at_ingress.seal_segment(FrameType.DATA, 7, b"hello").body,
        "FIN": at_exit.seal_segment(FrameType.FIN, 7, b"").body,
        "ACK": at_ingress.seal_control(FrameType.ACK, b"ack").body,
        "RESET": at_ingress.seal_control(FrameType.RESET, b"reset").body,
        "PROBE": at_exit.seal_control(FrameType.PROBE, b"").body,
    }
    assert {name: body.hex() for name, body in found.items()} == {
        "DATA": "4023792f214a483f98a65cda3cfe366407eab8a54f",
        "FIN": "9cb3c4bb4a70b56382137520ac22687e",
        "ACK": "ca25f63316d12be43db14a1dc19ba1de286d5e",
        "RESET": "936f966a8b30c7cc4645f90ed362917d8e74427a43",
        "PROBE": "ce5123c8535e629a177ccf3b0467aa05",
    }


def test_a_body_is_rfc_8439_over_the_documented_nonce_and_data():
    covered = b"\x01\x13" + INGRESS + EXIT + CONNECTION.to_bytes(8, "big") + (3).to_bytes(8, "big")
    cipher = ChaCha20Poly1305(TO_EXIT_KEY)
    length = len(SEGMENT.body).to_bytes(4, "big")
    segment_nonce = (0).to_bytes(4, "big") + (3).to_bytes(8, "big")
    assert cipher.decrypt(segment_nonce, SEGMENT.body, covered + length) == b"keystroke"
    covered = b"\x01\x15" + INGRESS + EXIT + CONNECTION.to_bytes(8, "big") + bytes(8)
    length = len(CONTROL.body).to_bytes(4, "big")
    control_nonce = (1).to_bytes(4, "big") + bytes(8)
    assert cipher.decrypt(control_nonce, CONTROL.body, covered + length) == b"credit"


def test_an_end_takes_only_its_own_direction():
    at_ingress, at_exit = open_pair()
    assert at_ingress.open_control(at_exit.seal_control(FrameType.PROBE, b"down")) == b"down"
    assert at_exit.open_control(at_ingress.seal_control(FrameType.PROBE, b"up")) == b"up"


def test_constants_are_those_of_the_protocol():
    assert (session_sealing.SEGMENT_CLASS, session_sealing.CONTROL_CLASS) == (0, 1)
    assert set(SEGMENT_TYPES) == session_sealing.SEGMENT_TYPES
    assert set(CONTROL_TYPES) == session_sealing.CONTROL_TYPES
