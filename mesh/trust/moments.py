"""Times as errors and logs tell them."""

from datetime import UTC, datetime


def in_words(unix_s: int) -> str:
    """Unix seconds, for people."""
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
