"""What an agent may make every other agent carry: bytes of its records and pages, however it cuts them."""

from typing import Final

from mesh.token_bucket import TokenBucket

ORIGIN_BYTE_RATE: Final = 32_768.0
ORIGIN_BYTE_BURST: Final = 2 * 1024 * 1024.0
"""Bytes of one agent's records and pages a second, and at once, that are taken and passed on.

What is beyond waits, and only the newest of it is heard. An agent with 10,000 endpoints has half a megabyte
of pages, and a change costs it a few KiB; one that changes all it has without end gets 3 % of a link of 10
Mbit/s.
"""


def new_allowance() -> TokenBucket:
    """Of an agent that is heard of for the first time; one token is a byte."""
    return TokenBucket(ORIGIN_BYTE_RATE, ORIGIN_BYTE_BURST)
