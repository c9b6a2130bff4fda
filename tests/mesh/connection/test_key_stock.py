"""A key pair in stock is given once, and not when it has waited for long."""

import itertools

from mesh.connection.key_stock import EPHEMERAL_AGE_S, KeyStock
from mesh.trust.noise.primitives import key_pair


class Clock:
    now_s = 0.0

    def now(self):
        return self.now_s


def stock_of(clock):
    """Its pairs are made of the bytes 1, 2, 3 and so on."""
    numbers = itertools.count(1)
    return KeyStock(lambda count: bytes((next(numbers),)) * count, clock.now)


def private(number):
    return key_pair(bytes((number,)) * 32).private


def test_each_pair_is_given_once():
    stock = stock_of(Clock())
    assert stock.take().private == private(1)
    stock.refill()
    stock.refill()
    assert [stock.take().private for _ in range(2)] == [private(2), private(3)]


def test_a_pair_that_is_too_old_is_not_given():
    clock = Clock()
    stock = stock_of(clock)
    stock.refill()
    clock.now_s = EPHEMERAL_AGE_S
    assert stock.take().private == private(1)
    stock.refill()
    clock.now_s = 2 * EPHEMERAL_AGE_S + 0.1
    assert stock.take().private == private(3)
    stock.refill()
    assert stock.take().private == private(4)


def test_one_that_is_made_for_later_leaves_the_stock_as_it_is():
    stock = stock_of(Clock())
    stock.refill()
    assert stock.make().private == private(2)
    assert stock.take().private == private(1)
