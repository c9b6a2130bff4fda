"""The server's end of SOCKS5: whatever comes, in whatever pieces."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import LocalProtocolError
from mesh.socks.client import GREETING, WITNESSED_GREETING, code_of, request
from mesh.socks.numbers import Reply, reply
from mesh.socks.server import (
    TRANSITIONS,
    Asked,
    Credentials,
    Handshake,
    Refused,
    Say,
    SayWithWitness,
    State,
    advanced,
)

KNOWN = Credentials(b"me", b"secret")
BY_PASSWORD = b"\5\1\2" + b"\1\2me\6secret"
MOST_BYTES = 2 + 255 + 2 + 256 + 255 + 4 + 1 + 257
"""Of all messages together."""


def feed(data, *, cut=None, credentials=None):
    """All that is done about ``data``, and how much of it was taken; ``cut`` gives the size of each piece."""
    handshake, effects, position = Handshake(credentials), [], 0
    while handshake.wanted_bytes and position < len(data):
        size = min(handshake.wanted_bytes, cut() if cut else len(data))
        piece = data[position : position + size]
        effects += handshake.receive(piece)
        position += len(piece)
    return effects, position, handshake


def said(effects):
    return b"".join(effect.data for effect in effects if isinstance(effect, Say))


def test_a_client_is_asked_for_no_password_where_none_is_needed():
    effects, taken, handshake = feed(GREETING + request("a.mesh") + b"hello")
    assert said(effects) == b"\5\0"
    assert effects[-1] == Asked("a.mesh")
    assert taken == len(GREETING + request("a.mesh"))  # what follows is another's
    assert (handshake.state, handshake.wanted_bytes) == (State.ASKED, 0)


def test_a_witness_is_for_who_asks_where_there_is_one_and_no_password():
    asked = WITNESSED_GREETING + request("a")
    for witnesses, effect in ((True, SayWithWitness(b"\5\x80", b"\5\0")), (False, Say(b"\5\0"))):
        handshake = Handshake(witnesses=witnesses)
        handshake.receive(asked[:2])
        assert handshake.receive(asked[2:4]) == (effect,)
        assert handshake.state is State.REQUEST
    guarded = Handshake(KNOWN, witnesses=True)
    guarded.receive(asked[:2])
    assert isinstance(guarded.receive(asked[2:4])[-1], Refused)


def test_a_password_is_asked_for_and_must_be_right():
    effects, _, _ = feed(BY_PASSWORD + request("a"), credentials=KNOWN)
    assert (said(effects), effects[-1]) == (b"\5\2\1\0", Asked("a"))
    for wrong in (b"\1\2me\6Secret", b"\1\2mf\6secret", b"\1\0\0", b"\1\2me\0", b"\1\0\6secret"):
        effects, _, handshake = feed(b"\5\1\2" + wrong + request("a"), credentials=KNOWN)
        assert (said(effects), handshake.state) == (b"\5\2\1\1", State.REFUSED)
        assert effects[-1] == Refused("its user or password is wrong")


def test_nobody_is_let_in_without_the_password():
    effects, _, _ = feed(GREETING + request("a"), credentials=KNOWN)
    assert (said(effects), type(effects[-1])) == (b"\5\xff", Refused)
    effects, _, _ = feed(BY_PASSWORD + request("a"))
    assert (said(effects), type(effects[-1])) == (b"\5\xff", Refused)


def test_credentials_are_not_shown():
    assert "secret" not in repr(KNOWN)


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (b"GET / HTTP/1.1", b""),
        (b"\4\1\0\x50\x7f\0\0\1\0", b""),
        (b"\5\0", b"\5\xff"),
        (GREETING + b"\5\2\0\3", b"\5\0" + reply(Reply.COMMAND_UNKNOWN)),
        (GREETING + b"\5\3\0\3", b"\5\0" + reply(Reply.COMMAND_UNKNOWN)),
        (GREETING + b"\4\1\0\3", b"\5\0"),
        (GREETING + b"\5\1\0\1\x7f\0\0\1\0\x50", b"\5\0" + reply(Reply.ADDRESS_KIND_UNKNOWN)),
        (GREETING + b"\5\1\0\4" + bytes(18), b"\5\0" + reply(Reply.ADDRESS_KIND_UNKNOWN)),
        (GREETING + b"\5\1\0\2", b"\5\0" + reply(Reply.ADDRESS_KIND_UNKNOWN)),
        (GREETING + b"\5\1\0\3\0", b"\5\0" + reply(Reply.HOST_UNREACHABLE)),
        (GREETING + b"\5\1\0\3\1\xff\0\0", b"\5\0" + reply(Reply.HOST_UNREACHABLE)),
    ],
)
def test_what_is_not_served_is_refused_with_its_reply(data, answer):
    effects, _, handshake = feed(data)
    assert said(effects) == answer
    assert handshake.state is State.REFUSED
    assert isinstance(effects[-1], Refused)
    assert effects[-1].why.isprintable()


@given(st.binary(max_size=1100), st.data(), st.booleans())
def test_whatever_comes_is_taken_alike_in_any_pieces_and_is_little(data, draw, needs_password):
    credentials = KNOWN if needs_password else None
    whole = feed(data, credentials=credentials)
    pieces = feed(data, cut=lambda: draw.draw(st.integers(1, 9)), credentials=credentials)
    assert whole[:2] == pieces[:2]
    assert whole[2].state is pieces[2].state
    assert whole[1] <= MOST_BYTES
    ends = [effect for effect in whole[0] if not isinstance(effect, Say)]
    assert len(ends) == (whole[2].wanted_bytes == 0)
    if needs_password and ends and isinstance(ends[0], Asked):
        assert b"secret" in data


@given(st.text(min_size=1, max_size=60), st.binary(max_size=20))
def test_any_name_is_understood_and_nothing_behind_it_is_touched(host, behind):
    asked = request(host)
    effects, taken, handshake = feed(GREETING + asked + behind)
    assert effects[-1] == Asked(host)
    assert taken == len(GREETING) + len(asked)
    with pytest.raises(ValueError, match="wanted"):
        handshake.receive(b"x")


def test_a_state_leads_where_the_table_says_or_is_a_bug():
    for before, after in itertools.product(State, State):
        if after in TRANSITIONS[before]:
            assert advanced(before, after) is after
        else:
            with pytest.raises(LocalProtocolError, match="SOCKS"):
                advanced(before, after)


def test_a_reply_says_its_code():
    for code in Reply:
        assert code_of(reply(code)) is code
    for wrong in (b"", b"\5", b"\4\0", b"\5\x77"):
        with pytest.raises(ValueError, match=r"reply|valid"):
            code_of(wrong)


@pytest.mark.parametrize("host", ["", "x" * 256])
def test_a_name_that_no_request_can_have_is_told(host):
    with pytest.raises(ValueError, match="1 to 255 bytes"):
        request(host)
