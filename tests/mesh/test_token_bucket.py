"""The token bucket: a burst, then the rate."""

from mesh.token_bucket import TokenBucket


def test_burst_then_rate():
    bucket = TokenBucket(rate=10.0, burst=3.0)
    assert [bucket.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert not bucket.take(0.05)
    assert bucket.take(0.11)
    assert not bucket.take(0.12)


def test_a_long_rest_gives_no_more_than_the_burst():
    bucket = TokenBucket(rate=10.0, burst=2.0)
    bucket.take(0.0)
    assert [bucket.take(1_000.0) for _ in range(3)] == [True, True, False]


def test_a_clock_that_steps_back_gives_nothing():
    bucket = TokenBucket(rate=10.0, burst=1.0)
    assert bucket.take(100.0)
    assert not bucket.take(0.0)
    assert not bucket.take(100.0)
    assert bucket.take(100.2)


def test_what_is_spent_beyond_is_owed():
    bucket = TokenBucket(rate=10.0, burst=5.0)
    bucket.spend(0.0, 25.0)
    assert not bucket.has(0.0)
    assert bucket.wait_s(0.0) == 2.1
    assert not bucket.take(2.0)
    assert bucket.wait_s(2.1) == 0.0
    assert bucket.take(2.1)


def test_what_is_to_be_kept_is_not_taken():
    bucket = TokenBucket(rate=1.0, burst=5.0)
    assert [bucket.take(0.0, keep=3.0) for _ in range(3)] == [True, True, False]
    assert [bucket.take(0.0) for _ in range(4)] == [True, True, True, False]
