import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.connection.stream.control import (
    Fin,
    Reset,
    ResetCode,
    encode_acknowledgement,
    encode_fin,
    encode_reset,
)
from mesh.errors import LocalProtocolError
from mesh.link import frames
from mesh.link.frame_sealing import FrameReader, FrameWriter
from mesh.link.frames import (
    FROM_EXIT,
    VERSION,
    Frame,
    FrameType,
    associated_data,
    link_frame,
    turn_of_strays,
    type_name,
)
from mesh.trust.identity import NO_AGENT
from scripts.lab.frames import changed
from tests.frame_sizes import body_bounds, is_sealed
from tests.mesh.link.frame_company import (
    DESTINATION,
    KEY,
    LINK_OWN,
    SOURCE,
    any_frame,
    clear_header,
    frame,
    read,
    wire,
)


def test_constants_are_those_of_the_protocol():
    assert {known.name: known.value for known in FrameType} == {
        "PING": 1,
        "PONG": 2,
        "RECORDS": 3,
        "DIGEST": 4,
        "CLOSE": 5,
        "CHALLENGE": 6,
        "CHALLENGE_ANSWER": 7,
        "WANT_PAGES": 8,
        "PAGES": 9,
        "RETIRE": 10,
        "REVOCATIONS": 11,
        "WANT_REVOCATIONS": 12,
        "REKEY": 13,
        "NEW_KEY": 14,
        "OPEN": 16,
        "ACCEPT": 17,
        "REJECT": 18,
        "DATA": 19,
        "FIN": 20,
        "ACK": 21,
        "RESET": 22,
        "PROBE": 23,
        "UNKNOWN": 24,
        "SESSION_KEYS": 0x70,
    }
    assert frames.VERSION == 1
    assert frames.HEADER_BYTES == 56
    assert frames.SEALED_HEADER_BYTES == 72
    assert frames.MAX_SEGMENT_BYTES == 65_536
    assert frames.MAX_BODY_BYTES == 65_552
    assert frames.MAX_CONTROL_BODY_BYTES == 65_552
    assert frames.DEFAULT_MAX_HOPS == 16
    assert frames.FIRST_CONNECTION_TYPE == 0x10
    assert frames.FIRST_END_TO_END_TYPE == 0x13
    assert frames.FIRST_SKIPPED_TYPE == 0x40
    assert frames.FIRST_SKIPPED_CONNECTION_TYPE == 0x60
    assert frames.OPENING_BODY_BYTES == 1280
    assert frames.MAX_SKIPPED_BODY_BYTES == 2048
    assert frames.TAG_BYTES == 16


def test_bodies_that_are_sealed_end_to_end_have_the_sizes_of_their_payloads():
    acknowledgement = encode_acknowledgement(
        next_number=0, credit=0, missing_until=0, marked=0, echo=0, delay_s=0, silence_s=0
    )
    payloads = {
        FrameType.ACK: acknowledgement,
        FrameType.PROBE: acknowledgement,
        FrameType.RESET: encode_reset(Reset(ResetCode.RESET, False, 0)),
    }
    for kind, payload in payloads.items():
        assert body_bounds(kind) == (len(payload) + 16,) * 2
    assert body_bounds(FrameType.FIN) == (len(encode_fin(Fin(0, 0))) + 16, frames.MAX_SEGMENT_BYTES + 16)
    assert body_bounds(FrameType.UNKNOWN) == (0, 0)
    assert body_bounds(FrameType.DATA) == (0, frames.MAX_SEGMENT_BYTES + 16)


@pytest.mark.parametrize("frame_type", LINK_OWN)
def test_header_of_a_frame_of_the_links_own(frame_type):
    expected = f"01{frame_type:02x}0000" + "00" * 48 + "00000016"  # 6 bytes and a tag
    assert clear_header(wire(link_frame(frame_type, b"opened"))).hex() == expected


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (frame(FrameType.OPEN, number=0), "01101000 S D 0102030405060708 0000000000000000 00000510"),
        (
            frame(FrameType.ACCEPT, number=0, from_exit=True),
            "01911000 S D 0102030405060708 0000000000000000 00000510",
        ),
        (
            frame(FrameType.REJECT, number=0, from_exit=True),
            "01921000 S D 0102030405060708 0000000000000000 00000510",
        ),
        (frame(FrameType.DATA, marked=True), "01131001 S D 0102030405060708 1112131415161718 00000006"),
        (frame(FrameType.DATA, astray=b"~"), "01131002 S D 0102030405060708 1112131415161718 00000006"),
        (frame(FrameType.FIN, hop_limit=3), "01140300 S D 0102030405060708 1112131415161718 0000001d"),
        (
            frame(FrameType.ACK, from_exit=True),
            "01951000 S D 0102030405060708 1112131415161718 0000003c",
        ),
        (frame(FrameType.RESET, number=2), "01161000 S D 0102030405060708 0000000000000002 0000001a"),
        (frame(FrameType.PROBE), "01171000 S D 0102030405060708 1112131415161718 0000003c"),
        (frame(FrameType.UNKNOWN, number=0), "01181000 S D 0102030405060708 0000000000000000 00000000"),
        (frame(0x60, body=b"new"), "01601000 S D 0102030405060708 1112131415161718 00000013"),
    ],
)
def test_header_of_a_frame_of_a_connection(sent, expected):
    expected = expected.replace("S", SOURCE.hex()).replace("D", DESTINATION.hex()).replace(" ", "")
    data = wire(sent)
    assert clear_header(data).hex() == expected
    assert (data[72:] == sent.body) == (not is_sealed(sent.type))


def test_wire_bytes_are_pinned():
    expected_ping = (
        "19b94231ade6a6d113615c61af434e27f8b1f3f5e1ad5b5cecf8fc122a35755c7208086dd1ee3c5d"
        "9d815824640e003c9ba0f65ede5d59dc82639d3548f0ee4772c5d5dc591c39e4f85baf7a0d0671ea"
        "f01b0f89d12c6f5d59d6"
    )
    expected_data = (
        "4cd9a0f7aadcc5f7699b1e6a6559e3b38b5eb461a1355b5e308a6784cdd9066554d7802ce5c5a47b"
        "bcd8b9e48c6f9c6d8d8f55ea76e80b6cede2a913355648f57f9f44877cabb5027365616c6564"
    )
    writer = FrameWriter(KEY)
    assert b"".join(writer.seal(link_frame(FrameType.PING, b"\x91\x07"))).hex() == expected_ping
    assert b"".join(writer.seal(frame())).hex() == expected_data


def test_associated_data_is_the_header_without_what_transit_changes():
    covered = associated_data(VERSION, FrameType.DATA | FROM_EXIT, SOURCE, DESTINATION, 1, 2, 3)
    addresses = SOURCE.hex() + DESTINATION.hex()
    assert covered.hex() == f"0193{addresses}0000000000000001000000000000000200000003"


def test_nonce_is_class_and_number():
    assert frames.nonce(1, 0x0203).hex() == "000000010000000000000203"


def test_after_a_hop_only_the_hop_limit_differs():
    assert frame().after_a_hop(16) == frame(hop_limit=15)
    sent = frame(from_exit=True, marked=True)
    assert sent.after_a_hop(9) == changed(sent, hop_limit=8)


def test_a_stray_takes_another_turn_and_tells_the_next_agent_so():
    sent = frame(marked=True).after_a_hop(16, turn_of_strays(SOURCE))
    assert sent == frame(hop_limit=15, marked=True, astray=turn_of_strays(SOURCE))
    data = wire(sent)
    assert clear_header(data)[3] == 3
    (arrived,) = read(data)
    assert arrived.astray
    assert changed(arrived, astray=sent.astray) == sent
    assert read(wire(arrived)) == [arrived]


def test_a_mark_is_the_only_change():
    assert frame().with_mark() == frame(marked=True)


@given(sent=st.lists(any_frame, max_size=6), data=st.data())
def test_any_chunking_gives_the_same_frames(sent, data):
    whole = wire(*sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=20)))
    reader = FrameReader(KEY)
    shared = bytearray(len(whole))  # overwritten by each read, like a dispatcher's buffer
    got: list[Frame] = []
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        chunk = memoryview(shared)[: end - start]
        chunk[:] = whole[start:end]
        got += reader.feed(chunk)
    shared[:] = bytes(len(shared))
    assert got == sent
    assert reader.buffered_bytes == 0


@given(sent=st.lists(any_frame, min_size=1, max_size=3))
def test_byte_by_byte_a_frame_comes_with_its_last_byte(sent):
    reader = FrameReader(KEY)
    writer = FrameWriter(KEY)
    for each in sent:
        data = b"".join(writer.seal(each))
        for position in range(len(data) - 1):
            assert reader.feed(memoryview(data)[position : position + 1]) == []
        assert reader.feed(memoryview(data)[-1:]) == [each]


@pytest.mark.parametrize(
    "sent",
    [frame(body=b"x" * 65_552), link_frame(FrameType.RECORDS, b"x" * 65_536)],
    ids=["connection", "link's own"],
)
@pytest.mark.parametrize("read_bytes", [1000, 65_535, 262_144])
def test_the_largest_bodies_pass(sent, read_bytes):
    data = wire(sent, sent, sent)
    reader = FrameReader(KEY)
    got = []
    for start in range(0, len(data), read_bytes):
        got += reader.feed(memoryview(data)[start : start + read_bytes])
        assert reader.buffered_bytes < 72 + 65_552
    assert got == [sent] * 3


def test_large_bodies_are_not_copied_and_small_ones_are_joined():
    large, small = frame(body=b"x" * 65_552), frame(body=b"x" * 100)
    writer = FrameWriter(KEY)
    header, body = writer.seal(large)
    assert len(header) == 72
    assert body is large.body
    assert [len(buffer) for buffer in writer.seal(small)] == [172]


def test_a_frame_read_tells_its_type_by_name():
    (got,) = read(wire(frame(FrameType.FIN)))
    assert type_name(got.type) == "FIN"


@pytest.mark.parametrize(
    "sent",
    [
        frame(body=b"x" * 65_553),
        link_frame(FrameType.RECORDS, b"x" * 65_537),
        frame(0x0F, b""),
        frame(0x19, b""),
        frame(0x3F, b""),
        frame(0x80, b""),
        frame(FrameType.OPEN, bytes(1279)),
        frame(FrameType.ACK, bytes(61)),
        frame(FrameType.UNKNOWN, b"x"),
        frame(0x60, bytes(2049)),
        frame(0x40),
        frame(source=b"short"),
        frame(destination=bytes(17)),
        frame(connection=2**64),
        frame(number=-1),
        frame(hop_limit=256),
        frame(FrameType.PING),
        frame(FrameType.PING, source=NO_AGENT, destination=NO_AGENT, connection=0, number=0, hop_limit=1),
        link_frame(FrameType.PING, b"").with_mark(),
        Frame(FrameType.PING, True, NO_AGENT, NO_AGENT, 0, 0, b"", 0),
    ],
)
def test_what_cannot_be_encoded_leaves_the_writer_as_it_was(sent):
    writer = FrameWriter(KEY)
    with pytest.raises(LocalProtocolError):
        writer.seal(sent)
    assert read(b"".join(writer.seal(frame()))) == [frame()]
