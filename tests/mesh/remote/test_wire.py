"""What is asked of another agent, and answered, as it is on the wire."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import RemoteProtocolError
from mesh.remote.wire import (
    MAX_ANSWER_BYTES,
    MAX_ANSWERED_BODY_BYTES,
    MAX_ASKED_BODY_BYTES,
    MAX_ASKER_CHARACTERS,
    MAX_PLACE_CHARACTERS,
    MAX_REQUEST_BYTES,
    Answered,
    Asked,
    read_answered,
    read_asked,
    write_answered,
    write_asked,
)
from tests.protocol_text import PROTOCOL

LISTENERS = Asked("GET", "/api/v1/listeners", asker="control socket")


def test_the_examples_of_the_protocol_are_what_is_sent():
    text = " ".join(PROTOCOL.split())
    assert write_asked(LISTENERS).hex(" ") in text
    assert write_answered(Answered(204)).hex(" ") in text


def test_the_largest_of_each_have_room():
    asked = Asked(
        "DELETE",
        "/" + "x" * (MAX_PLACE_CHARACTERS - 1),
        "c" * 255,
        "i" * 255,
        "\U0001f980" * MAX_ASKER_CHARACTERS,
        bytes(MAX_ASKED_BODY_BYTES),
    )
    wire = write_asked(asked)
    assert len(wire) <= MAX_REQUEST_BYTES
    assert read_asked(wire) == asked
    answered = Answered(599, "c" * 255, "e" * 255, 3600, bytes(MAX_ANSWERED_BODY_BYTES))
    wire = write_answered(answered)
    assert len(wire) <= MAX_ANSWER_BYTES
    assert read_answered(wire) == answered


@pytest.mark.parametrize(
    "changed",
    [
        {"method": "PATCH"},
        {"method": "GET\n"},
        {"place": "api"},
        {"place": "http://elsewhere/"},
        {"place": "/a b"},
        {"place": "/a\r\nHost: b"},
        {"place": "/a\n"},
        {"place": "/\u00e4"},
        {"place": "/" + "x" * MAX_PLACE_CHARACTERS},
        {"content_type": "a\r\nb: c"},
        {"if_match": "\n"},
        {"asker": "x" * (MAX_ASKER_CHARACTERS + 1)},
        {"body": bytes(MAX_ASKED_BODY_BYTES + 1)},
    ],
)
def test_what_is_out_of_its_range_is_refused(changed):
    with pytest.raises(RemoteProtocolError, match="malformed question"):
        read_asked(write_asked(msgspec.structs.replace(LISTENERS, **changed)))


@pytest.mark.parametrize(
    "answered",
    [
        Answered(199),
        Answered(600),
        Answered(200, "text/html\r\nSet-Cookie: a"),
        Answered(200, etag='"\n"'),
        Answered(200, retry_after_s=-1),
        Answered(200, retry_after_s=3601),
    ],
)
def test_so_it_is_with_answers(answered):
    with pytest.raises(RemoteProtocolError, match="malformed answer"):
        read_answered(write_answered(answered))


@given(st.integers(0, 200), st.binary(max_size=60), st.booleans())
def test_what_is_cut_off_or_goes_on_is_refused(cut, more, is_longer):
    for wire, read in (
        (write_asked(LISTENERS), read_asked),
        (write_answered(Answered(200, body=b"xy")), read_answered),
    ):
        changed = wire + (more or b"\xc0") if is_longer else wire[: min(cut, len(wire) - 1)]
        with pytest.raises(RemoteProtocolError):
            read(changed)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data):
    for read in (read_asked, read_answered):
        try:
            read(data)
        except RemoteProtocolError:
            continue
