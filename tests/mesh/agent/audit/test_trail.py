"""A trail's files: rotated, gone on with, and checked; what is done to them shows, by file and line."""

import os
import shutil
import stat

import pytest

from mesh.agent.audit.chain import Head, seal
from mesh.agent.audit.trail_files import CHANGES
from mesh.agent.audit.verifying import NO_HEAD, checked
from tests.mesh.agent.audit.trails import NOON, begun, entry, paths, trail_in, written


def check(directory, noted=NO_HEAD):
    return checked(directory, CHANGES, noted)


def edit(path, change):
    path.write_bytes(change(path.read_bytes()))


def swapped(data):
    first, second, third, *others = data.split(b"\n")
    return b"\n".join((first, third, second, *others))


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "audit"


def test_files_are_for_this_user_only(directory):
    written(directory, 1)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in paths(directory)] == [0o600]


def test_files_that_are_full_are_followed_by_others_and_the_oldest_go(directory):
    trail = written(directory, 60, file_bytes=1_000, files=3)
    found = check(directory)
    assert (found.problem, found.files, found.head) == ("", 3, trail.head)
    assert found.first > 1
    assert all(path.stat().st_size < 1_500 for path in paths(directory))


def test_a_restart_goes_on_with_the_chain(directory):
    written(directory, 5)
    again = written(directory, 5)
    found = check(directory)
    assert (found.problem, found.files, found.entries, found.head) == ("", 1, 11, again.head)
    assert again.remarks == []


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda files: edit(files[1], lambda data: data.replace(b"uid 1", b"uid 0", 1)), "line 2: entry"),
        (
            lambda files: edit(files[1], lambda data: data.split(b"\n", 1)[1]),
            "line 1: the beginning of the file",
        ),
        (lambda files: edit(files[1], lambda data: b"\n".join(data.split(b"\n")[:-2]) + b"\n"), "is missing"),
        (lambda files: edit(files[1], lambda data: data + b"{}\n"), "is no line"),
        (lambda files: edit(files[-1], lambda data: data[:-9]), "is cut off in the middle"),
        (lambda files: files[1].unlink(), "are missing before entry"),
        (lambda files: shutil.copy(files[1], files[2]), "stands where entry"),
        (lambda files: files[1].write_bytes(b""), "are missing before entry"),
        (lambda files: edit(files[1], swapped), "line 2: entry"),
    ],
    ids=["edited", "beginning", "end", "more", "torn", "removed", "twice", "emptied", "reordered"],
)
def test_what_is_done_to_a_file_shows_by_file_and_line(directory, harm, told):
    written(directory, 30, file_bytes=1_000)
    assert check(directory).problem == ""
    files = paths(directory)
    harm(files)
    problem = check(directory).problem
    assert told in problem
    assert str(directory) in problem


def test_an_end_that_is_cut_off_shows_only_to_who_has_noted_the_head(directory):
    noted = written(directory, 30, file_bytes=1_000).head
    paths(directory)[-1].unlink()
    assert check(directory).problem == ""
    assert "the end is cut off: entries" in check(directory, noted).problem


def test_a_chain_that_was_made_anew_shows_only_to_who_has_noted_the_head(directory, tmp_path):
    noted = written(directory, 10).head
    assert check(directory, noted).problem == ""
    forged = tmp_path / "forged"
    trail = trail_in(forged)
    trail.write([entry(number) for number in range(20, 40)], NOON)
    assert check(forged).problem == ""
    assert f"entry {noted.number} is not the one that was noted" in check(forged, noted).problem


def test_a_line_that_a_crash_cut_off_is_taken_back_and_told(directory):
    written(directory, 3)
    edit(paths(directory)[0], lambda data: data + seal(Head(), entry(9))[0][:50])
    again = written(directory, 1)
    assert check(directory).problem == ""
    assert "50 bytes, was cut off" in again.remarks[0]


def test_an_agent_that_cannot_read_its_last_line_begins_another_chain_which_shows(directory):
    written(directory, 3)
    edit(paths(directory)[0], lambda data: data[:-20] + b"\n")
    again = written(directory, 1)
    assert "another chain begins" in again.remarks[0]
    assert "is no line" in check(directory).problem
    edit(paths(directory)[0], lambda data: data.rsplit(b"\n", 2)[0] + b"\n")
    assert "another chain begins" in check(directory).problem


def test_a_file_that_others_change_under_the_agent_is_left_alone_from_then_on(directory):
    trail = begun(directory, 3)
    with paths(directory)[0].open("ab") as file:
        file.write(b"more\n")
    trail.write([entry(4)], NOON)
    assert "was changed by somebody else" in trail.remarks[0]
    assert len(paths(directory)) == 2
    paths(directory)[1].rename(directory / "moved")
    trail.write([entry(5)], NOON)
    assert paths(directory)[1].name == "changes.000003.jsonl"


def test_a_disk_that_is_full_takes_nothing_half(directory, monkeypatch):
    trail = begun(directory, 2)
    write, left = os.write, [100]

    def filling(descriptor, data):
        if not left[0]:
            raise OSError(28, "No space left on device")
        taken, left[0] = min(len(data), left[0]), max(0, left[0] - len(data))
        return write(descriptor, data[:taken])

    monkeypatch.setattr(os, "write", filling)
    before = paths(directory)[0].read_bytes()
    with pytest.raises(OSError, match="No space"):
        trail.write([entry(3)], NOON)
    assert paths(directory)[0].read_bytes() == before
    left[0] = 10_000
    trail.write([entry(4)], NOON)
    assert check(directory).problem == ""


def test_a_disk_that_is_full_before_the_first_line_leaves_no_file_behind(directory, monkeypatch):
    def full(descriptor, data):
        raise OSError(28, "No space left on device")

    trail = trail_in(directory)
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space"):
            trail.write([entry(1)], NOON)
    assert paths(directory) == []
    trail.write([entry(2)], NOON)
    assert check(directory).problem == ""


def test_a_file_of_the_highest_number_hides_none_that_follows(directory):
    written(directory, 2)
    paths(directory)[0].rename(directory / "changes.999999999999.jsonl")
    written(directory, 30, file_bytes=1_000)
    assert len(paths(directory)) > 2
    assert check(directory).problem == ""
