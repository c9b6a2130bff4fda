"""The kinds of value a configuration has: how each is written, and what it becomes.

A kind annotates a field of the schema. Its ``expected`` completes the sentence "found ...; expected ..."; its
``parse`` raises ``ValueError`` where the text is something else, with a better completion where it knows one.
"""

import math
import re
from pathlib import Path
from typing import Final, Protocol

import msgspec

from mesh.config.near_misses import duration_meant, number_meant, size_meant
from mesh.config.problems import quoted
from mesh.config.secret import Secret
from mesh.config.suggestions import did_you_mean
from mesh.routing_keys import MAX_KEY_BYTES, free_key
from mesh.trust.identity import AgentId, decode_public_key
from mesh.trust.issuing import MAX_GROUP_CHARACTERS, Group
from mesh.trust.naming import GROUP_PREFIX, is_id

MAX_TEXT_CHARACTERS: Final = 4096
"""The longest path Linux takes (PATH_MAX); no other value is as long."""
MAX_NAME_CHARACTERS: Final = 64
"""As in a certificate."""

MAX_SOCKS_BYTES: Final = 255
"""Of a user and of a password: RFC 1929."""

_DURATION_UNITS_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION: Final = re.compile(r"(?:[0-9]{1,9}(?:\.[0-9]{1,9})?(?:ms|s|m|h|d))+")
_DURATION_PART: Final = re.compile(r"([0-9.]+)(ms|s|m|h|d)")
_SECONDS: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
_SIZE_UNITS: Final = {"": 1, "B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_SIZE: Final = re.compile(r"([0-9]{1,15}) ?(|B|KiB|MiB|GiB)")
_BARE_VARIABLE: Final = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)(?=/|$)")
_INTEGER: Final = re.compile(r"[+-]?(?:0|[1-9][0-9]{0,17})")
_SYNONYMS: Final = {
    "trace": "debug",
    "verbose": "debug",
    "notice": "info",
    "warn": "warning",
    "critical": "error",
    "fatal": "error",
    "off": "error",
    "no": "error",
    "none": "error",
    "quiet": "error",
    "silent": "error",
    "plain": "text",
    "console": "text",
    "human": "text",
}
_SHORT_ID: Final = re.compile(r"[0-9a-f]{8}")
_BOOLEANS: Final = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


class Scalar(msgspec.Struct, frozen=True):
    """One value as it stands in the file, after the environment has been filled in."""

    text: str
    tag: str
    """What YAML takes it for: ``str``, ``int``, ``float``, ``bool``, ``null`` and so on."""
    written: str = ""
    """What stands in the file, if the environment has filled something in."""

    def __str__(self) -> str:
        if self.tag == "null":
            return "nothing"
        return quoted(self.text) if self.tag == "str" else f"{quoted(self.text)[1:-1]} ({self.tag})"


class Context(msgspec.Struct, frozen=True):
    """What relative values are relative to."""

    directory: Path
    """Of the configuration file, absolute."""
    home: str | None = None
    """What ``~/`` stands for."""


class Kind(Protocol):
    """How one value is written and what it becomes."""

    @property
    def expected(self) -> str:
        """What belongs here, for people."""
        ...

    def parse(self, scalar: Scalar, context: Context) -> object:
        """The value.

        Raises:
            ValueError: the scalar is not of this kind; the message says what is expected.
        """
        ...


class Duration(msgspec.Struct, frozen=True):
    """Seconds, from ``10s``, ``250ms``, ``2m``, ``1m30s`` or a plain number of seconds."""

    minimum_s: float
    maximum_s: float = 30 * 86400.0

    @property
    def expected(self) -> str:
        """What belongs here, for people."""
        limits = f"{duration_text(self.minimum_s)} to {duration_text(self.maximum_s)}"
        examples = '"90m", "12h", "30d"' if self.minimum_s >= 60 else '"10s", "250ms", "2m"'
        return f"a duration from {limits}, such as {examples} or a number of seconds"

    def parse(self, scalar: Scalar, context: Context) -> float:
        """The duration in seconds."""
        del context
        text = scalar.text
        if _SECONDS.fullmatch(text):
            seconds = float(text)
        elif _DURATION.fullmatch(text):
            parts = _DURATION_PART.findall(text)
            seconds = math.fsum(float(number) * _DURATION_UNITS_S[unit] for number, unit in parts)
        else:
            raise ValueError(f"{self.expected}{_written(duration_meant(text))}")
        if not self.minimum_s <= seconds <= self.maximum_s:
            raise ValueError(self.expected)
        return seconds


class Size(msgspec.Struct, frozen=True):
    """Bytes, from ``64MiB``, ``512KiB``, ``1GiB`` or a plain number of bytes."""

    minimum: int
    maximum: int = 1024**4

    @property
    def expected(self) -> str:
        """What belongs here, for people."""
        return (
            f"a size from {size_text(self.minimum)} to {size_text(self.maximum)}, "
            'such as "64MiB", "512KiB" or a number of bytes'
        )

    def parse(self, scalar: Scalar, context: Context) -> int:
        """The size in bytes."""
        del context
        match = _SIZE.fullmatch(scalar.text)
        if match is None:
            raise ValueError(f"{self.expected}{_written(size_meant(scalar.text))}")
        byte_count = int(match[1]) * _SIZE_UNITS[match[2]]
        if not self.minimum <= byte_count <= self.maximum:
            raise ValueError(self.expected)
        return byte_count


class Integer(msgspec.Struct, frozen=True):
    """A decimal whole number, not in quotes."""

    minimum: int
    maximum: int
    remark: str = ""

    @property
    def expected(self) -> str:
        """What belongs here, for people."""
        return f"a whole number from {self.minimum} to {self.maximum}{self.remark}"

    def parse(self, scalar: Scalar, context: Context) -> int:
        """The number."""
        del context
        # The tag tells 5 from "5"; the pattern refuses YAML 1.1's octal 010, 1_000 and 1:30.
        if scalar.tag != "int" or not _INTEGER.fullmatch(scalar.text):
            raise ValueError(f"{self.expected}{_written(number_meant(scalar.text))}")
        number = int(scalar.text)
        if not self.minimum <= number <= self.maximum:
            raise ValueError(self.expected)
        return number


class Boolean(msgspec.Struct, frozen=True):
    """``true`` or ``false``, not in quotes."""

    expected: str = "true or false"

    def parse(self, scalar: Scalar, context: Context) -> bool:
        """The truth value; YAML 1.1's other spellings (yes, no, on, off) are taken too."""
        del context
        if scalar.tag != "bool":
            plain = scalar.text.lower() if scalar.text.lower() in _BOOLEANS else None
            raise ValueError(f"{self.expected}{_written(plain)}")
        return _BOOLEANS[scalar.text.lower()]


class Choice(msgspec.Struct, frozen=True):
    """One of a few words, in any case."""

    words: tuple[str, ...]

    @property
    def expected(self) -> str:
        """What belongs here, for people."""
        return f"one of {', '.join(self.words)}"

    def parse(self, scalar: Scalar, context: Context) -> str:
        """The word, in lower case."""
        del context
        word = scalar.text.lower()
        if word not in self.words:
            meant = _SYNONYMS.get(word)
            hint = f"did you mean {meant}?" if meant in self.words else did_you_mean(word, self.words)
            raise ValueError(f"{self.expected}; {hint}" if hint else self.expected)
        return word


class Name(msgspec.Struct, frozen=True):
    """The display name of an agent."""

    expected: str = (
        f"a name of 1 to {MAX_NAME_CHARACTERS} printable characters, without a space at either end"
    )

    def parse(self, scalar: Scalar, context: Context) -> str:
        """The name."""
        del context
        text = scalar.text
        if not 0 < len(text) <= MAX_NAME_CHARACTERS or not text.isprintable() or text != text.strip():
            raise ValueError(self.expected)
        return text


class AgentOrGroup(msgspec.Struct, frozen=True):
    """An agent, by the name in its certificate or its ID, or all of a group."""

    expected: str = (
        "the name in an agent's certificate, its ID of 32 hexadecimal digits, or group:NAME "
        "for all whose certificates have the group"
    )

    def parse(self, scalar: Scalar, context: Context) -> str:
        """The name, the ID in lower case, or the group behind its prefix."""
        if scalar.text.startswith(GROUP_PREFIX):
            try:
                msgspec.convert(scalar.text.removeprefix(GROUP_PREFIX), Group)
            except msgspec.ValidationError:
                raise ValueError(
                    f"{GROUP_PREFIX} and a name of at most {MAX_GROUP_CHARACTERS} letters, digits, dots, "
                    "dashes and underscores; there are no wildcards here"
                ) from None
            return scalar.text
        if is_id(scalar.text.lower()):
            return scalar.text.lower()
        if "*" in scalar.text or "?" in scalar.text:
            raise ValueError(f"{self.expected}; there are no wildcards here")
        try:
            return Name().parse(scalar, context)
        except ValueError:
            raise ValueError(self.expected) from None


class RoutingKey(msgspec.Struct, frozen=True):
    """The name of a service in the mesh."""

    expected: str = f"a routing key of 1 to {MAX_KEY_BYTES} bytes, printable and without spaces"

    def parse(self, scalar: Scalar, context: Context) -> str:
        """The key, in the one form in which keys are compared."""
        del context
        return free_key(scalar.text)


class PublicKey(msgspec.Struct, frozen=True):
    """The 32 bytes of an Ed25519 public key."""

    expected: str = "a public key: 44 characters of base64 that end in '='"

    def parse(self, scalar: Scalar, context: Context) -> bytes:
        """The key."""
        del context
        try:
            return decode_public_key(scalar.text)
        except ValueError as error:
            if "PRIVATE KEY" in scalar.text or "MESH" in scalar.text:
                raise ValueError(f"{self.expected}; never a private key") from None
            if scalar.text.endswith((".pub", ".key", ".pem", ".cert")) or scalar.text.startswith(("/", "./")):
                raise ValueError(f"{self.expected}; write the text in the file, not its path") from None
            raise ValueError(str(error)) from None


class PinnedAgent(msgspec.Struct, frozen=True):
    """The ID of an agent, as ``mesh certificate show`` prints it."""

    expected: str = "an agent ID: 32 digits 0 to 9 and a to f, as mesh certificate show prints them"

    def parse(self, scalar: Scalar, context: Context) -> AgentId:
        """The ID."""
        del context
        text = scalar.text
        if is_id(text):
            return AgentId(bytes.fromhex(text))
        meant = text.strip().lower().replace(":", "").replace("-", "")
        if is_id(meant):
            raise ValueError(f"{self.expected}; write {meant}")
        if _SHORT_ID.fullmatch(meant):
            raise ValueError(f"{self.expected}; the first 8, as in logs, are no proof")
        if text.endswith("="):
            raise ValueError(f"{self.expected}, not a public key")
        raise ValueError(self.expected)


class SocksUser(msgspec.Struct, frozen=True):
    """The user of a SOCKS client, which one byte gives the length of: RFC 1929."""

    expected: str = f"a user of 1 to {MAX_SOCKS_BYTES} bytes"

    def parse(self, scalar: Scalar, context: Context) -> str:
        """The user."""
        del context
        if not 0 < len(scalar.text.encode()) <= MAX_SOCKS_BYTES:
            raise ValueError(self.expected)
        return scalar.text


class Password(msgspec.Struct, frozen=True):
    """A secret, which stands in the environment: the file is read by people, kept and copied."""

    expected: str = (
        f"a variable of the environment that has 1 to {MAX_SOCKS_BYTES} bytes, such as ${{SOCKS_PASSWORD}}; "
        "the password itself does not stand here"
    )

    def parse(self, scalar: Scalar, context: Context) -> Secret:
        """The secret."""
        del context
        value = scalar.text.encode()
        if not scalar.written or not 0 < len(value) <= MAX_SOCKS_BYTES:
            raise ValueError(self.expected)
        return Secret(value)


class FilePath(msgspec.Struct, frozen=True):
    """A path, relative to the configuration file unless absolute."""

    expected: str = "a path"

    def parse(self, scalar: Scalar, context: Context) -> Path:
        """The absolute path."""
        text = scalar.text
        if not text or "\0" in text:
            raise ValueError(self.expected)
        variable = _BARE_VARIABLE.match(text)
        if variable is not None:
            raise ValueError(f"a path; the variable is ${{{variable[1]}}}, the name ./{variable[0]}")
        if text.startswith("~") and text != "~" and not text.startswith("~/"):
            raise ValueError("a path; ~/ is the home directory of this user, others' are written out")
        if text == "~" or text.startswith("~/"):
            if not context.home:
                raise ValueError("a path; ~ needs the environment variable HOME")
            text = context.home + text[1:]
        return context.directory / text


def _written(meant: str | None) -> str:
    return f"; write {meant}" if meant is not None else ""


def duration_text(seconds: float) -> str:
    """A duration as people write it, to a millisecond: ``2m``, ``10s``, ``250ms``."""
    for unit in ("d", "h", "m"):
        count, rest = divmod(seconds, _DURATION_UNITS_S[unit])
        if count and not rest:
            return f"{count:.0f}{unit}"
    number, unit = (seconds * 1000, "ms") if 0 < seconds < 1 else (seconds, "s")
    return f"{number:.3f}".rstrip("0").rstrip(".") + unit


def size_text(byte_count: int) -> str:
    """A size as people write it: ``64MiB``, ``512KiB``, ``1000``."""
    for unit in ("GiB", "MiB", "KiB"):
        if byte_count and byte_count % _SIZE_UNITS[unit] == 0:
            return f"{byte_count // _SIZE_UNITS[unit]}{unit}"
    return str(byte_count)
