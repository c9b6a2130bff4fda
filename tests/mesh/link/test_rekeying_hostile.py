"""What a peer, or a thief of a link's keys, may try when keys are replaced: each costs the link, no more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.link import bodies, effects
from mesh.link.frame_sealing import FrameReader, FrameWriter
from mesh.link.frames import FrameType, link_frame
from mesh.link.rekeying import PROLOGUE_CONTEXT
from mesh.trust.noise import Handshake, KeyPair, key_pair
from tests.mesh.link.handshake_company import ALICE, BOB, MALLORY
from tests.mesh.link.rekeying_company import END_NAMES, LIMITS, Pair

EPHEMERAL = key_pair(b"e" * 32)
both_ends = pytest.mark.parametrize("name", END_NAMES)


def binding_of(pair: Pair) -> bytes:
    return pair.dialer.link._own_frames.rekeying._binding


def request(binding: bytes, static: KeyPair = ALICE.static, to: bytes = BOB.static.public) -> bytes:
    """A REKEY's body."""
    exchange = Handshake(
        "KK",
        initiator=True,
        prologue=PROLOGUE_CONTEXT + binding,
        static=static,
        ephemeral=EPHEMERAL,
        remote_static=to,
    )
    return bodies.encode_rekey(exchange.write_message(b""))


def end_of(pair: Pair, name: str, frame_type: FrameType, body: bytes) -> str:
    """Why the other end ends the link once ``name`` has said that."""
    end = getattr(pair, name)
    end.send(link_frame(frame_type, body))
    pair.carry(end)
    [verdict] = pair.other(end).end
    assert isinstance(verdict, effects.LinkBroken)
    assert not verdict.is_forgery
    return verdict.why


def test_the_requests_that_these_tests_make_up_would_be_taken():
    pair = Pair()
    pair.dialer.send(link_frame(FrameType.REKEY, request(binding_of(pair))))
    pair.carry(pair.dialer)
    assert pair.acceptor.sent[-1] == FrameType.NEW_KEY
    assert pair.acceptor.end == []


@both_ends
def test_a_request_is_good_for_one_time_only(name):
    pair = Pair()
    end = getattr(pair, name)
    body = request(
        binding_of(pair),
        *((ALICE.static, BOB.static.public) if name == "dialer" else (BOB.static, ALICE.static.public)),
    )
    end.rekey_by(seconds=LIMITS.after_s)
    pair.settle()
    assert end.rekeyed == 1
    assert "does not authenticate" in end_of(pair, name, FrameType.REKEY, body)


def test_a_request_of_another_link_of_the_same_two_is_refused():
    other = Pair(ephemeral=EPHEMERAL)
    assert binding_of(other) != binding_of(Pair())
    assert "does not authenticate" in end_of(Pair(), "dialer", FrameType.REKEY, request(binding_of(other)))


@pytest.mark.parametrize(
    ("static", "to"), [(MALLORY.static, BOB.static.public), (ALICE.static, MALLORY.static.public)]
)
def test_whoever_has_the_keys_of_a_link_but_not_its_ends_cannot_key_it_anew(static, to):
    pair = Pair()
    body = request(binding_of(pair), static, to)
    assert "does not authenticate" in end_of(pair, "dialer", FrameType.REKEY, body)


def test_nor_answer_in_the_place_of_an_end():
    pair = Pair()
    pair.dialer.rekey_by(seconds=LIMITS.after_s)
    [*_, frame] = FrameReader(pair.dialer.keys[0]).feed(memoryview(bytes(everything(pair))))
    assert frame.type == FrameType.REKEY
    thief = Handshake(
        "KK",
        initiator=False,
        prologue=PROLOGUE_CONTEXT + binding_of(pair),
        static=MALLORY.static,
        ephemeral=EPHEMERAL,
        remote_static=ALICE.static.public,
    )
    with pytest.raises(Exception, match="does not authenticate"):
        thief.read_message(bodies.decode_rekey(frame.body))
    answer = bodies.encode_rekey(EPHEMERAL.public + bytes(16))
    assert "does not authenticate" in end_of(pair, "acceptor", FrameType.NEW_KEY, answer)


def everything(pair: Pair) -> bytes:
    """All that the dialer has ever sealed, once more."""
    writer, sent = FrameWriter(pair.dialer.keys[0]), []
    for end_frame in pair.dialer.frames:
        sent += writer.seal(end_frame)
    return b"".join(sent)


@both_ends
def test_a_switch_that_nobody_awaits_costs_the_link(name):
    why = end_of(Pair(), name, FrameType.NEW_KEY, bodies.encode_rekey(b""))
    assert why == "NEW_KEY on a link that has its keys"


def test_a_second_switch_costs_the_link():
    pair = Pair()
    pair.dialer.rekey_by(seconds=LIMITS.after_s)
    pair.settle()
    why = end_of(pair, "dialer", FrameType.NEW_KEY, bodies.encode_rekey(b""))
    assert why == "NEW_KEY on a link that has its keys"


def test_who_has_asked_switches_without_an_answer():
    pair = Pair()
    pair.dialer.send(link_frame(FrameType.REKEY, request(binding_of(pair))))
    pair.carry(pair.dialer)
    why = end_of(pair, "dialer", FrameType.NEW_KEY, bodies.encode_rekey(bytes(48)))
    assert "with an answer in it" in why


def test_who_is_asked_switches_with_an_answer():
    pair = Pair()
    pair.dialer.rekey_by(seconds=LIMITS.after_s)
    assert "too short" in end_of(pair, "acceptor", FrameType.NEW_KEY, bodies.encode_rekey(b""))


def test_who_asks_twice_before_it_has_switched_loses_the_link():
    pair = Pair()
    body = request(binding_of(pair))
    pair.dialer.send(link_frame(FrameType.REKEY, body))
    why = end_of(pair, "dialer", FrameType.REKEY, body)
    assert why == "REKEY on a link that has answered, and waits for the peer to switch"


def test_of_requests_at_the_same_time_there_is_one_from_each_side():
    pair = Pair()
    pair.dialer.rekey_by(seconds=LIMITS.after_s)
    body = request(binding_of(pair), BOB.static, ALICE.static.public)
    pair.acceptor.send(link_frame(FrameType.REKEY, body))
    why = end_of(pair, "acceptor", FrameType.REKEY, body)
    assert "whose request is void" in why


def test_a_flood_of_requests_costs_the_link_before_it_costs_more_than_a_few_exchanges():
    pair = Pair()
    end = pair.dialer
    for _ in range(int(LIMITS.burst)):
        end.link._own_frames.rekeying._since = float("-inf")
        end.ping()
        pair.settle()
    assert pair.acceptor.rekeyed == LIMITS.burst
    assert "more often than a link ever needs" in end_of(
        pair, "dialer", FrameType.REKEY, request(binding_of(pair))
    )


def test_who_asks_as_often_as_it_may_keeps_the_link():
    pair = Pair()
    for number in range(1, 20):
        for end in pair.ends:
            end.now += 1 / LIMITS.rate
            end.link._pulse.begin(end.now)
        pair.dialer.link._own_frames.rekeying._since = float("-inf")
        pair.dialer.ping()
        pair.settle()
        assert pair.acceptor.rekeyed == number
    pair.assert_works()


@both_ends
def test_a_peer_that_does_not_answer_in_time_loses_the_link(name):
    pair = Pair()
    end = getattr(pair, name)
    end.rekey_by(seconds=LIMITS.after_s)
    end.rekey_by(seconds=LIMITS.answer_s - 1)
    assert end.end == []
    end.rekey_by(seconds=1.0)
    [verdict] = end.end
    assert verdict == effects.LinkLost("the peer has not taken up new keys within 20 s")


def test_so_does_one_that_asks_and_never_switches():
    pair = Pair()
    pair.dialer.send(link_frame(FrameType.REKEY, request(binding_of(pair))))
    pair.carry(pair.dialer)
    pair.acceptor.rekey_by(seconds=LIMITS.answer_s - 1)
    assert pair.acceptor.end == []
    pair.acceptor.rekey_by(seconds=1.0)
    [verdict] = pair.acceptor.end
    assert verdict == effects.LinkLost("the peer has not taken up new keys within 20 s")


def test_a_process_that_stood_still_blames_nobody():
    pair = Pair()
    pair.dialer.rekey_by(seconds=LIMITS.after_s)
    pair.dialer.now += 10 * LIMITS.answer_s
    pair.dialer.ping()
    assert pair.dialer.end == []
    pair.settle()
    pair.assert_works()


@both_ends
@given(
    kind=st.sampled_from([FrameType.REKEY, FrameType.NEW_KEY]),
    body=st.one_of(
        st.binary(max_size=100),
        st.binary(max_size=60).map(lambda message: bodies._encode((message,))),
        st.binary(min_size=32, max_size=32).map(lambda public: bodies.encode_rekey(public + bytes(16))),
    ),
)
def test_whatever_it_says_a_peer_that_cannot_do_it_loses_the_link_and_nothing_else(name, kind, body):
    assert end_of(Pair(), name, kind, body)
