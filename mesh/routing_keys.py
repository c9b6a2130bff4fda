"""Routing keys as people write them: one spelling for what looks the same, and nothing that cannot be seen.

Keys are compared byte for byte, so a key that is written in two ways would be two keys that never meet. What
arrives in records is not judged here: it stays what its agent says it is, and is shown escaped.
"""

import re
import unicodedata
from typing import Final

from mesh.escaping import can_be_seen

MAX_KEY_BYTES: Final = 255

RESERVED_PREFIX: Final = "mesh:"
"""Keys that begin so mean what an agent serves by itself: nobody offers them or listens for them."""

_QUOTES: Final = frozenset(
    "\"'`\u00b4\u00ab\u00bb\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u2039\u203a\uff02\uff07"
)
_UNFILLED: Final = re.compile(r"\$(?P<name>[A-Za-z_][A-Za-z0-9_]*)|\$\{|\{\{")


def free_key(text: str) -> str:
    """:func:`normal_key` of a key that a service may have.

    Raises:
        ValueError: as there, or the key is reserved.
    """
    key = normal_key(text)
    if key.startswith(RESERVED_PREFIX):
        raise ValueError(f"a routing key that does not begin with {RESERVED_PREFIX}, which is reserved")
    return key


def normal_key(text: str) -> str:
    """``text`` in the one form in which a key is used: Unicode's NFC (Unicode Standard Annex 15).

    Raises:
        ValueError: it is no key; the message says what was expected, and why.
    """
    key = unicodedata.normalize("NFC", text)
    if not key:
        raise ValueError(f"a routing key of 1 to {MAX_KEY_BYTES} bytes")
    if key != key.strip():
        raise ValueError("a routing key without a space at either end")
    for character in key:
        if character in _QUOTES:
            raise ValueError(
                f"a routing key without quotation marks: {character} (U+{ord(character):04X}) "
                "would be a part of it"
            )
        if character.isspace():
            raise ValueError(
                f"a routing key without spaces, not one with U+{ord(character):04X}; join words by - or ."
            )
        if not can_be_seen(character):
            raise ValueError(
                f"a routing key of characters that can be seen, not one with U+{ord(character):04X}"
            )
    unfilled = _UNFILLED.search(key)
    if unfilled is not None:
        name = unfilled["name"]
        expected = f"${{{name}}} for the environment variable {name}" if name else "a variable's value"
        raise ValueError(f"{expected}; {unfilled[0]} stands for itself")
    byte_count = len(key.encode())
    if byte_count > MAX_KEY_BYTES:
        raise ValueError(f"a routing key of 1 to {MAX_KEY_BYTES} bytes, not of {byte_count}")
    return key
