"""How a log line looks: for people, or one JSON object a line for programs."""

import json
import logging
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from mesh.escaping import escaped

ROOT_NAME: Final = "mesh"
RUNTIME_MODULES: Final = "actors.runtime"
"""The runtime knows nothing of a mesh, so its loggers have the names of its modules."""

SUMMED_UP: Final = "summed_up"
"""Attribute of a record whose text has been made already: the arguments that it was made of."""

_COLOURS: Final = {logging.DEBUG: "\x1b[2m", logging.WARNING: "\x1b[33m", logging.ERROR: "\x1b[31m"}
_COLOUR_END: Final = "\x1b[0m"


class TextFormatter(logging.Formatter):
    """``2026-01-31 12:00:00.123+01:00 warning links: message key=value``, one line but for tracebacks.

    Args:
        colour: whether the output is a terminal that shows colours.
    """

    def __init__(self, colour: bool = False) -> None:
        super().__init__()
        self._colour = colour
        self._moment = -1.0, "", ""
        """The last second: in Unix time, as it is written, and its zone. To find these takes long."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, with a traceback indented below it."""
        stamp = self._stamp(record.created)
        level = f"{level_name(record):<7}"
        if self._colour and record.levelno in _COLOURS:
            level = f"{_COLOURS[record.levelno]}{level}{_COLOUR_END}"
        facts = "".join(f" {key}={escaped(_plain(value))}" for key, value in _beside(record).items())
        line = f"{stamp} {level} {_subsystem(record)}: {message_of(record)}{facts}"
        # The bar keeps text inside an exception from passing for a line of its own.
        return "\n".join([line, *(f"  | {escaped(row)}" for row in _traceback(self, record).splitlines())])

    def _stamp(self, unix_s: float) -> str:
        second, part = divmod(unix_s, 1.0)
        known, before, zone = self._moment  # at once: other threads come here, too
        if known != second:
            moment = datetime.fromtimestamp(second).astimezone()
            before, zone = f"{moment:%Y-%m-%d %H:%M:%S}", moment.isoformat()[len("2026-01-31 12:00:00") :]
            self._moment = second, before, zone
        return f"{before}.{min(round(part * 1e6) // 1000, 999):03d}{zone}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ``time`` (UTC), ``level``, ``subsystem``, ``message``, and the facts."""

    def format(self, record: logging.LogRecord) -> str:
        """The object, in ASCII."""
        moment = datetime.fromtimestamp(record.created, UTC)
        content: dict[str, object] = {key: _jsonable(value) for key, value in facts_of(record).items()}
        content |= {
            "time": f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z",
            "level": level_name(record),
            "subsystem": _subsystem(record),
            "message": message_of(record),
        }
        traceback = _traceback(self, record)
        if traceback:
            content["traceback"] = traceback
        first = ("time", "level", "subsystem", "message")
        return json.dumps({key: content[key] for key in (*first, *(k for k in content if k not in first))})


def level_name(record: logging.LogRecord) -> str:
    """The level as the configuration has it."""
    return record.levelname.lower()


def _subsystem(record: logging.LogRecord) -> str:
    if record.name.startswith(RUNTIME_MODULES):
        return "runtime"
    return record.name.removeprefix(f"{ROOT_NAME}.")


def message_of(record: logging.LogRecord) -> str:
    """The message on one line, and how many like it were left out."""
    left_out = getattr(record, "left_out", 0)
    note = f" ({left_out} more like this were left out)" if left_out else ""
    return f"{escaped(record.getMessage())}{note}"


def _beside(record: logging.LogRecord) -> Mapping[str, object]:
    """Facts that stand beside the message, and not in it."""
    found = getattr(record, "fields", None)
    return found if isinstance(found, dict) else {}


def facts_of(record: logging.LogRecord) -> Mapping[str, object]:
    """All facts of a line by name: those that its message names, and those beside it."""
    named = getattr(record, SUMMED_UP, record.args)
    return {**(named if isinstance(named, Mapping) else {}), **_beside(record)}


def _plain(value: object) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if " " in text or not text else text


def _jsonable(value: object) -> object:
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    return escaped(str(value))


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = []
    if record.exc_info:
        parts.append(formatter.formatException(record.exc_info))
    if record.stack_info:
        parts.append(formatter.formatStack(record.stack_info))
    return "\n".join(parts)
