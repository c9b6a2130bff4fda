"""A connection opens under a pair session between two who have it, and for nobody else."""

import pytest

from mesh.connection.opening_payloads import MalformedRequestError, OpenReply, OpenRequest
from mesh.connection.pair_session import PairSession
from mesh.connection.short_open import (
    OPEN_CLASS,
    SHORT_OPEN,
    ShortInitiator,
    ShortResponder,
    read_pair_name,
)
from mesh.errors import AuthenticationError, LocalProtocolError, RemoteProtocolError
from mesh.link.frames import OPENING_BODY_BYTES, FrameType
from mesh.trust.identity import Instance
from tests.mesh.connection.handshake_parties import (
    ACCEPTED,
    CONNECTION,
    EXIT,
    INGRESS,
    REJECTED,
    REQUEST,
    altered,
    flipped,
)
from tests.mesh.connection.replies import padded, reply_with

PAIR = PairSession(bytes(range(32)), INGRESS.instance, EXIT.instance)


def short_initiator(**changes):
    fields = {"local": INGRESS, "remote": EXIT, "connection": CONNECTION, "pair": PAIR}
    return ShortInitiator(**(fields | changes))


def short_responder(connection=CONNECTION, pair=PAIR, **changes):
    fields = {"local": EXIT, "remote": INGRESS, "connection": connection, "keys": pair.keys(connection)}
    return ShortResponder(**(fields | changes))


OPEN = short_initiator().open_frame(REQUEST)


def test_it_tells_request_and_answer_and_the_session_carries_both_ways():
    ingress, exit_ = short_initiator(), short_responder()
    assert exit_.read_open(ingress.open_frame(REQUEST)) == REQUEST
    accept, at_exit = reply_with(exit_, ACCEPTED)
    reply, at_ingress = ingress.read_reply(accept)
    assert reply == ACCEPTED
    assert at_exit.open_segment(at_ingress.seal_segment(FrameType.DATA, 0, b"hello")) == b"hello"
    assert at_ingress.open_segment(at_exit.seal_segment(FrameType.FIN, 0, b"")) == b""
    assert ingress.id == exit_.id == at_ingress.id == at_exit.id


def test_a_rejection_tells_why_and_opens_nothing():
    ingress, exit_ = short_initiator(), short_responder()
    exit_.read_open(ingress.open_frame(REQUEST))
    reject, session = reply_with(exit_, REJECTED)
    assert (reject.type, session) == (FrameType.REJECT, None)
    assert ingress.read_reply(reject) == (REJECTED, None)
    assert ingress.id == exit_.id


@pytest.mark.parametrize(
    "request_", [REQUEST, OpenRequest("k", 1), OpenRequest("\N{SNOWMAN}" * 271, 2**64 - 1)]
)
def test_all_bodies_have_the_size_of_a_full_open(request_):
    ingress, exit_ = short_initiator(), short_responder()
    exit_.read_open(ingress.open_frame(request_))
    longest = OpenReply(accepted=False, code="c" * 32, reason="\N{SNOWMAN}" * 1024)
    bodies = [ingress.open_frame(request_).body, reply_with(exit_, longest)[0].body]
    assert [len(body) for body in bodies] == [OPENING_BODY_BYTES, OPENING_BODY_BYTES]


def test_open_is_the_same_each_time_and_answers_are_given_once():
    ingress, exit_ = short_initiator(), short_responder()
    assert ingress.open_frame(REQUEST) is ingress.open_frame(OpenRequest("my-api", 65_536))
    with pytest.raises(LocalProtocolError, match="one request"):
        ingress.open_frame(OpenRequest("other", 65_536))
    exit_.read_open(OPEN)
    reply_with(exit_, ACCEPTED)
    with pytest.raises(LocalProtocolError, match="seals once"):
        reply_with(exit_, REJECTED)


def test_it_names_instances_and_pair_session_in_the_clear_and_nothing_else():
    assert OPEN.body.startswith(INGRESS.instance + EXIT.instance + PAIR.name)
    assert read_pair_name(OPEN.body) == PAIR.name
    assert b"my-api" not in OPEN.body
    assert OPEN.number == SHORT_OPEN


# -- what others make of it ----------------------------------------------------------------------------------


@pytest.mark.parametrize("bit", [*range(0, 8 * 48, 37), 8 * 48, 8 * 700, 8 * OPENING_BODY_BYTES - 1])
def test_an_open_of_which_a_bit_is_another_is_refused_and_the_genuine_one_still_read(bit):
    exit_ = short_responder()
    with pytest.raises(AuthenticationError):
        exit_.read_open(altered(OPEN, body=flipped(OPEN.body, bit)))
    assert exit_.read_open(OPEN) == REQUEST


@pytest.mark.parametrize(
    "changes",
    [
        {"source": EXIT.id},
        {"destination": INGRESS.id},
        {"connection": CONNECTION + 1},
        {"number": 0},
        {"number": 2},
        {"from_exit": True},
        {"type": FrameType.ACCEPT},
        {"body": b""},
        {"body": OPEN.body[:47]},
        {"body": OPEN.body[:-1]},
        {"body": OPEN.body + b"\0"},
    ],
)
def test_an_open_with_another_header_or_length_is_refused(changes):
    exit_ = short_responder()
    with pytest.raises(RemoteProtocolError):
        exit_.read_open(altered(OPEN, **changes))
    assert exit_.read_open(OPEN) == REQUEST


@pytest.mark.parametrize(
    "exit_",
    [
        short_responder(connection=CONNECTION + 1),
        short_responder(pair=PairSession(bytes(32), INGRESS.instance, EXIT.instance)),
        short_responder(pair=PairSession(bytes(range(32)), Instance(b"x" * 16), EXIT.instance)),
        short_responder(pair=PairSession(bytes(range(32)), INGRESS.instance, Instance(b"x" * 16))),
    ],
    ids=["another connection", "another secret", "another ingress instance", "another exit instance"],
)
def test_it_opens_for_one_connection_of_one_pair_session(exit_):
    with pytest.raises(AuthenticationError):
        exit_.read_open(altered(OPEN, connection=exit_._connection))


@pytest.mark.parametrize("bit", [0, 8 * 700, 8 * OPENING_BODY_BYTES - 1])
def test_an_answer_that_is_forged_changes_nothing(bit):
    ingress, exit_ = short_initiator(), short_responder()
    exit_.read_open(ingress.open_frame(REQUEST))
    accept, _ = reply_with(exit_, ACCEPTED)
    for forged in (
        altered(accept, body=flipped(accept.body, bit)),
        altered(accept, type=FrameType.REJECT),
        altered(accept, type=FrameType.DATA),
        altered(accept, number=0),
        altered(accept, connection=CONNECTION + 1),
        altered(OPEN, source=EXIT.id, destination=INGRESS.id, from_exit=True, type=FrameType.ACCEPT),
    ):
        with pytest.raises(AuthenticationError):
            ingress.read_reply(forged)
    assert ingress.read_reply(accept)[0] == ACCEPTED


@pytest.mark.parametrize("request_", [["", 1], ["my-api"], ["my-api", -1], [b"my-api", 1], {}, 7])
def test_a_genuine_request_that_makes_no_sense_can_be_rejected(request_):
    payload = padded(request_).ljust(1216, b"\0")
    key, clear = PAIR.keys(CONNECTION)[0], OPEN.body[:48]
    sealed = short_initiator()._seal(key, OPEN_CLASS, FrameType.OPEN, clear, payload)
    exit_ = short_responder()
    with pytest.raises(MalformedRequestError, match="cannot be read"):
        exit_.read_open(sealed)
    assert reply_with(exit_, REJECTED)[0].type == FrameType.REJECT
