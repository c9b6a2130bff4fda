"""Whose figures there are, and since when."""

from actors.key_meters import KeyMeters
from actors.peer_meters import PeerMeters
from mesh.trust.identity import AgentId

PEER = AgentId(b"p" * 16)


def test_a_key_is_counted_while_somebody_has_it():
    meters = KeyMeters()
    meters.begin("api")
    first = meters.of("api")
    meters.begin("api")
    assert meters.of("api") is first
    meters.end("api")
    assert meters.by_key() == {"api": first}
    meters.end("api")
    assert meters.by_key() == {}
    meters.begin("api")
    assert meters.of("api") is not first, "a series that comes again begins anew"


def test_keys_that_nobody_has_count_together_and_make_no_series():
    meters = KeyMeters()
    assert len({id(meters.of(f"key {number}")) for number in range(10_000)}) == 1
    assert meters.by_key() == {}


def test_a_link_that_takes_the_place_of_another_goes_on_counting():
    meters = PeerMeters()
    first = meters.linked("old", PEER)
    assert meters.linked("new", PEER) is first
    meters.ended("old")
    assert meters.by_peer() == {PEER: first}
    meters.ended("new")
    meters.ended("never admitted")
    assert meters.by_peer() == {}


def test_what_was_read_stays_as_it_was():
    meters = PeerMeters()
    meters.linked("a link", PEER)
    read = meters.by_peer()
    meters.ended("a link")
    assert read.keys() == {PEER}
