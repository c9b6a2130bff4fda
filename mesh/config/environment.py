"""``${NAME}`` and ``${NAME:-default}`` in configuration values.

Only values are looked at, after the YAML has been read: what the environment holds stays one piece of text
and can never add keys or lists. ``$${`` stands for a plain ``${``; any other ``$`` stands for itself.
"""

import re
from collections.abc import Mapping
from typing import Final

_REFERENCE: Final = re.compile(
    r"(?P<escape>\$\$\{)|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|(?P<stray>\$\{)"
)


def substitute(text: str, environment: Mapping[str, str]) -> str:
    """``text`` with its references replaced; as in a shell, the default also stands for an empty variable.

    Raises:
        ValueError: a variable without default is not set, or a reference is malformed; the message says
            what was expected.
    """

    def replacement(match: re.Match[str]) -> str:
        if match["escape"]:
            return "${"
        if match["stray"]:
            raise ValueError("${NAME} or ${NAME:-default}, or $${ for a plain ${")
        name, default = match["name"], match["default"]
        value = environment.get(name)
        if default is not None:
            return value or default
        if value is None:
            raise ValueError(f"the environment variable {name} to be set, or a default: ${{{name}:-default}}")
        return value

    return _REFERENCE.sub(replacement, text)
