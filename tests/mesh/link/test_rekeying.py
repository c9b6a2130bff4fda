"""New keys for a link: where each direction switches, who prevails, and that the old keys are gone."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from mesh.errors import AuthenticationError
from mesh.link import bodies, effects, frame_sealing
from mesh.link.frame_sealing import FrameReader, FrameWriter
from mesh.link.frames import FrameType, link_frame
from mesh.link.rekeying import (
    ACCEPTOR_SHARE,
    DIALER_SHARE,
    SHARE_SPREAD,
    TRANSITIONS,
    Event,
    RekeyLimits,
    State,
)
from mesh.link.states import LinkState
from tests.living_ciphers import LivingCiphers
from tests.mesh.link.rekeying_company import END_NAMES, LIMITS, Pair, held_by_link

both_ends = pytest.mark.parametrize("name", END_NAMES)


def asked(pair: Pair, name: str):
    """An end whose keys are due has asked for new ones."""
    end = getattr(pair, name)
    end.rekey_by(seconds=LIMITS.after_s)
    assert end.sent[-1] == FrameType.REKEY
    assert end.link._own_frames.rekeying.state is State.ASKED
    return end


@both_ends
def test_either_end_gets_new_keys_for_both_directions(name):
    pair = Pair()
    asked(pair, name)
    pair.settle()
    assert [each.rekeyed for each in pair.ends] == [1, 1]
    assert [len(each.keys) for each in pair.ends] == [2, 2]
    assert len({key for each in pair.ends for key in each.keys}) == 4
    assert [each.sent.count(FrameType.NEW_KEY) for each in pair.ends] == [1, 1]
    pair.assert_works()


def test_it_goes_on_for_ever_and_no_key_comes_twice():
    pair = Pair()
    for number in range(1, 11):
        for each in pair.ends:
            each.now += LIMITS.after_s
            each.link._pulse.begin(each.now)
        pair.ends[number % 2].ping()
        pair.settle()
        assert [each.rekeyed for each in pair.ends] == [number, number]
    assert len({key for each in pair.ends for key in each.keys}) == 22
    pair.assert_works()


@given(cuts=st.lists(st.integers(1, 400), min_size=1, max_size=40), before=st.integers(0, 4))
def test_each_direction_switches_in_the_middle_of_what_is_under_way(cuts, before):
    """However the bytes are cut, and whatever stands before and behind the switch: each frame comes once."""
    pair = Pair()
    asked(pair, "dialer")
    counters = {end: itertools.count() for end in pair.ends}
    sizes = itertools.cycle(cuts)
    for _ in range(60):
        for end in pair.ends:
            for _ in range(before):
                end.data(pair.other(end).id, next(counters[end]), b"x" * 50)
            pair.carry(end, next(sizes) * 3)
    pair.settle()
    for end in pair.ends:
        expected = next(counters[pair.other(end)])
        assert [frame.number for frame in end.delivered] == list(range(expected))
    assert [each.rekeyed for each in pair.ends] == [1, 1]
    pair.assert_works()


def test_if_both_ask_at_once_the_dialer_prevails():
    pair = Pair()
    asked(pair, "acceptor")
    asked(pair, "dialer")
    pair.carry(pair.acceptor)
    assert pair.dialer.link._own_frames.rekeying.state is State.PREVAILS
    pair.carry(pair.dialer)
    assert pair.acceptor.link._own_frames.rekeying.state is State.ANSWERED
    pair.settle()
    assert [each.rekeyed for each in pair.ends] == [1, 1]
    pair.assert_works()


def test_both_ask_at_once_and_all_comes_in_one_read():
    """The void REKEY and the NEW_KEY that answers the other one stand in the same bytes."""
    pair = Pair()
    asked(pair, "acceptor")
    asked(pair, "dialer")
    pair.carry(pair.dialer)
    pair.carry(pair.acceptor)
    pair.settle()
    assert [each.rekeyed for each in pair.ends] == [1, 1]
    pair.assert_works()


def test_volume_makes_keys_due_as_time_does_and_counts_anew():
    pair = Pair()
    most = int((DIALER_SHARE + SHARE_SPREAD) * LIMITS.after_bytes) + 1
    pair.dialer.ping(int(DIALER_SHARE * LIMITS.after_bytes) - 1)
    assert FrameType.REKEY not in pair.dialer.sent
    pair.dialer.ping(most)
    pair.settle()
    assert pair.dialer.rekeyed == 1
    pair.dialer.ping(most + int(DIALER_SHARE * LIMITS.after_bytes) - 1)
    pair.settle()
    assert pair.dialer.rekeyed == 1
    pair.dialer.ping(2 * most)
    pair.settle()
    assert pair.dialer.rekeyed == 2


@pytest.mark.parametrize(("name", "share"), [("dialer", DIALER_SHARE), ("acceptor", ACCEPTOR_SHARE)])
def test_no_key_is_due_early_none_serves_longer_than_it_may_and_the_acceptor_lets_the_dialer_go_first(
    name, share
):
    pair = Pair()
    end = getattr(pair, name)
    end.rekey_by(seconds=share * LIMITS.after_s - 0.1)
    assert FrameType.REKEY not in end.sent
    end.rekey_by(seconds=SHARE_SPREAD * LIMITS.after_s + 0.1)
    assert end.sent.count(FrameType.REKEY) == 1
    assert share + SHARE_SPREAD <= 1.0


def test_links_that_began_together_are_not_due_together():
    pair = Pair()
    rekeying = pair.dialer.link._own_frames.rekeying
    shares = []
    for number in range(1000):
        rekeying._binding = number.to_bytes(2, "big") * 16
        shares.append(rekeying._share())
    assert len(set(shares)) == 1000


def test_what_served_an_hour_or_64_gib_is_replaced():
    assert (RekeyLimits().after_s, RekeyLimits().after_bytes) == (3600.0, 64 * 1024**3)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_the_table_is_complete(state, event):
    """What is not in it is refused: a REKEY while one is answered or void, a NEW_KEY that nobody awaits."""
    refused = {
        (State.HOLDS, Event.PEER_PREVAILS),
        (State.HOLDS, Event.PEER_IS_VOID),
        (State.HOLDS, Event.PEER_SWITCHES),
        (State.ASKED, Event.DUE),
        (State.ASKED, Event.PEER_ASKS),
        (State.PREVAILS, Event.DUE),
        (State.PREVAILS, Event.PEER_ASKS),
        (State.PREVAILS, Event.PEER_PREVAILS),
        (State.PREVAILS, Event.PEER_IS_VOID),
        (State.ANSWERED, Event.DUE),
        (State.ANSWERED, Event.PEER_ASKS),
        (State.ANSWERED, Event.PEER_PREVAILS),
        (State.ANSWERED, Event.PEER_IS_VOID),
    }
    assert ((state, event) in TRANSITIONS) != ((state, event) in refused)


# -- the keys of the past ------------------------------------------------------------------------------------


@both_ends
def test_what_is_sealed_with_an_old_key_does_not_open_any_more(name):
    pair = Pair()
    end = asked(pair, name)
    pair.settle()
    old = FrameWriter(end.keys[0])
    pair.other(end).take(b"".join(old.seal(link_frame(FrameType.PING, bodies.encode_ping(7)))))
    [verdict] = pair.other(end).end
    assert "does not authenticate" in verdict.why


def test_what_is_sealed_with_a_new_key_does_not_open_with_the_old_one():
    pair = Pair()
    asked(pair, "dialer")
    pair.settle()
    wire = b"".join(FrameWriter(pair.dialer.keys[1]).seal(link_frame(FrameType.PING, bodies.encode_ping(7))))
    assert len(FrameReader(pair.dialer.keys[1]).feed(memoryview(wire))) == 1
    with pytest.raises(AuthenticationError):
        FrameReader(pair.dialer.keys[0]).feed(memoryview(wire))


@both_ends
def test_a_link_holds_no_key_of_the_past_and_no_secret_of_an_exchange(name):
    pair = Pair()
    ephemerals = {end: [] for end in pair.ends}
    for end in pair.ends:
        source = end.link._key_source.fresh
        taken = ephemerals[end]

        def fresh(source=source, taken=taken):
            taken.append(source())
            return taken[-1]

        object.__setattr__(end.link._key_source, "fresh", fresh)
    asked(pair, name)
    pair.settle()
    assert [each.rekeyed for each in pair.ends] == [1, 1]
    for end in pair.ends:
        [ephemeral] = ephemerals[end]
        held = held_by_link(end)
        assert end.link._own_frames.rekeying._binding in held, "the search goes deep enough"
        assert ephemeral.private not in held
        for key in (*end.keys, *pair.other(end).keys):
            assert key not in held, "neither those of the past nor, as bytes, those of now"


def test_no_cipher_of_the_past_is_left(monkeypatch):
    alive = LivingCiphers(monkeypatch, frame_sealing)
    pair = Pair()
    for _ in range(3):
        asked(pair, "acceptor")
        pair.settle()
    now = {end.keys[-1] for end in pair.ends}
    assert alive.keys() == sorted((*now, *now)), "one to seal, one to open each"


def test_the_keys_of_the_handshake_are_nowhere_but_in_the_ciphers():
    pair = Pair()
    for end in pair.ends:
        held = held_by_link(end)
        assert end.link.peer.peer_static in held, "the search goes deep enough"
        assert not {end.keys[0], pair.other(end).keys[0]} & held


# -- beside the rest of a link's life ------------------------------------------------------------------------


def test_a_peer_that_lacks_the_feature_keeps_its_keys():
    pair = Pair(features=())
    for end in pair.ends:
        end.rekey_by(seconds=10 * LIMITS.after_s)
    pair.settle()
    assert [each.rekeyed for each in pair.ends] == [0, 0]
    pair.assert_works()


def test_and_may_not_ask_for_others():
    pair = Pair(features=())
    pair.dialer.send(link_frame(FrameType.REKEY, bodies.encode_rekey(bytes(48))))
    pair.settle()
    assert pair.acceptor.end == [effects.LinkBroken("REKEY, which the two have not agreed upon")]


@both_ends
def test_a_link_that_is_being_closed_answers_and_asks_no_more(name):
    pair = Pair()
    end = asked(pair, name)
    other = pair.other(end)
    other.do(other.link.close("not needed"))
    assert other.link.state is LinkState.LEAVING
    pair.settle()
    assert [each.rekeyed for each in pair.ends] == [1, 1]
    other.rekey_by(seconds=10 * LIMITS.after_s)
    assert FrameType.REKEY not in other.sent
    other.do(other.link.sent())
    pair.settle()
    [verdict] = end.end
    assert isinstance(verdict, effects.LinkLost)
    assert "not needed" in verdict.why


def test_a_rekey_behind_the_first_frame_waits_for_the_admission():
    limits = replace(LIMITS, after_s=0.0)  # due at once
    pair = Pair(limits=limits)
    assert pair.acceptor.sent[:2] == [FrameType.PING, FrameType.REKEY]
    pair.settle()
    assert pair.acceptor.rekeyed == pair.dialer.rekeyed >= 1


def test_counters_never_come_near_their_end():
    pair = Pair(features=())
    most = LIMITS.most_bytes
    assert most // 16 <= 2**64 // 256, "each use stands on the wire with 16 bytes at the least"
    pair.dialer.ping(most - 1)
    pair.assert_works()
    pair.dialer.ping(most)
    assert pair.dialer.end == [effects.LinkLost("its keys have served as long as any may")]
