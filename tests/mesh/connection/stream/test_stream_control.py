"""Payloads of ACK, PROBE and RESET."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.connection.stream.control import (
    Acknowledgement,
    Fin,
    Reset,
    ResetCode,
    decode_acknowledgement,
    decode_fin,
    decode_reset,
    encode_acknowledgement,
    encode_fin,
    encode_reset,
)
from mesh.errors import RemoteProtocolError

u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)

# next number 3, credit 65536 + 5, missing until 9, marked 2, echo 7, silence 2500 ms, delay 1500 us
ACKNOWLEDGEMENT = bytes.fromhex(
    "0000000000000003 0000000000010005 0000000000000009 0000000000000002 00000007 000009c4 000005dc"
)
FIN = bytes.fromhex("0000000000000003 000005dc 01")
RESET = bytes.fromhex("03 01 000000000000002a")  # TIMED_OUT, an answer, 42 segments


def test_an_acknowledgement_by_its_bytes():
    data = encode_acknowledgement(
        next_number=3, credit=65_541, missing_until=9, marked=2, echo=7, silence_s=2.5, delay_s=0.0015
    )
    assert data == ACKNOWLEDGEMENT
    assert decode_acknowledgement(data) == Acknowledgement(3, 65_541, 9, 2, 7, 2.5, 0.0015)


def test_a_fin_by_its_bytes():
    assert encode_fin(Fin(3, 0.0015, is_last=True)) == FIN
    assert decode_fin(FIN) == (Fin(3, 0.0015, is_last=True), b"")
    assert encode_fin(Fin(3, 0.0015), memoryview(b"bye")) == FIN[:12] + b"\0bye"
    assert decode_fin(FIN[:12] + b"\0bye") == (Fin(3, 0.0015), b"bye")


def test_a_reset_by_its_bytes():
    reset = Reset(ResetCode.TIMED_OUT, is_answer=True, final_number=42)
    assert encode_reset(reset) == RESET
    assert decode_reset(RESET) == reset


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("RESET", 1),
        ("CANCELLED", 2),
        ("TIMED_OUT", 3),
        ("GONE", 4),
        ("PROTOCOL_ERROR", 5),
        ("NO_PROGRESS", 6),
    ],
)
def test_codes_keep_their_values(code, value):
    assert ResetCode[code] == value


@given(st.tuples(u64, u64, u64, u64, u64), u32, u32)
def test_any_acknowledgement_survives(numbers, silence_ms, delay_us):
    next_number, credit, missing_until, marked, echo = numbers
    data = encode_acknowledgement(
        next_number=next_number,
        credit=credit,
        missing_until=missing_until,
        marked=marked,
        echo=echo,
        silence_s=(silence_ms + 0.5) / 1e3,
        delay_s=(delay_us + 0.5) / 1e6,
    )
    decoded = decode_acknowledgement(data)
    assert decoded[:4] == numbers[:4]
    assert decoded.echo == echo % 2**32
    assert decoded.silence_s == silence_ms / 1e3
    assert decoded.delay_s == delay_us / 1e6


@given(st.sampled_from(ResetCode), st.booleans(), u64)
def test_any_reset_survives(code, is_answer, final_number):
    reset = Reset(code, is_answer, final_number)
    assert decode_reset(encode_reset(reset)) == reset


@pytest.mark.parametrize(("delay_s", "field"), [(-1.0, "00000000"), (1e9, "ffffffff")])
def test_a_delay_out_of_range_is_cut(delay_s, field):
    data = encode_acknowledgement(
        next_number=0, credit=0, missing_until=0, marked=0, echo=0, silence_s=delay_s, delay_s=delay_s
    )
    assert data[36:40].hex() == data[40:44].hex() == encode_fin(Fin(0, delay_s))[8:12].hex() == field


@given(st.binary(max_size=64))
def test_other_bytes_are_refused_or_read(data):
    for decode, size in ((decode_acknowledgement, 44), (decode_reset, 10)):
        if len(data) != size:
            with pytest.raises(RemoteProtocolError, match=f"{len(data)} bytes"):
                decode(data)
    if len(data) < 13:
        with pytest.raises(RemoteProtocolError, match=f"{len(data)} bytes"):
            decode_fin(data)


@pytest.mark.parametrize("flags", [0x02, 0x80, 0xFF])
def test_reserved_flags_are_refused(flags):
    with pytest.raises(RemoteProtocolError, match="reserved"):
        decode_reset(RESET[:1] + bytes([flags]) + RESET[2:])
    with pytest.raises(RemoteProtocolError, match="reserved"):
        decode_fin(FIN[:12] + bytes([flags]) + b"bye")


@pytest.mark.parametrize("code", [0, 10, 255])
def test_a_code_of_a_later_version_is_a_reset(code):
    assert decode_reset(bytes([code]) + RESET[1:]).code is ResetCode.RESET
