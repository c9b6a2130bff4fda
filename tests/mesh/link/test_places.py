"""Who goes when strangers are more than there are places."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.link.places import Places, bucket_of


@pytest.mark.parametrize(
    ("host", "bucket"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("[2001:db8:1:2:3:4:5:6]", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("[fe80::1%eth0]", "fe80::/64"),
        ("[::ffff:192.0.2.7]", "192.0.2.7"),
        ("relay", "relay"),
        ("", ""),
        ("a:b", "a:b"),
    ],
)
def test_what_an_address_is_counted_as(host: str, bucket: str):
    assert bucket_of(host) == bucket


def test_while_there_is_room_one_bucket_may_hold_all_places():
    places: Places[int] = Places(100)
    assert [places.take(number, "nat", 0.5) for number in range(100)] == [None] * 100
    assert len(places) == 100


def test_the_fullest_bucket_loses_a_place():
    places: Places[str] = Places(4)
    for key in ("a1", "a2", "a3", "b1"):
        places.take(key, key[0], 0.0)
    assert places.take("c1", "c", 0.99) == "a3"
    assert places.take("c2", "c", 0.0) == "a1"
    assert places.leave("b1")
    assert not places.leave("b1")
    assert places.take("d1", "d", 0.0) is None
    assert places.take("e1", "e", 0.0) in ("c1", "c2")


def test_a_bucket_that_holds_less_than_others_is_never_the_one():
    draw = random.Random(1)
    places: Places[object] = Places(1000)
    for number in range(10_000):
        places.take(number, str(number % 250), draw.random())
    places.take("honest", "honest", draw.random())
    gone = {places.take(number, str(number % 250), draw.random()) for number in range(10_000, 60_000)}
    assert "honest" not in gone


def test_among_equals_everyone_goes_as_often():
    draw = random.Random(1)
    ages: Counter[int] = Counter()
    places: Places[int] = Places(50)
    for number in range(50_000):
        gone = places.take(number, str(number), draw.random())
        if gone is not None:
            ages[(number - gone) // 50] += 1
    assert ages[0] / ages.total() == pytest.approx(0.63, abs=0.02), "a life of 50 arrivals, as by chance"


@given(
    most=st.integers(1, 5),
    steps=st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1, exclude_max=True), st.booleans())),
)
def test_it_does_what_a_plain_count_does(most: int, steps: list[tuple[int, float, bool]]):
    places: Places[int] = Places(most)
    held: dict[int, str] = {}
    for key, (bucket, draw, leaves) in enumerate(steps):
        if leaves and held:
            gone = sorted(held)[int(draw * len(held))]
            assert places.leave(gone)
            del held[gone]
            continue
        counts = Counter(held.values())
        evicted = places.take(key, str(bucket), draw)
        assert (evicted is None) == (len(held) < most)
        if evicted is not None:
            assert counts[held.pop(evicted)] == max(counts.values())
        held[key] = str(bucket)
        assert len(places) == len(held)
