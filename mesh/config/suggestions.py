"""What somebody may have meant who wrote a word that is not known."""

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Final

from mesh.config.habits import habit

_CUTOFF: Final = 0.6
"""difflib's own default: two letters wrong in a word of six still match, other words do not."""
_CUTOFF_NEARBY: Final = 0.8
"""A word in another section must be nearly the same."""


def closest(word: str, known: Iterable[str], cutoff: float = _CUTOFF) -> str | None:
    """The known word that ``word`` most resembles, or none that resembles it enough."""
    matches = difflib.get_close_matches(_normal(word), list(known), n=1, cutoff=cutoff)
    return matches[0] if matches else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint for a misspelt ``word``, or the empty string."""
    match = closest(word, known)
    return f"did you mean {match}?" if match is not None else ""


def hint_for_key(word: str, known: Sequence[str], place: str, schema: Sequence[str]) -> str:
    """A hint for a key that its section does not have, or the empty string.

    What is suggested is near in place as well as in letters: a key of the same section, of the one above or
    of those directly below. A key that is written right may be further away, if there is one such place only.

    Args:
        word: what was found.
        known: the keys of the section.
        place: the section's path in the file, as in ``forward.endpoints[0]``; empty for the whole file.
        schema: every key by its path, lists marked by ``[]``.
    """
    odd = next((char for char in word if not char.isprintable() or (char.isspace() and char != " ")), None)
    if odd is not None:
        return f"it has the character U+{ord(odd):04X}, which looks like a space or like nothing"
    if "$" in word:
        return "variables are filled into values, not into keys"
    normal = _normal(word)
    if normal in known:
        return f"did you mean {normal}?"
    if word in schema and "." in word:
        section, _, key = word.rpartition(".")
        return f"write {key}: below {section}:, indented"
    usual = habit(place, normal)
    if usual:
        return usual
    same_section = closest(word, known)
    if same_section is not None:
        return f"did you mean {same_section}?"
    found = _elsewhere(normal, re.sub(r"\[[0-9]+\]", "[]", place), schema)
    return f"did you mean {found}?" if found else ""


def _elsewhere(word: str, place: str, schema: Sequence[str]) -> str | None:
    exact = [path for path in schema if _last(path) == word]
    if exact:
        depth = min(path.count(".") for path in exact)
        nearest = [path for path in exact if path.count(".") == depth]
        return nearest[0].removesuffix("[]") if len(nearest) == 1 else None
    parent = place.rpartition(".")[0]
    near = {
        _last(path): path.removesuffix("[]")
        for path in schema
        if _section(path) in {parent, place} or _section(_section(path)) == place
    }
    match = closest(word, near, _CUTOFF_NEARBY)
    return near[match] if match is not None else None


def _section(path: str) -> str:
    return path.rpartition(".")[0]


def _last(path: str) -> str:
    return path.rpartition(".")[2].removesuffix("[]")


def _normal(word: str) -> str:
    """As keys are written here: ``maxConnections`` and ``max-connections`` are ``max_connections``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", word).lower().replace("-", "_")
