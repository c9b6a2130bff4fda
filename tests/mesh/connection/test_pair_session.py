"""The keys of connections that open under pair sessions: which they are, and that none is another's."""

import itertools

import pytest
from cryptography.hazmat.primitives.ciphers import aead
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from hypothesis import given
from hypothesis import strategies as st

from mesh.connection import session, short_open
from mesh.connection.pair_session import MAX_AHEAD, PairSession
from mesh.connection.short_open import ShortInitiator, ShortResponder
from mesh.link.frames import FrameType
from mesh.trust.identity import Instance
from tests.mesh.connection.handshake_parties import (
    ACCEPTED,
    CONNECTION,
    EXIT,
    INGRESS,
    OPEN,
    REJECTED,
    REQUEST,
    initiator,
    responder,
)
from tests.mesh.connection.replies import reply_with

SECRET = bytes(range(32))
instances = st.binary(min_size=16, max_size=16).map(Instance)
numbers = st.integers(0, 2**64 - 1)


def expanded(info, length):
    """As another library has it."""
    return HKDFExpand(SHA512(), length, info).derive(SECRET)


@given(instances, instances, numbers)
def test_name_and_keys_are_as_documented(ingress, exit_, number):
    pair = PairSession(SECRET, ingress, exit_)
    assert pair.name == expanded(b"mesh pair name", 16)
    what = b"mesh pair key" + ingress + exit_ + number.to_bytes(8, "big")
    assert b"".join(pair.keys(number)) == expanded(what, 64)
    assert [len(key) for key in pair.keys(number)] == [32, 32]


@given(st.lists(st.tuples(instances, instances, numbers), unique=True, max_size=8))
def test_no_two_connections_or_directions_have_the_same_key(connections):
    keys = [PairSession(SECRET, ingress, exit_).keys(number) for ingress, exit_, number in connections]
    assert len(set(itertools.chain(*keys))) == 2 * len(connections)


@given(instances, instances, st.lists(numbers, max_size=2 * MAX_AHEAD, unique=True))
def test_keys_derived_ahead_are_the_same_and_few_are_kept(ingress, exit_, connections):
    pair, plain = (PairSession(SECRET, ingress, exit_) for _ in range(2))
    for number in connections:
        pair.prepare(number)
    assert len(pair._ahead) <= MAX_AHEAD
    assert [pair.keys(number) for number in connections] == [plain.keys(number) for number in connections]
    assert pair._ahead == {}


def test_both_ends_agree_on_it_and_no_other_handshake_does():
    agreed = []
    for number in (CONNECTION, CONNECTION + 1):
        ingress = initiator(agreed=agreed.append, connection=number)
        exit_ = responder(agreed=agreed.append, connection=number)
        assert exit_.read_open(ingress.open_frame(REQUEST)).wants_pair
        accept, _ = reply_with(exit_, ACCEPTED)
        assert ingress.read_reply(accept)[0].keeps_pair
    at_exit, at_ingress, *others = agreed
    assert (at_ingress.name, at_ingress.keys(7)) == (at_exit.name, at_exit.keys(7))
    assert not {at_ingress.name, *at_ingress.keys(7)} & {others[0].name, *others[0].keys(7)}


def test_a_rejection_agrees_on_one_as_well():
    agreed = []
    ingress, exit_ = initiator(agreed=agreed.append), responder(agreed=agreed.append)
    exit_.read_open(ingress.open_frame(REQUEST))
    reject, _ = reply_with(exit_, REJECTED)
    ingress.read_reply(reject)
    assert agreed[0].name == agreed[1].name


@pytest.mark.parametrize(("asks", "keeps"), [(True, False), (False, True)])
def test_one_that_does_not_want_one_gets_none(asks, keeps):
    """As an agent that knows of none, at either end."""
    agreed = []
    ingress = initiator(agreed=agreed.append) if asks else initiator()
    exit_ = responder(agreed=agreed.append) if keeps else responder()
    exit_.read_open(ingress.open_frame(REQUEST))
    accept, at_exit = reply_with(exit_, ACCEPTED)
    _, at_ingress = ingress.read_reply(accept)
    assert at_exit.open_segment(at_ingress.seal_segment(FrameType.DATA, 0, b"hello")) == b"hello"
    assert agreed == []


@pytest.fixture
def sealed(monkeypatch):
    """Key and nonce of all that is sealed with a connection's keys."""
    noted = []

    class Noting:
        def __init__(self, key):
            self.key, self.cipher = key, aead.ChaCha20Poly1305(key)
            self.decrypt = self.cipher.decrypt

        def encrypt(self, nonce, data, covered):
            noted.append((self.key, nonce))
            return self.cipher.encrypt(nonce, data, covered)

    monkeypatch.setattr(session, "ChaCha20Poly1305", Noting)
    monkeypatch.setattr(short_open, "ChaCha20Poly1305", Noting)
    return noted


def test_no_key_and_nonce_seal_twice_whatever_is_sent(sealed):
    """Two pair sessions of the same instances, three connections, each accepted or rejected, all frames."""
    pairs = [PairSession(bytes((seed,)) * 32, INGRESS.instance, EXIT.instance) for seed in (1, 2)]
    replies = [(1, ACCEPTED), (2, ACCEPTED), (256, ACCEPTED), (3, REJECTED), (2**64 - 1, REJECTED)]
    for pair, (number, reply) in itertools.product(pairs, replies):
        ingress = ShortInitiator(local=INGRESS, remote=EXIT, connection=number, pair=pair)
        exit_ = ShortResponder(local=EXIT, remote=INGRESS, connection=number, keys=pair.keys(number))
        exit_.read_open(ingress.open_frame(REQUEST))
        ingress.open_frame(REQUEST)  # repeated as it is
        answer, at_exit = reply_with(exit_, reply)
        _, at_ingress = ingress.read_reply(answer)
        for end in (at_ingress, at_exit):
            if end is not None:
                for segment in range(4):
                    end.seal_segment(FrameType.DATA, segment, b"data")
                end.seal_segment(FrameType.FIN, 4, b"fin")
                for kind in (FrameType.ACK, FrameType.PROBE, FrameType.RESET, FrameType.SESSION_KEYS):
                    end.seal_control(kind, b"control")
    assert len(sealed) == len(pairs) * (2 * len(replies) + 3 * 2 * 9)
    assert len(set(sealed)) == len(sealed)


def test_a_full_open_of_the_same_number_has_other_keys():
    pair = PairSession(SECRET, INGRESS.instance, EXIT.instance)
    exit_ = responder()
    exit_.read_open(OPEN)
    reply_with(exit_, ACCEPTED)
    assert not {*exit_._handshake.split()} & {*pair.keys(CONNECTION)}
