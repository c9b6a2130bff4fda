"""A conversation between a client and a service: what it is to be, and what came of it.

It starts with a header from the client, then each side sends as many bytes as agreed. What they are follows
from the conversation's number, so either side knows what it must hear, and that nothing less than all of it
may come before an end of stream.
"""

import enum
import functools
import random
import struct
from dataclasses import dataclass, field
from typing import Final

import msgspec

from actors.runtime.seam import SocketOptions

HEADER: Final = struct.Struct(">QIIBI")
"""Of a conversation's bytes: its :class:`Terms`, field by field."""

NUMBER: Final = struct.Struct(">Q")
"""What the header begins with: it tells whose bytes they are."""


class Manner(enum.IntEnum):
    """How the service behaves."""

    AT_ONCE = 0
    """It answers while it listens."""
    AFTER_END = 1
    """It answers once the client has finished."""
    RESET = 2
    """It resets once it has heard ``turning`` bytes."""
    FINISH_FIRST = 3
    """It answers and finishes, and listens on."""
    SILENT = 4
    """It listens until the client has finished and says nothing before."""
    LAST_WORDS = 5
    """It answers and resets at once."""
    IN_STEP = 6
    """It answers as many bytes as it has heard, until the client has finished."""


class Terms(msgspec.Struct, frozen=True):
    """What a conversation is to be."""

    number: int
    up: int = 0
    """Bytes from the client, after the header."""
    down: int = 0
    """Bytes from the service."""
    manner: Manner = Manner.AT_ONCE
    turning: int = 0

    @property
    def request(self) -> bytes:
        """All that the client sends."""
        header = HEADER.pack(self.number, self.up, self.down, self.manner, self.turning)
        return header + pattern(self.number, "up", self.up)

    @property
    def answer(self) -> bytes:
        """All that the service sends."""
        return pattern(self.number, "down", self.down)


@functools.lru_cache(maxsize=64)
def pattern(number: int, direction: str, size: int) -> bytes:
    """Bytes that no other conversation has."""
    return random.Random(f"{number} {direction}").randbytes(size)  # noqa: S311 -- to be repeated, not secret


@dataclass(slots=True, eq=False)
class Heard:
    """What one side of a conversation has met; ``wrong`` and ``cut_short`` must never be."""

    byte_count: int = 0
    wrong: bool = False
    """A byte that the other side did not send, or not there."""
    ended: bool = False
    """The end of the stream."""
    cut_short: bool = False
    """The end of the stream, before all that was to come."""
    error: int = 0
    """``errno`` of a broken stream."""
    refused: int = 0
    """``errno`` of a connect that failed."""
    sent: int = 0
    """Bytes that the socket took."""
    finished_at: float = -1.0
    """When both directions had ended, or the stream was found broken."""
    left: bool = False
    """This side gave the conversation up itself."""
    heard_at: float = -1.0
    """When the last byte came."""
    host: str = ""
    """Where the service is, of its side."""

    @property
    def is_over(self) -> bool:
        """Nothing more will happen here."""
        return self.finished_at >= 0.0

    @property
    def is_complete(self) -> bool:
        """Both directions ended in order."""
        return self.is_over and self.ended and not (self.error or self.refused or self.left)


class Pace(msgspec.Struct, frozen=True):
    """How a client goes about its conversation."""

    byte_count: int = 0
    """Send so many at a time; 0 sends all at once."""
    pause_s: float = 0.0
    """Wait so long between two."""
    reads_at: float = 0.0
    """Seconds after connecting at which it begins to read."""
    leaves_at: float = -1.0
    """Seconds after the start at which it resets; negative: never."""
    resets_after: int = -1
    """Bytes heard after which it resets; negative: never."""
    last_words: bool = False
    """Send nothing but the header until the service has answered; then all the rest, and reset at once."""
    finishes: bool = True
    """Half-close behind the last byte; else once the service has finished."""
    options: SocketOptions = SocketOptions()


@dataclass(slots=True, eq=False)
class Conversation:
    """A client and what came of it; the service's side stands under the terms' number."""

    terms: Terms
    pace: Pace
    heard: Heard = field(default_factory=Heard)
