"""Nobody holds all places, and one alone nearly all."""

import pytest

from mesh.connection.shares import Shares


def fill(shares, holder):
    count = 0
    while shares.may_take(holder):
        shares.take(holder)
        count += 1
    return count


@pytest.mark.parametrize(("limit", "alone"), [(8, 7), (20, 17), (100, 88), (4096, 3640)])
def test_one_alone_has_nearly_all(limit, alone):
    assert fill(Shares(limit), "a") == alone


@pytest.mark.parametrize("limit", range(1, 8))
def test_a_few_are_not_divided(limit):
    shares = Shares(limit)
    assert fill(shares, "a") == limit
    assert shares.is_full
    assert not shares.may_take("b")


@pytest.mark.parametrize("limit", [8, 20, 100])
def test_whoever_comes_next_finds_a_place(limit):
    shares = Shares(limit)
    fill(shares, "a")
    free = limit - shares.taken
    newcomers = [holder for holder in range(limit) if fill(shares, holder)]
    assert free > 0
    assert newcomers
    assert shares.taken <= limit
    assert Shares(1).may_take("b")


def test_two_that_take_what_they_can_have_about_the_same_when_places_come_free():
    shares = Shares(100)
    held = {"a": fill(shares, "a"), "b": fill(shares, "b")}
    for _ in range(1000):
        shares.leave("a")  # a connection of hers ends
        held["a"] -= 1
        held["b"] += fill(shares, "b")
        held["a"] += fill(shares, "a")
    assert 40 < held["a"] < 50
    assert 40 < held["b"] < 56


def test_one_that_wants_all_leaves_the_others_a_quarter():
    shares = Shares(49)  # as in seed 47514 of the hostile member, where two others typed
    shares.take("b")
    shares.take("b")
    assert fill(shares, "a") == 35
    assert fill(shares, "c") + fill(shares, "b") + 2 >= 12


def test_what_is_given_back_can_be_taken_and_leaves_nothing_behind():
    shares = Shares(20)
    for _ in range(fill(shares, "a")):
        shares.leave("a")
    assert (shares.taken, shares._held) == (0, {})
    assert fill(shares, "b") == 17


@pytest.mark.parametrize("limit", [*range(1, 10), 20, 100])
def test_what_is_tried_is_taken_exactly_if_it_may_be(limit):
    shares, held = Shares(limit), dict.fromkeys(range(4), 0)
    for turn in range(4 * limit):
        holder = turn * turn % 4 if turn % 3 else 0
        may, before = shares.may_take(holder), shares.taken
        assert shares.try_take(holder) is may
        assert shares.taken == before + may
        held[holder] += may
    assert shares._held == {holder: count for holder, count in held.items() if count}


def test_what_was_given_stays_counted_even_beyond_the_limit():
    shares = Shares(2)
    for _ in range(3):
        shares.take("a")
    assert shares.is_full
    shares.leave("a")
    assert shares.is_full
    shares.leave("a")
    assert shares.may_take("b")
