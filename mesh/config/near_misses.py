"""Values that are nearly right: units as other programs write them, numbers with marks in them."""

import re
from typing import Final

_DURATION_PART: Final = re.compile(r"([0-9]+(?:[.,][0-9]+)?)\s*([a-z]+)\s*")
_TIME_UNITS: Final = {
    **dict.fromkeys(("ms", "msec", "msecs", "millis", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("d", "day", "days"), "d"),
}
_SIZE: Final = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,3}))?\s*([kmgt]?)i?(?:b|bytes?)?", re.IGNORECASE)
_SIZE_UNITS: Final = {"": "", "k": "KiB", "m": "MiB", "g": "GiB", "t": "TiB"}
_SMALLER: Final = {"MiB": "KiB", "GiB": "MiB", "TiB": "GiB"}
_NUMBER: Final = re.compile(r"0*([0-9][0-9_,]{0,14})(?:\.0+)?")
_MULTIPLES: Final = {"k": 1000, "m": 1_000_000}


def duration_meant(text: str) -> str | None:
    """``10 sec`` is 10s; nothing if it is not plain what is meant."""
    normal = text.strip().lower()
    parts = _DURATION_PART.findall(normal)
    if not parts or _DURATION_PART.sub("", normal) or any(unit not in _TIME_UNITS for _, unit in parts):
        return None
    return "".join(f"{number.replace(',', '.')}{_TIME_UNITS[unit]}" for number, unit in parts)


def size_meant(text: str) -> str | None:
    """``64 MB`` is 64MiB; nothing if it is not plain what is meant."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        return None
    whole, fraction, unit = int(match[1]), match[2], _SIZE_UNITS[match[3].lower()]
    if fraction or unit == "TiB":
        smaller = _SMALLER.get(unit)
        if smaller is None:
            return None
        return f"{whole * 1024 + round(float(f'0.{fraction or 0}') * 1024)}{smaller}"
    return f"{whole}{unit}"


def number_meant(text: str) -> str | None:
    """``"5"``, ``1_000``, ``10.0``, ``2k``: the number without what is too much."""
    plain = text.strip()
    multiple = _MULTIPLES.get(plain[-1:].lower())
    if multiple is not None and plain[:-1].isascii() and plain[:-1].isdigit() and len(plain) < 10:
        return str(int(plain[:-1]) * multiple)
    if re.fullmatch(r"0[xX][0-9A-Fa-f]{1,8}", plain):
        return str(int(plain, 16))
    match = _NUMBER.fullmatch(plain) if plain.isascii() else None
    digits = re.sub("[_,]", "", match[1]) if match is not None else ""
    return str(int(digits)) if digits else None
