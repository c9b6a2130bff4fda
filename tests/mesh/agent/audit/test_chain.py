"""Lines that are chained: whatever is done to one shows."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.agent.audit.chain import GENESIS, Head, read_sealed, seal, why_broken
from tests.mesh.agent.audit.trails import entry


def chain(count):
    lines, head = [], Head()
    for number in range(count):
        line, head = seal(head, entry(number))
        lines.append(line)
    return lines


def first_break(lines):
    """Which line does not follow; ``None`` if all do."""
    head = Head()
    for place, line in enumerate(lines):
        try:
            sealed = read_sealed(line.removesuffix(b"\n"))
        except ValueError:
            return place
        if why_broken(head, sealed):
            return place
        head = sealed.head
    return None


def test_a_line_is_json_and_its_hash_is_that_of_the_one_before_and_its_own_bytes():
    first, second = chain(2)
    shown = json.loads(second)
    assert (shown["number"], shown["what"]) == (2, "POST /1")
    body, _, _ = second.partition(b',"hash"')
    assert hashlib.sha256(json.loads(first)["hash"].encode() + body).hexdigest() == shown["hash"]
    assert seal(Head(), entry(0)) == (first, Head(1, json.loads(first)["hash"]))
    assert GENESIS == "0" * 64


def test_a_chain_that_nobody_touched_is_whole():
    assert first_break(chain(20)) is None


@given(st.integers(0, 4), st.integers(0, 1_000), st.integers(1, 255))
def test_a_byte_that_is_changed_shows_at_its_line(place, offset, change):
    lines = chain(5)
    line = bytearray(lines[place])
    line[offset % (len(line) - 1)] ^= change
    lines[place] = bytes(line)
    assert first_break(lines) == place


@pytest.mark.parametrize("place", range(4))
def test_a_line_that_is_missing_twice_there_or_elsewhere_shows_where_it_should_be(place):
    lines = chain(5)
    assert first_break(lines[:place] + lines[place + 1 :]) == place
    assert first_break(lines[: place + 1] + lines[place:]) == place + 1
    assert first_break([*lines[:place], lines[place + 1], lines[place], *lines[place + 2 :]]) == place


def test_a_line_of_another_chain_shows():
    lines, head = chain(3), Head()
    for number in range(7, 10):
        line, head = seal(head, entry(number))
    assert first_break([*lines[:2], line]) == 2


@pytest.mark.parametrize(
    "line", [b"", b"{}", b'{"number":1}', b"x" * 200, b'{"number":1,"hash":"' + b"0" * 63 + b'"}']
)
def test_what_is_no_line_is_told(line):
    with pytest.raises(ValueError, match="no line"):
        read_sealed(line)
