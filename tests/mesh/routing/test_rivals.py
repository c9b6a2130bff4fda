"""Who begins to offer a key that this agent offers is told of once, and nobody who was there before."""

import msgspec

from mesh.newcomers import MAX_KNOWN, SETTLING_S
from mesh.routing.rivals import Rival, RivalWatch
from mesh.trust.identity import Identity
from tests.actors.company import IDENTITIES, record_of

OWN, ONE, TWO = IDENTITIES[:3]
LATER = SETTLING_S


def records(*found):
    return {record.agent_id: record for record in found}


def test_those_that_come_later_are_told_of_once():
    watch, own, one = RivalWatch(), record_of(OWN, "a", "b"), record_of(ONE, "a")
    assert watch.look(OWN.id, records(own, one), 0.0) == []
    two = record_of(TWO, "a", "b", "c")
    found = watch.look(OWN.id, records(own, one, two), LATER)
    assert sorted(found) == [Rival("a", two), Rival("b", two)]
    again = record_of(TWO, "a", "b", instance=b"j")
    assert watch.look(OWN.id, records(own, one, again), LATER + 1) == []
    assert watch.look(OWN.id, records(own, one), LATER + 2) == []
    assert watch.look(OWN.id, records(own, one, two), LATER + 3) == []  # it was there before


def test_in_the_beginning_all_are_learned():
    watch, own = RivalWatch(), record_of(OWN, "a")
    assert watch.look(OWN.id, records(own), 0.0) == []
    assert watch.look(OWN.id, records(own, record_of(ONE, "a")), LATER - 0.1) == []
    assert len(watch.look(OWN.id, records(own, record_of(TWO, "a")), LATER)) == 1


def test_a_key_that_this_agent_comes_to_offer_has_its_own_beginning():
    watch, own, one = RivalWatch(), record_of(OWN, "a"), record_of(ONE, "a", "b")
    watch.look(OWN.id, records(own, one), 0.0)
    own = record_of(OWN, "a", "b")
    assert watch.look(OWN.id, records(own, one), LATER) == []
    two = record_of(TWO, "a", "b")
    assert watch.look(OWN.id, records(own, one, two), LATER + 1) == [Rival("a", two)]
    own = record_of(OWN, "b")
    assert watch.look(OWN.id, records(own, one, two), 3 * LATER) == []
    assert set(watch._known) == {"b"}


def test_an_agent_without_endpoints_keeps_nothing():
    watch, own = RivalWatch(), record_of(OWN)
    assert watch.look(OWN.id, records(own, record_of(ONE, "a")), LATER) == []
    assert not watch._known
    assert not watch._seen


def test_a_crowd_takes_no_memory():
    watch, own = RivalWatch(), record_of(OWN, "a")
    one = record_of(ONE, "a")
    crowd = [
        msgspec.structs.replace(one, agent_id=Identity(number.to_bytes(32, "big")).id)
        for number in range(1, MAX_KNOWN + 20)
    ]
    watch.look(OWN.id, records(own, *crowd), 0.0)
    assert len(watch._known["a"].agents) == MAX_KNOWN
