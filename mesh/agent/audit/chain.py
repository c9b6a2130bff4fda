"""How the lines of an audit log are chained, so that one that is changed or missing shows.

A line is a JSON object that begins with its number and ends with its hash::

    {"number":7,"time":"2026-11-29T10:00:00.000Z","kind":"request",...,"hash":"<64 hexadecimal digits>"}

The hash is SHA-256 of the hash of the line before, as its 64 digits, and of the bytes of this line up to the
comma before ``"hash"``. Before line 1 stand 64 zeros. A file begins with a line of kind ``file``, whose
``after`` is the hash that the file goes on from: so a file can be checked without those before it.

Anyone who may write the files can make a whole new chain. That, and an end that is cut off, show only to
those who have noted a head elsewhere.
"""

import hashlib
import re
from typing import Final

import msgspec

GENESIS: Final = "0" * 64

_NUMBER: Final = re.compile(rb'\{"number":([0-9]{1,15}),')
_SEAL: Final = re.compile(rb',"hash":"([0-9a-f]{64})"\}')
SEAL_BYTES: Final = len(',"hash":""}') + 64


class Head(msgspec.Struct, frozen=True):
    """The newest line of a chain."""

    number: int = 0
    digest: str = GENESIS

    def __str__(self) -> str:
        """As people note it."""
        return f"{self.number}:{self.digest}"


class SealedLine(msgspec.Struct, frozen=True):
    """What a line says of its own place."""

    body: bytes
    """Up to the hash."""
    head: Head


def seal(head: Head, entry: bytes) -> tuple[bytes, Head]:
    """The line that follows on ``head``, with its end; and the head that it is.

    Args:
        head: of the chain so far.
        entry: a JSON object that has at least one field.
    """
    number = head.number + 1
    body = b'{"number":%d,%b' % (number, entry[1:-1])
    digest = _digest(head.digest, body)
    return b'%b,"hash":"%b"}\n' % (body, digest.encode()), Head(number, digest)


def read_sealed(line: bytes) -> SealedLine:
    """Take a line apart, without its end.

    Raises:
        ValueError: it is none; the text says what it is.
    """
    begin, end = _NUMBER.match(line), _SEAL.fullmatch(line, max(0, len(line) - SEAL_BYTES))
    if begin is None or end is None:
        raise ValueError("is no line of an audit log, or not a whole one")
    return SealedLine(line[:-SEAL_BYTES], Head(int(begin[1]), end[1].decode()))


def why_broken(before: Head, line: SealedLine) -> str:
    """What is wrong if ``line`` is to follow on ``before``; empty if it does."""
    number, expected = line.head.number, before.number + 1
    if number > expected:
        gone = f"entry {expected} is" if number == expected + 1 else f"entries {expected} to {number - 1} are"
        return f"{gone} missing before entry {number}"
    if number < expected:
        return f"entry {number} stands where entry {expected} belongs"
    if _digest(before.digest, line.body) != line.head.digest:
        return f"entry {number} is not what was written, or what is before it"
    return ""


def _digest(before: str, body: bytes) -> str:
    return hashlib.sha256(before.encode() + body).hexdigest()
