"""How long to wait before trying again."""


def retry_delay_s(attempt: int, draw: float, *, first_s: float, cap_s: float) -> float:
    """Seconds to wait before try ``attempt`` (0-based): exponential, capped, with full jitter.

    Never below a tenth of the exponential value, so that an unlucky draw is no busy loop.

    Args:
        attempt: how many tries have failed before this one.
        draw: uniform in [0, 1), passed in so that a test is exact.
        first_s: the span of the first delay.
        cap_s: the longest span.

    Raises:
        ValueError: ``attempt`` is negative.

    Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    if attempt < 0:
        raise ValueError(f"attempt must not be negative, found {attempt}")
    span_s = min(cap_s, first_s * 2.0 ** min(attempt, 32))
    return span_s * (0.1 + 0.9 * draw)
