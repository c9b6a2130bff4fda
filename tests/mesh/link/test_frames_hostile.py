"""Frames of a peer that breaks the protocol cost its link, and nothing more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import AuthenticationError, LocalProtocolError, RemoteProtocolError
from mesh.link import frame_sealing
from mesh.link.frame_sealing import FrameReader, FrameWriter
from mesh.link.frames import FrameType, link_frame
from tests.frame_sizes import is_sealed
from tests.mesh.link.frame_company import (
    KEY,
    OF_CONNECTIONS,
    any_frame,
    clear_header,
    frame,
    read,
    sealed_header,
    wire,
)


def header(**changes) -> bytes:
    """A good DATA header, or one with some of its bytes overwritten (``at_1=b"..."``)."""
    data = bytearray(clear_header(wire(frame(body=b""))))
    for name, value in changes.items():
        start = int(name.removeprefix("at_"))
        data[start : start + len(value)] = value
    return bytes(data)


def link_header(**changes) -> bytes:
    data = bytearray(clear_header(wire(link_frame(FrameType.PING, b""))))
    for name, value in changes.items():
        start = int(name.removeprefix("at_"))
        data[start : start + len(value)] = value
    return bytes(data)


def test_the_hostile_headers_start_from_good_ones():
    assert FrameReader(KEY).feed(sealed_header(header())) == [frame(body=b"")]
    assert FrameReader(KEY).feed(sealed_header(link_header())) == []


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (header(at_0=b"\x02"), "version 2"),
        (header(at_1=b"\x00"), "unknown type 0x00"),
        (header(at_1=b"\x0f"), "unknown type 0x0f"),
        (header(at_1=b"\x19"), "unknown type 0x19"),
        (header(at_1=b"\x3f"), "unknown type 0x3f"),
        (header(at_1=b"\xbf"), "unknown type 0x3f"),
        (header(at_1=b"\x40"), "frame type 0x40 announces a body of 0 bytes"),
        (header(at_1=b"\x40", at_52=bytes(3) + b"\x10"), "frame type 0x40 is the link's own"),
        (header(at_1=b"\x60", at_52=bytes(2) + b"\x08\x11"), "frame type 0x60 announces a body of 2065"),
        *(
            (
                header(at_1=bytes((kind,)), at_52=size.to_bytes(4, "big")),
                f"{kind.name} announces a body of {size}",
            )
            for kind in OF_CONNECTIONS
            if kind not in (FrameType.DATA, FrameType.FIN, FrameType.SESSION_KEYS)  # which have no one size
            for size in (0, frame_sealing._KINDS[kind][1] - 1, frame_sealing._KINDS[kind][1] + 1, 65_552)
            if 0 <= size != frame_sealing._KINDS[kind][1]
        ),
        (header(at_1=b"\x14", at_52=bytes(3) + b"\x1c"), "FIN announces a body of 28"),
        (header(at_1=b"\x14", at_52=b"\x00\x01\x00\x11"), "FIN announces a body of 65553"),
        (header(at_3=b"\x04"), "reserved flags"),
        (header(at_3=b"\x81"), "reserved flags"),
        (header(at_52=(65_553).to_bytes(4, "big")), "DATA announces a body of 65553"),
        (header(at_52=b"\xff\xff\xff\xff"), "DATA announces a body of 4294967295"),
        (link_header(at_52=(65_553).to_bytes(4, "big")), "PING announces a body of 65553"),
        (link_header(at_52=(15).to_bytes(4, "big")), "PING announces a body of 15"),
        (link_header(at_1=b"\x81"), "link's own"),
        (link_header(at_2=b"\x01"), "link's own"),
        (link_header(at_3=b"\x01"), "link's own"),
        (link_header(at_4=b"\x01"), "link's own"),
        (link_header(at_35=b"\x01"), "link's own"),
        (link_header(at_43=b"\x01"), "link's own"),
        (link_header(at_51=b"\x01"), "link's own"),
    ],
)
def test_an_authentic_header_that_breaks_the_protocol_costs_the_link(data, text):
    reader = FrameReader(KEY)
    with pytest.raises(RemoteProtocolError, match=text) as caught:
        reader.feed(sealed_header(data))
    assert not isinstance(caught.value, AuthenticationError)


@given(sent=any_frame, data=st.data())
def test_a_flipped_bit_in_what_the_link_seals_is_noticed(sent, data):
    forged = bytearray(wire(sent))
    sealed = len(forged) if is_sealed(sent.type) else 72
    bit = data.draw(st.integers(0, sealed * 8 - 1))
    forged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(AuthenticationError):
        read(bytes(forged))


def test_a_repeated_a_missing_and_a_swapped_frame_are_noticed():
    one, two = frame(number=1), frame(number=2)
    writer = FrameWriter(KEY)
    first, second = (b"".join(writer.seal(each)) for each in (one, two))
    for byte_count in (first + first, second, second + first):
        with pytest.raises(AuthenticationError):
            read(byte_count)
    assert read(first + second) == [one, two]


def test_the_other_directions_key_opens_nothing():
    with pytest.raises(AuthenticationError):
        FrameReader(bytes(32)).feed(memoryview(wire(frame())))


def test_a_reader_that_failed_reads_no_more():
    reader = FrameReader(KEY)
    with pytest.raises(AuthenticationError):
        reader.feed(memoryview(bytes(72)))
    with pytest.raises(LocalProtocolError):
        reader.feed(memoryview(wire(frame())))


@given(garbage=st.binary(max_size=500))
def test_garbage_is_refused_at_the_end_of_the_first_header(garbage):
    reader = FrameReader(KEY)
    if len(garbage) < 72:
        assert reader.feed(memoryview(garbage)) == []
        assert reader.buffered_bytes == len(garbage)
    else:
        with pytest.raises(AuthenticationError):
            reader.feed(memoryview(garbage))
