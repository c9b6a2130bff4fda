"""Inputs that are MessagePack: flipped bits seldom leave its form intact, so values are exchanged instead."""

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import msgspec

from scripts.fuzzing.choices import EDGES, Choices

Value: TypeAlias = object
"""Whatever MessagePack can say."""

PLAIN: Final = 0
SHAPED: Final = 1
"""First byte of an input: what follows is the reader's as it stands, or choices of values to exchange."""

MAX_REPEATED_BYTES: Final = 20_000
"""That a repetition adds: lists in lists would grow without end."""


class Shape(msgspec.Struct, frozen=True):
    """An honest input."""

    head: bytes
    """What stands before the MessagePack."""
    value: Value


def shaped(run: Callable[[bytes], None], shapes: Sequence[Shape]) -> Callable[[bytes], None]:
    """A target that runs on what it is given, or on one of ``shapes`` with some of its values exchanged."""

    def run_shaped(data: bytes) -> None:
        if not data or data[0] % 2 == PLAIN:
            run(data[1:])
            return
        choices = Choices(data[1:])
        shape = choices.one_of(shapes)
        run(shape.head + msgspec.msgpack.encode(alike(choices, shape.value)))

    return run_shaped


def shape_of(head: bytes, encoded: bytes) -> Shape:
    """The shape of an honest input."""
    return Shape(head, msgspec.msgpack.decode(encoded))


def alike(choices: Choices, value: Value) -> Value:
    """``value`` with some of its parts exchanged, left out or repeated."""
    fate = choices.below(8)
    if fate == 7:
        return leaf(choices)
    if isinstance(value, list):
        parts = [alike(choices, part) for part in value]
        if fate == 6:
            parts = parts[: choices.below(len(parts) + 1)]
        elif fate == 5 and parts:
            repeated = choices.one_of(parts)
            most = MAX_REPEATED_BYTES // len(msgspec.msgpack.encode(repeated))
            parts += [repeated] * min(choices.one_of((1, 2, 17, 65, 600)), most)
        return parts
    if fate == 6 and isinstance(value, bytes):
        return bytes(choices.take(len(value)).ljust(len(value), b"\0"))
    return value


def leaf(choices: Choices) -> Value:
    """Any value but lists with something in them, or one of these."""
    match choices.below(11):
        case 0:
            return choices.one_of(EDGES)
        case 1:
            return -1 - choices.below(300)
        case 2:
            return choices.blob(80)
        case 3:
            return choices.blob(80).decode("utf-8", "replace")
        case 4:
            return choices.one_of(
                ("", "*", "é", "a" * 64, "a" * 65, "a\x00b", "\x1b[2J", "k" * 255, "k" * 256)
            )
        case 5:
            return choices.one_of((None, True, False, 1.5, float("nan"), float("inf")))
        case 6:
            return bytes(choices.one_of((0, 15, 16, 17, 31, 32, 33, 63, 64, 65, 2000)))
        case 7:
            return {choices.below(3): choices.below(3)}
        case 8:
            return []
        case 9:
            return [choices.below(3)] * choices.below(2000)
        case _:
            return _nested(choices.one_of((1, 2, 50, 200)))


def _nested(depth: int) -> Value:
    """A list in a list in a list."""
    value: list[Value] = []
    for _ in range(depth):
        value = [value]
    return value
