"""What somebody may have meant who wrote a word that is not known."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Final

_CUTOFF: Final = 0.6
"""difflib's own default: two letters wrong in a word of six still match, other words do not."""


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that ``word`` most resembles, or none that resembles it enough."""
    normal = word.lower().replace("-", "_")
    matches = difflib.get_close_matches(normal, list(known), n=1, cutoff=_CUTOFF)
    return matches[0] if matches else None


def did_you_mean(word: str, known: Iterable[str], elsewhere: Mapping[str, str] | None = None) -> str:
    """A hint for a misspelt or misplaced ``word``, or the empty string.

    Args:
        word: what was found.
        known: what is allowed there.
        elsewhere: words that are known in other places, with the full path of each.
    """
    if elsewhere and word in elsewhere:
        return f"did you mean {elsewhere[word]}?"
    match = closest(word, known)
    if match is not None:
        return f"did you mean {match}?"
    match = closest(word, elsewhere) if elsewhere else None
    return f"did you mean {elsewhere[match]}?" if elsewhere and match is not None else ""
