"""What a fuzzer has found so far, and what honest agents say: no reader takes harm or long from any of it."""

import math
import resource
import time
import tracemalloc

import pytest

from scripts.fuzzing import targets
from scripts.fuzzing.choices import Choices
from scripts.fuzzing.command import CORPUS
from scripts.fuzzing.seeds import seeds
from scripts.fuzzing.shapes import alike
from scripts.fuzzing.targets import TARGETS, BoundError, Target, run_bounded

MAX_CORPUS_BYTES = 300 * 1024
MAX_PEAK_BYTES = 32 * 1024 * 1024
"""Of Python's memory for one input; that of the process is bounded in every run."""


def inputs(name):
    return [*seeds(name), *(path.read_bytes() for path in sorted((CORPUS / name).glob("*")))]


@pytest.mark.parametrize("name", TARGETS)
def test_every_input_found_is_withstood(name):
    for data in inputs(name):
        run_bounded(TARGETS[name], data)


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_takes_much_memory(name):
    target = TARGETS[name]
    target.run(b"")  # what is made once
    tracemalloc.start()
    try:
        for data in inputs(name):
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            target.run(data)
            assert tracemalloc.get_traced_memory()[1] - before < MAX_PEAK_BYTES, data
    finally:
        tracemalloc.stop()


def test_the_corpus_has_every_target_and_stays_small():
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < MAX_CORPUS_BYTES


def test_an_input_that_takes_too_long_is_a_finding():
    def work(data):
        end = time.process_time() + len(data) / 50
        while time.process_time() < end:
            pass

    run_bounded(Target(work, 100), bytes(1))
    with pytest.raises(BoundError, match=r"60 bytes took [0-9.]+ s"):
        run_bounded(Target(work, 100), bytes(60))


def test_an_input_that_takes_too_much_is_a_finding(monkeypatch):
    monkeypatch.setattr(targets, "MAX_SECONDS", math.inf)  # a machine may be long about so much memory
    peak_bytes = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # other tests count
    with pytest.raises(BoundError, match="KiB"):
        run_bounded(Target(lambda data: bytearray(b"x") * (peak_bytes + (128 << 20)), 100), b"")


def test_what_a_target_finds_is_not_swallowed():
    def fail(data):
        raise KeyError(data)

    with pytest.raises(KeyError):
        run_bounded(Target(fail, 100), b"x")


def test_choices_come_from_the_bytes_alone():
    def drawn(data):
        choices = Choices(data)
        return [choices.below(300), choices.yes(), choices.number(), choices.blob(9), choices.one_of("abc")]

    assert drawn(b"some bytes or other") == drawn(b"some bytes or other") != drawn(b"other bytes")
    assert drawn(b"") == [0, False, 0, b"", "a"]


def test_an_honest_value_stays_as_it_is_without_choices():
    value = [b"key", 1, [True, "name", None]]
    assert alike(Choices(b""), value) == value
    changed = [alike(Choices(bytes([fate]) * 30), value) for fate in (5, 6, 7)]
    assert value not in changed
