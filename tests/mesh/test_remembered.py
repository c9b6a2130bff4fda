"""Budgets that outlive what they are for, for a while, in bounded memory."""

from mesh.remembered import KEEP_S, MAX_KEPT, Remembered
from mesh.token_bucket import TokenBucket


def budgets() -> Remembered[str, TokenBucket]:
    return Remembered(lambda: TokenBucket(1.0, 2.0))


def test_what_was_used_up_stays_used_up():
    kept = budgets()
    assert [kept.of("a", 0.0).take(0.0) for _ in range(4)] == [True, True, False, False]
    assert kept.of("b", 0.0).take(0.0)
    assert kept.of("a", 1.0) is kept.of("a", 2.0)


def test_what_nobody_asks_for_is_forgotten():
    kept = budgets()
    first = kept.of("a", 0.0)
    kept.of("b", 1.0)
    assert kept.of("a", KEEP_S) is first
    kept.of("c", KEEP_S + 1.0)
    assert len(kept) == 2


def test_memory_is_bounded_and_keeps_those_that_were_asked_for_last():
    kept = budgets()
    often = kept.of("often", 0.0)
    for number in range(3 * MAX_KEPT):
        kept.of(str(number), 0.0)
        assert kept.of("often", 0.0) is often
    assert len(kept) == MAX_KEPT
