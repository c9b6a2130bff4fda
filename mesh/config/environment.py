"""``${NAME}`` and ``${NAME:-default}`` in configuration values; a default may hold references of its own.

Only values are looked at, after the YAML has been read: what the environment holds stays one piece of text
and can never add keys or lists. ``$${`` stands for a plain ``${``; any other ``$`` stands for itself.
"""

import re
from collections.abc import Mapping
from typing import Final

MAX_NESTING: Final = 8
"""Defaults inside defaults; a bound so that no file can exhaust Python's stack."""

_OUTSIDE: Final = re.compile(r"\$\$\{|\$\{")
_IN_DEFAULT: Final = re.compile(r"\$\$\{|\$\{|\}")
_NAME: Final = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<end>\}|:-)")


def substitute(text: str, environment: Mapping[str, str]) -> str:
    """``text`` with its references replaced; as in a shell, the default also stands for an empty variable.

    Raises:
        ValueError: a variable without default is not set, or a reference is malformed; the message says
            what was expected.
    """
    return _replaced(text, 0, environment, depth=0)[0]


def _replaced(
    text: str, position: int, environment: Mapping[str, str] | None, *, depth: int
) -> tuple[str, int]:
    """The text from ``position`` on, to its end or (inside a default) its closing brace; and what is next.

    Without an environment the text is only read past: a default that is not needed may name what is not set.
    """
    if depth > MAX_NESTING:
        raise ValueError(f"at most {MAX_NESTING} defaults inside each other")
    parts = []
    while (mark := (_IN_DEFAULT if depth else _OUTSIDE).search(text, position)) is not None:
        parts.append(text[position : mark.start()])
        position = mark.end()
        if mark[0] == "}":
            return "".join(parts), position
        if mark[0] == "$${":
            parts.append("${")
            continue
        value, position = _value(text, position, environment, depth=depth)
        parts.append(value)
    if depth:
        raise _malformed()
    return "".join((*parts, text[position:])), len(text)


def _value(text: str, position: int, environment: Mapping[str, str] | None, *, depth: int) -> tuple[str, int]:
    """What the reference stands for whose name begins at ``position``; and what is next."""
    reference = _NAME.match(text, position)
    if reference is None:
        raise _malformed()
    name = reference["name"]
    value = environment.get(name) if environment is not None else ""
    if reference["end"] == ":-":
        needed = None if value else environment
        default, position = _replaced(text, reference.end(), needed, depth=depth + 1)
        return value or default, position
    if value is None:
        raise ValueError(f"the environment variable {name} to be set, or a default: ${{{name}:-default}}")
    return value, reference.end()


def _malformed() -> ValueError:
    return ValueError("${NAME} or ${NAME:-default}, or $${ for a plain ${")
