"""What to say of arguments that are no text."""

import os
from collections.abc import Iterable


def not_text(arguments: Iterable[str]) -> str:
    """Name those that are not UTF-8; empty if all are.

    Args:
        arguments: as Python has them: bytes that are no text stand in them as surrogates (PEP 383).
    """
    found = [repr(os.fsencode(each))[1:] for each in arguments if not _is_text(each)]
    return f"expected UTF-8, found {' and '.join(found)}" if found else ""


def _is_text(argument: str) -> bool:
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True
