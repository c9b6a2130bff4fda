"""A file that is all mistakes costs no more than its first hundred."""

import pytest

from mesh.config import ConfigError, local_ports, walk
from mesh.config.problems import MAX_PROBLEMS
from tests.mesh.config.test_loading import parse

ENTRIES = 500
"""Mistakes in a file, at least."""

MISTAKES = {
    "unknown keys": "    - {key: a, address: ':1', adress: ':2'}\n",
    "missing keys": "    - {}\n",
    "wrong shapes": "    - 5\n",
    "wrong values": "    - {key: 'a b', address: nowhere}\n",
    "the same key twice": "    - {key: a, key: a, address: ':0'}\n",
    "clashes": "    - {key: a, address: ':1'}\n",
}


def refused(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    return caught.value


@pytest.mark.parametrize("entry", MISTAKES.values(), ids=MISTAKES)
def test_the_first_hundred_are_told_and_that_there_are_more(entry: str):
    error = refused(f"forward:\n  listeners:\n{entry * ENTRIES}")
    assert len(error.problems) == MAX_PROBLEMS
    assert error.are_more
    assert str(error).splitlines()[MAX_PROBLEMS:] == ["... and more"]


def test_a_hundred_are_all():
    error = refused("forward:\n  listeners:\n" + "    - 5\n" * MAX_PROBLEMS)
    assert len(error.problems) == MAX_PROBLEMS
    assert not error.are_more
    assert "and more" not in str(error)


@pytest.mark.parametrize("entry", ["    - {adress: 1}\n", "    - {key: 'a b', address: nowhere}\n"])
def test_what_comes_after_is_not_looked_at(monkeypatch: pytest.MonkeyPatch, entry: str):
    work = {"values": 0, "hints": 0}
    substitute, hint_for_key = walk.substitute, walk.hint_for_key

    def counted(kind, function):
        def count(*arguments):
            work[kind] += 1
            return function(*arguments)

        return count

    monkeypatch.setattr(walk, "substitute", counted("values", substitute))
    monkeypatch.setattr(walk, "hint_for_key", counted("hints", hint_for_key))
    refused(f"forward:\n  listeners:\n{entry * ENTRIES}")
    assert 0 < sum(work.values()) <= 2 * MAX_PROBLEMS


def test_ports_are_compared_with_few_of_those_before_them(monkeypatch: pytest.MonkeyPatch):
    work = 0
    judge = local_ports.cannot_both_listen

    def counted(*addresses):
        nonlocal work
        work += 1
        return judge(*addresses)

    monkeypatch.setattr(local_ports, "cannot_both_listen", counted)
    rows = [f"    - {{key: a, address: '127.0.{n // 250}.{n % 250 + 1}:80'}}\n" for n in range(2000)]
    parse("forward:\n  listeners:\n" + "".join(rows))
    assert work <= 3 * len(rows)
    error = refused("forward:\n  listeners:\n" + "".join(rows) + "    - {key: a, address: ':80'}\n")
    assert "forward.listeners[0].address on line 3 has" in str(error)
