"""Which form an OPEN takes, and what comes of it if the exit does not know the pair session."""

import pytest

from mesh.connection.initiating import Initiator
from mesh.connection.pair_session import PairSession
from mesh.connection.session_handshake import FULL_OPEN
from mesh.connection.short_open import SHORT_OPEN, ShortInitiator, ShortResponder
from mesh.errors import AuthenticationError
from mesh.trust.noise.primitives import key_pair
from tests.mesh.connection.handshake_parties import (
    ACCEPTED,
    CONNECTION,
    EXIT,
    INGRESS,
    REJECTED,
    REQUEST,
    altered,
    initiator,
    responder,
)
from tests.mesh.connection.replies import reply_with

PAIR = PairSession(bytes(range(32)), INGRESS.instance, EXIT.instance)


class Openers:
    """With a pair session, or without; it notes what is made."""

    def __init__(self, *, paired):
        self.paired = paired
        self.made = []

    def prepare_short(self):
        return self.paired

    def short(self):
        if not self.paired:
            return None
        self.made.append("short")
        return ShortInitiator(local=INGRESS, remote=EXIT, connection=CONNECTION, pair=PAIR)

    def doubt_pair(self):
        self.made.append("doubt")

    def full(self, *, is_ahead):
        self.made.append("ahead" if is_ahead else "full")
        return initiator(ephemeral=key_pair(bytes((len(self.made),)) * 32))


def short_answer(frame, reply=ACCEPTED):
    exit_ = ShortResponder(local=EXIT, remote=INGRESS, connection=CONNECTION, keys=PAIR.keys(CONNECTION))
    exit_.read_open(frame)
    return reply_with(exit_, reply)[0]


def full_answer(frame, reply=ACCEPTED):
    exit_ = responder()
    exit_.read_open(frame)
    return reply_with(exit_, reply)[0]


@pytest.mark.parametrize(("paired", "form"), [(True, SHORT_OPEN), (False, FULL_OPEN)])
def test_it_is_short_where_there_is_a_pair_session_and_stays_what_it_is(paired, form):
    openers = Openers(paired=paired)
    asking = Initiator(openers)
    opening = asking.open_frame(REQUEST)
    assert opening.number == form
    openers.paired = not paired
    assert asking.open_frame(REQUEST) is opening
    answer = (short_answer if paired else full_answer)(opening)
    reply, session = asking.read_reply(answer)
    assert reply.accepted
    assert asking.id == session.id


def test_nothing_is_made_ahead_where_there_is_a_pair_session():
    openers = Openers(paired=True)
    asking = Initiator(openers)
    asking.prepare(lambda: REQUEST)
    assert openers.made == []
    assert not asking.is_prepared
    assert asking.open_frame(REQUEST).number == SHORT_OPEN


def test_what_was_made_ahead_is_used_unless_there_is_a_pair_session_by_then():
    openers = Openers(paired=False)
    asking, other = Initiator(openers), Initiator(openers)
    for each in (asking, other):
        each.prepare(lambda: REQUEST)
        assert each.is_prepared
    assert asking.open_frame(REQUEST).number == FULL_OPEN
    openers.paired = True
    assert other.open_frame(REQUEST).number == SHORT_OPEN
    assert openers.made == ["ahead", "ahead", "short"]
    assert not asking.is_prepared


def test_a_pair_session_that_is_gone_by_then_takes_a_handshake_at_once():
    openers = Openers(paired=True)
    asking = Initiator(openers)
    asking.prepare(lambda: REQUEST)
    openers.paired = False
    assert asking.open_frame(REQUEST).number == FULL_OPEN
    assert openers.made == ["full"]


@pytest.mark.parametrize("reply", [ACCEPTED, REJECTED])
@pytest.mark.parametrize("answers", [short_answer, full_answer])
def test_an_exit_that_does_not_know_it_is_sent_a_full_one_and_the_answer_to_either_counts(answers, reply):
    openers = Openers(paired=True)
    asking = Initiator(openers)
    short = asking.open_frame(REQUEST)
    assert asking.pair_unknown()
    assert not asking.pair_unknown()
    full = asking.open_frame(REQUEST)
    assert (full.number, full.connection) == (FULL_OPEN, short.connection)
    assert asking.open_frame(REQUEST) is full
    assert asking.repetitions(REQUEST) == (full, short)
    assert openers.made == ["short", "doubt", "full"]
    answer = answers(short if answers is short_answer else full, reply)
    said, session = asking.read_reply(answer)
    assert said == reply
    assert (session is not None) == reply.accepted
    assert asking.id


@pytest.mark.parametrize(("answers", "doubted"), [(short_answer, []), (full_answer, ["doubt"])])
def test_one_that_is_silent_is_sent_both_and_what_it_answers_tells_whether_it_knows_the_pair(
    answers, doubted
):
    openers = Openers(paired=True)
    asking = Initiator(openers)
    short = asking.open_frame(REQUEST)
    assert asking.repetitions(REQUEST) == (short,)
    asking.insist()
    full, second = asking.repetitions(REQUEST)
    assert (full.number, second) == (FULL_OPEN, short)
    asking.insist()
    assert not asking.pair_unknown()
    assert asking.repetitions(REQUEST) == (full, short)
    assert openers.made == ["short", "full"]
    asking.read_reply(answers(short if answers is short_answer else full))
    assert openers.made == ["short", "full", *doubted]


def test_a_full_one_that_is_silent_is_repeated_as_it_is():
    asking = Initiator(Openers(paired=False))
    full = asking.open_frame(REQUEST)
    asking.insist()
    assert asking.repetitions(REQUEST) == (full,)


def test_a_full_one_is_not_doubted():
    asking = Initiator(Openers(paired=False))
    assert not asking.pair_unknown()
    asking.open_frame(REQUEST)
    assert not asking.pair_unknown()


def test_an_answer_to_the_form_that_was_not_sent_is_refused():
    asking = Initiator(Openers(paired=True))
    accept = short_answer(asking.open_frame(REQUEST))
    for number in (FULL_OPEN, 2):
        with pytest.raises(AuthenticationError):
            asking.read_reply(altered(accept, number=number))
    assert asking.read_reply(accept)[0] == ACCEPTED
