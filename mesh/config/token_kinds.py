"""The kinds of value that tokens have: hashes, what they are for, and when they end."""

import re
from datetime import UTC, datetime
from typing import Final

import msgspec

from mesh.config.kinds import Context, Scalar

READ: Final = "read"
CHANGE: Final = "change"
SCOPES: Final = (READ, CHANGE)

_DAY_CHARACTERS: Final = len("2027-03-01")

_HASH: Final = re.compile(r"[0-9a-f]{64}")


class TokenHash(msgspec.Struct, frozen=True):
    """The hash of a token."""

    expected: str = "a hash of 64 digits 0 to 9 and a to f, as mesh token new prints it"

    def parse(self, scalar: Scalar, context: Context) -> bytes:
        """The 32 bytes."""
        del context
        text = scalar.text.lower()
        if not _HASH.fullmatch(text):
            raise ValueError(self.expected)
        return bytes.fromhex(text)


class Moment(msgspec.Struct, frozen=True):
    """A second in time, as RFC 3339 writes it, or a day, which means its beginning in UTC."""

    expected: str = 'a moment such as "2027-03-01T12:00:00Z", or a day such as "2027-03-01"'

    def parse(self, scalar: Scalar, context: Context) -> float:
        """Seconds since 1970, in UTC."""
        del context
        text = scalar.text
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            raise ValueError(self.expected) from None
        if found.tzinfo is None:
            if len(text) > _DAY_CHARACTERS:
                raise ValueError(f"{self.expected}: its time zone is missing, such as Z for UTC")
            found = found.replace(tzinfo=UTC)
        unix_s = found.timestamp()
        try:
            moment_text(unix_s)
        except (ValueError, OverflowError):  # its time zone has it before or after all years
            raise ValueError(self.expected) from None
        return unix_s


def moment_text(unix_s: float) -> str:
    """A moment as it is written."""
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
