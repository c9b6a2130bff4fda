"""Whom a listener believes, and who is told because it is new."""

from mesh.connection.offer import Offer
from mesh.connection.offer_watch import OfferWatch
from mesh.connection.party import Party
from mesh.newcomers import MAX_KNOWN, SETTLING_S
from mesh.trust.identity import AgentId, Instance, display_id


def offer(number, name=""):
    party = Party(AgentId(number.to_bytes(16)), Instance(b"i" * 8), bytes(32))
    return Offer(party, is_draining=False, hop_count=1, rtt_step=0, name=name or f"a{number}")


ONE, TWO, THREE = (offer(number) for number in (1, 2, 3))
LATER = SETTLING_S


def watch(*believed):
    return OfferWatch(frozenset(believed), 0.0)


def test_who_comes_beside_others_is_told_once():
    it = watch()
    assert it.judge([ONE], 0.0).newcomers == ()
    assert it.judge([ONE, TWO], LATER) == type(it.judge([ONE], LATER))((ONE, TWO), (TWO,), ())
    assert it.judge([ONE], LATER).newcomers == ()
    assert it.judge([ONE, TWO], LATER).newcomers == ()


def test_who_takes_the_place_of_one_that_left_is_told_too():
    it = watch()
    it.judge([ONE], 0.0)
    it.judge([], LATER)
    assert it.judge([TWO], LATER).newcomers == (TWO,)


def test_the_first_and_those_that_come_while_everything_is_new_are_not_told():
    it = watch()
    assert it.judge([ONE, TWO], LATER).newcomers == ()
    it = watch()
    it.judge([ONE], 0.0)
    assert it.judge([ONE, TWO], SETTLING_S - 0.1).newcomers == ()


def test_only_those_that_are_named_are_believed():
    it = watch("a1", display_id(THREE.party.id))
    judged = it.judge([ONE, TWO, THREE], 0.0)
    assert judged.believed == (ONE, THREE)
    assert judged.disbelieved == (TWO,)
    again = it.judge([ONE, TWO], LATER)
    assert (again.believed, again.newcomers, again.disbelieved) == ((ONE,), (), ())


def test_those_that_are_named_are_meant_to_come():
    it = watch("a1", "a2")
    it.judge([ONE], 0.0)
    assert it.judge([ONE, TWO], LATER).newcomers == ()


def test_what_is_remembered_is_bounded():
    it = watch()
    for number in range(10 * MAX_KNOWN):
        it.judge([ONE, offer(number)], 0.0)
    assert len(it._known) == MAX_KNOWN
    assert ONE.party.id in it._known, "it has been there all the time"


def test_of_many_that_offer_the_key_each_is_told_once():
    it = watch()
    it.judge([ONE], 0.0)
    many = [offer(number) for number in range(10, 10 * MAX_KNOWN)]
    assert it.judge([ONE, *many], LATER).newcomers == tuple(many)
    assert it.judge([ONE, *many], LATER).newcomers == ()
    assert len(it._known) == len(many) + 1
