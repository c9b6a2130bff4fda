"""A session is opened between two who agree; what is asked of them wrongly is a bug of this agent."""

import hashlib

import msgspec
import pytest

from mesh.connection import opening_payloads
from mesh.connection.opening_payloads import MAX_ROUTING_KEY_CHARACTERS, OpenReply, OpenRequest
from mesh.connection.party import Party
from mesh.connection.session import Session
from mesh.connection.session_handshake import read_open_instances
from mesh.errors import LocalProtocolError, RemoteProtocolError
from mesh.link.frames import FrameType
from mesh.trust.identity import AgentId, Instance
from mesh.trust.noise.handshake import Handshake
from tests.mesh.connection.handshake_parties import (
    ACCEPTED,
    CONNECTION,
    EXIT,
    EXIT_EPHEMERAL,
    EXIT_STATIC,
    INGRESS,
    INGRESS_STATIC,
    OPEN,
    REJECTED,
    REQUEST,
    initiator,
    responder,
)
from tests.mesh.connection.replies import reply_with


def open_pair(connection: int = CONNECTION) -> tuple[Session, Session]:
    """The session at the ingress and at the exit."""
    ingress, exit_ = initiator(connection=connection), responder(connection=connection)
    exit_.read_open(ingress.open_frame(REQUEST))
    accept, at_exit = reply_with(exit_, ACCEPTED)
    _, at_ingress = ingress.read_reply(accept)
    assert at_ingress is not None
    assert at_exit is not None
    return at_ingress, at_exit


def test_a_session_is_opened_and_carries_both_ways():
    at_ingress, at_exit = open_pair()
    data = at_ingress.seal_segment(FrameType.DATA, 0, b"hello")
    assert (data.source, data.destination, data.from_exit) == (INGRESS.id, EXIT.id, False)
    assert (data.type, data.connection, data.number, data.hop_limit, data.marked) == (
        FrameType.DATA,
        CONNECTION,
        0,
        16,
        False,
    )
    assert at_exit.open_segment(data) == b"hello"
    fin = at_exit.seal_segment(FrameType.FIN, 0, b"")
    assert (fin.source, fin.destination, fin.from_exit) == (EXIT.id, INGRESS.id, True)
    assert at_ingress.open_segment(fin) == b""


def test_the_handshake_tells_request_and_reply():
    ingress, exit_ = initiator(), responder()
    assert exit_.read_open(ingress.open_frame(REQUEST)) == REQUEST
    accept, _ = reply_with(exit_, ACCEPTED)
    assert accept.type == FrameType.ACCEPT
    assert ingress.read_reply(accept)[0] == ACCEPTED


def test_a_rejection_tells_why_and_opens_nothing():
    ingress, exit_ = initiator(), responder()
    exit_.read_open(ingress.open_frame(REQUEST))
    reject, at_exit = reply_with(exit_, REJECTED)
    assert reject.type == FrameType.REJECT
    assert at_exit is None
    assert ingress.read_reply(reject) == (REJECTED, None)


def test_open_gives_the_same_bytes_each_time():
    ingress = initiator()
    assert ingress.open_frame(REQUEST) is ingress.open_frame(OpenRequest("my-api", 65_536))
    with pytest.raises(LocalProtocolError, match="one request"):
        ingress.open_frame(OpenRequest("other", 65_536))


def test_frames_start_with_the_hops_they_may_take():
    ingress, exit_ = initiator(max_hops=5), responder(max_hops=6)
    opening = ingress.open_frame(REQUEST)
    exit_.read_open(opening)
    accept, at_exit = reply_with(exit_, ACCEPTED)
    _, at_ingress = ingress.read_reply(accept)
    assert [opening.hop_limit, at_ingress.seal_control(FrameType.ACK, b"").hop_limit] == [5, 5]
    assert [accept.hop_limit, at_exit.seal_segment(FrameType.DATA, 0, b"").hop_limit] == [6, 6]


def test_open_names_the_instances_in_the_clear():
    assert read_open_instances(OPEN.body) == (INGRESS.instance, EXIT.instance)
    with pytest.raises(RemoteProtocolError):
        read_open_instances(OPEN.body[:31])


def test_constants_are_those_of_the_protocol():
    assert opening_payloads.MAX_ROUTING_KEY_CHARACTERS == 271
    assert opening_payloads.MAX_CODE_CHARACTERS == 32
    assert opening_payloads.MAX_REASON_CHARACTERS == 1024
    assert opening_payloads.REASON_BYTES == 1024


def test_wire_bytes_are_pinned():
    ingress, exit_ = initiator(), responder()
    exit_.read_open(ingress.open_frame(REQUEST))
    accept, _ = reply_with(exit_, ACCEPTED)
    rejecting = responder()
    rejecting.read_open(OPEN)
    reject, _ = reply_with(rejecting, REJECTED)
    found = {"OPEN": OPEN.body, "ACCEPT": accept.body, "REJECT": reject.body}
    assert {name: hashlib.sha256(body).hexdigest() for name, body in found.items()} == PINNED


def test_the_handshake_is_noise_ik_with_the_documented_prologue():
    prologue = b"mesh session" + b"\x01" + INGRESS.id + EXIT.id + INGRESS.instance + EXIT.instance
    reference = Handshake(
        "IK",
        initiator=False,
        prologue=prologue + CONNECTION.to_bytes(8, "big"),
        static=EXIT_STATIC,
        ephemeral=EXIT_EPHEMERAL,
    )
    payload = reference.read_message(OPEN.body[32:])
    length = int.from_bytes(payload[:2], "big")
    assert msgspec.msgpack.decode(payload[2 : 2 + length]) == ["my-api", 65_536, False, False, False, b""]
    assert payload[2 + length :] == bytes(1152 - 2 - length)
    assert reference.remote_static == INGRESS.session_key


@pytest.mark.parametrize(
    "request_",
    [OpenRequest("", 1), OpenRequest("k" * (MAX_ROUTING_KEY_CHARACTERS + 1), 1), OpenRequest("k", -1)],
)
def test_a_request_out_of_range_is_our_bug(request_):
    with pytest.raises(LocalProtocolError):
        initiator().open_frame(request_)


@pytest.mark.parametrize(
    "reply",
    [
        OpenReply(accepted=False, code="c" * 33),
        OpenReply(accepted=True, socket_tag=b"t" * 9),
        OpenReply(accepted=True, credit=-1),
    ],
)
def test_a_reply_out_of_range_is_our_bug_and_another_can_be_given(reply):
    exit_ = responder()
    exit_.read_open(OPEN)
    with pytest.raises(LocalProtocolError):
        reply_with(exit_, reply)
    assert reply_with(exit_, REJECTED)[0].type == FrameType.REJECT


def test_the_longest_request_fits():
    request = OpenRequest("\N{GRINNING FACE}" * 255, 2**64 - 1)
    assert responder().read_open(initiator().open_frame(request)) == request


def test_steps_out_of_order_are_our_bug():
    with pytest.raises(LocalProtocolError):
        reply_with(responder(), ACCEPTED)
    exit_ = responder()
    exit_.read_open(OPEN)
    with pytest.raises(LocalProtocolError):
        exit_.read_open(OPEN)
    accept, _ = reply_with(exit_, ACCEPTED)
    with pytest.raises(LocalProtocolError):
        reply_with(exit_, ACCEPTED)
    with pytest.raises(LocalProtocolError):
        initiator().read_reply(accept)
    ingress = initiator()
    ingress.open_frame(REQUEST)
    ingress.read_reply(accept)
    with pytest.raises(LocalProtocolError):
        ingress.read_reply(accept)


@pytest.mark.parametrize(
    "party",
    [
        Party(AgentId(bytes(15)), EXIT.instance, EXIT.session_key),
        Party(EXIT.id, Instance(bytes(17)), EXIT.session_key),
        Party(EXIT.id, EXIT.instance, bytes(31)),
    ],
)
def test_a_party_of_wrong_lengths_is_our_bug(party):
    with pytest.raises(LocalProtocolError):
        initiator(remote=party)


def test_keys_stay_out_of_reprs():
    at_ingress, _ = open_pair()
    shown = repr(at_ingress) + repr(initiator()) + repr(responder())
    assert INGRESS_STATIC.private.hex() not in shown
    assert repr(INGRESS_STATIC.private) not in shown


PINNED = {
    "OPEN": "31c1b128d4671ef51ecf2d52ef73223bd3663ae53bdcf631de458555af5e7e51",
    "ACCEPT": "dbb91095267185c790d2d0283c2a1fd06c323ad8c9c77506fc0634186353e766",
    "REJECT": "ef52f8747b11fa403b581f4da37d1aa9fdfc56dec10bee889aeb2d342a9d09a7",
}
