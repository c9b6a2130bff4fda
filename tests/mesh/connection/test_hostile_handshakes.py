"""Handshakes that were altered, or are another's: they fail, and the genuine one can still be read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.connection.opening_payloads import MalformedRequestError, OpenReply, OpenRequest
from mesh.connection.party import Party
from mesh.errors import AuthenticationError, RemoteProtocolError
from mesh.link.frames import OPENING_BODY_BYTES, Frame, FrameType
from mesh.trust.identity import AgentId, Instance
from mesh.trust.noise.handshake import Handshake
from mesh.trust.noise.primitives import KeyPair, key_pair
from tests.mesh.connection.handshake_parties import (
    ACCEPTED,
    CONNECTION,
    EXIT,
    INGRESS,
    INGRESS_EPHEMERAL,
    INGRESS_STATIC,
    OPEN,
    REJECTED,
    REQUEST,
    altered,
    flipped,
    initiator,
    responder,
)
from tests.mesh.connection.replies import padded, reply_with, unpadded

HEADER_CHANGES = [
    {"type": FrameType.DATA},
    {"from_exit": None},
    {"source": AgentId(b"x" * 16)},
    {"destination": AgentId(b"x" * 16)},
    {"connection": CONNECTION + 1},
    {"number": 1},
]


def with_change(frame: Frame, change: dict) -> Frame:
    if "from_exit" in change:
        change = {"from_exit": not frame.from_exit}
    return altered(frame, **change)


@pytest.mark.parametrize("change", HEADER_CHANGES)
def test_an_open_with_an_altered_header_fails_and_the_genuine_one_still_passes(change):
    exit_ = responder()
    with pytest.raises(AuthenticationError):
        exit_.read_open(with_change(OPEN, change))
    assert exit_.read_open(OPEN) == REQUEST


@pytest.mark.parametrize("change", [*HEADER_CHANGES, {"type": FrameType.REJECT}])
def test_an_accept_with_an_altered_header_fails_and_the_genuine_one_still_passes(change):
    ingress, exit_ = initiator(), responder()
    exit_.read_open(ingress.open_frame(REQUEST))
    accept, _ = reply_with(exit_, ACCEPTED)
    with pytest.raises(AuthenticationError):
        ingress.read_reply(with_change(accept, change))
    assert ingress.read_reply(accept)[0] == ACCEPTED


def test_a_reject_cannot_be_turned_into_an_accept():
    ingress, exit_ = initiator(), responder()
    exit_.read_open(ingress.open_frame(REQUEST))
    reject, _ = reply_with(exit_, REJECTED)
    with pytest.raises(AuthenticationError):
        ingress.read_reply(altered(reject, type=FrameType.ACCEPT))


@given(bit=st.integers(0, len(OPEN.body) * 8 - 1))
def test_a_flipped_bit_in_an_open_fails_and_the_genuine_one_still_passes(bit):
    exit_ = responder()
    with pytest.raises(AuthenticationError):
        exit_.read_open(altered(OPEN, body=flipped(OPEN.body, bit)))
    assert exit_.read_open(OPEN) == REQUEST


@given(data=st.data())
def test_a_flipped_bit_in_a_reply_fails_and_the_genuine_one_still_passes(data):
    ingress, exit_ = initiator(), responder()
    exit_.read_open(ingress.open_frame(REQUEST))
    accept, at_exit = reply_with(exit_, ACCEPTED)
    bit = data.draw(st.integers(0, len(accept.body) * 8 - 1))
    with pytest.raises(AuthenticationError):
        ingress.read_reply(altered(accept, body=flipped(accept.body, bit)))
    _, at_ingress = ingress.read_reply(accept)
    assert at_ingress.open_segment(at_exit.seal_segment(FrameType.DATA, 0, b"on")) == b"on"


@given(length=st.integers(0, len(OPEN.body) - 1))
def test_a_truncated_open_fails(length):
    with pytest.raises(RemoteProtocolError):
        responder().read_open(altered(OPEN, body=OPEN.body[:length]))


@given(length=st.integers(0, 1279))
def test_a_truncated_reply_fails(length):
    ingress, exit_ = initiator(), responder()
    exit_.read_open(ingress.open_frame(REQUEST))
    accept, _ = reply_with(exit_, ACCEPTED)
    assert len(accept.body) == 1280
    with pytest.raises(AuthenticationError):
        ingress.read_reply(altered(accept, body=accept.body[:length]))


@pytest.mark.parametrize(
    "party",
    [
        Party(INGRESS.id, Instance(b"J" * 16), INGRESS.session_key),
        Party(INGRESS.id, INGRESS.instance, EXIT.session_key),
    ],
    ids=["another instance", "another session key"],
)
def test_an_open_that_the_record_does_not_vouch_for_fails(party):
    with pytest.raises(AuthenticationError):
        responder(remote=party).read_open(OPEN)


def impostor_open(local: Party, static: KeyPair) -> Frame:
    return initiator(local=local, static=static).open_frame(REQUEST)


def test_an_open_sealed_with_a_key_that_is_not_in_the_record_fails():
    with pytest.raises(AuthenticationError, match="another session key"):
        responder().read_open(impostor_open(INGRESS, key_pair(bytes([9]) * 32)))


def test_an_open_for_another_exit_fails():
    elsewhere = key_pair(bytes([8]) * 32)
    with pytest.raises(AuthenticationError):
        responder(local=Party(EXIT.id, EXIT.instance, elsewhere.public), static=elsewhere).read_open(OPEN)


def test_an_open_read_as_the_reply_to_itself_fails():
    ingress = initiator()
    own = ingress.open_frame(REQUEST)
    for frame_type in (FrameType.OPEN, FrameType.ACCEPT):
        reflected = altered(
            own, type=frame_type, source=own.destination, destination=own.source, from_exit=True
        )
        with pytest.raises(AuthenticationError):
            ingress.read_reply(reflected)


def test_the_reply_to_another_connection_fails():
    other_ingress, other_exit = initiator(connection=5), responder(connection=5)
    other_exit.read_open(other_ingress.open_frame(REQUEST))
    accept, _ = reply_with(other_exit, ACCEPTED)
    ingress = initiator()
    ingress.open_frame(REQUEST)
    with pytest.raises(AuthenticationError):
        ingress.read_reply(altered(accept, connection=CONNECTION))


@pytest.mark.parametrize("request_", [["", 1], ["my-api"], ["my-api", -1], [b"my-api", 1], {}, 7])
def test_a_genuine_request_that_makes_no_sense_can_be_rejected(request_):
    prologue = b"mesh session\x01" + INGRESS.id + EXIT.id + INGRESS.instance + EXIT.instance
    handshake = Handshake(
        "IK",
        initiator=True,
        prologue=prologue + CONNECTION.to_bytes(8, "big"),
        static=INGRESS_STATIC,
        ephemeral=INGRESS_EPHEMERAL,
        remote_static=EXIT.session_key,
    )
    message = handshake.write_message(padded(request_))
    exit_ = responder()
    with pytest.raises(MalformedRequestError, match="cannot be read"):
        exit_.read_open(altered(OPEN, body=OPEN.body[:32] + message))
    frame, session_ = reply_with(exit_, REJECTED)
    assert (frame.type, session_) == (FrameType.REJECT, None)
    reply = [False, 0, REJECTED.code, REJECTED.reason, b"", False, False, False, False, b""]
    assert unpadded(handshake.read_message(frame.body)) == reply


@pytest.mark.parametrize("payload", [b"", b"\0", b"\xff\xff\x92", b"\0\2\x92\xa1k\1"])
def test_a_genuine_payload_whose_length_is_wrong_is_malformed(payload):
    message = initiator()._handshake.write_message(payload)
    with pytest.raises(MalformedRequestError, match="cannot be read"):
        responder().read_open(altered(OPEN, body=OPEN.body[:32] + message))


@pytest.mark.parametrize("key", ["k", "k" * 255, "\N{GRINNING FACE}" * 255])
def test_the_size_of_an_open_tells_nothing_of_its_key(key):
    assert len(initiator().open_frame(OpenRequest(key, 2**64 - 1)).body) == OPENING_BODY_BYTES


@pytest.mark.parametrize(
    "reply",
    [
        ACCEPTED,
        OpenReply(accepted=True, credit=2**64 - 1, socket_tag=bytes(8)),
        REJECTED,
        OpenReply(accepted=False),
        OpenReply(accepted=False, code="c" * 32, reason="r" * 1024),
        OpenReply(accepted=False, code="\N{GRINNING FACE}" * 32, reason="\N{GRINNING FACE}" * 1024),
    ],
)
def test_the_size_of_an_answer_does_not_tell_it(reply):
    exit_ = responder()
    exit_.read_open(OPEN)
    assert len(reply_with(exit_, reply)[0].body) == OPENING_BODY_BYTES


@pytest.mark.parametrize("character", ["r", "\N{GRINNING FACE}"])
def test_a_reason_that_is_too_long_is_cut(character):
    ingress, exit_ = initiator(), responder()
    exit_.read_open(ingress.open_frame(REQUEST))
    answer = exit_.reject("refused", character * 2000)
    reply, _ = ingress.read_reply(answer)
    assert reply.reason == character * (1024 // len(character.encode()))


def test_elements_that_a_request_has_beyond_are_ignored():
    ingress = initiator()
    message = ingress._handshake.write_message(
        padded(["my-api", 65_536, False, False, False, b"", "new"]) + b"more"
    )
    assert responder().read_open(altered(OPEN, body=OPEN.body[:32] + message)) == REQUEST


def test_an_exit_key_of_small_order_is_refused():
    weak = Party(EXIT.id, EXIT.instance, bytes(32))
    with pytest.raises(AuthenticationError):
        initiator(remote=weak).open_frame(REQUEST)
